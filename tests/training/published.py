"""The regressor of the MCSDR authors, written from its published names and shapes, for comparison."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache

import torch
from torch import Tensor, nn

from mcsdr.nn.uniformer import UniFormerS


class Predictor(nn.Module):
    def __init__(self, condition_width: int, time_width: int) -> None:
        super().__init__()
        self.map_y_t = nn.Linear(1 + time_width, 256)
        self.map_cond = nn.Linear(condition_width, 256)
        self.cross_attention = nn.MultiheadAttention(256, 8, batch_first=True)
        self.norm1 = nn.LayerNorm(256)
        self.ffn = nn.Sequential(nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256))
        self.norm2 = nn.LayerNorm(256)
        self.final_layer = nn.Linear(256, 1)

    def forward(self, y: Tensor, t_emb: Tensor, condition: Tensor) -> Tensor:
        query = self.map_y_t(torch.cat([y, t_emb], dim=1))[:, None]
        token = self.map_cond(condition)[:, None]
        h = self.norm1(query + self.cross_attention(query, token, token)[0])
        h = self.norm2(h + self.ffn(h))
        answer: Tensor = self.final_layer(h[:, 0])
        return answer


class Regressor(nn.Module):
    """States y [n, 1], one time t [n] and one condition [n, D] for each."""

    def __init__(self, attributes: int, attribute_width: int, time_width: int) -> None:
        super().__init__()
        self.time_width = time_width
        # Their sinusoid, which has no weights, stands at 0.
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(time_width, time_width), nn.GELU())
        if attributes:
            self.tabular_encoder = nn.Sequential(
                nn.Linear(attributes, attribute_width), nn.ReLU(), nn.Linear(attribute_width, attribute_width)
            )
        self.noise_predictor = Predictor(512 + attribute_width, time_width)
        betas = torch.linspace(1e-4, 0.02, 1000)
        self.register_buffer("betas", betas)
        self.register_buffer("alphas_cumprod", (1 - betas).cumprod(0))

    def noise(self, y: Tensor, t: Tensor, feature: Tensor, scaled: Tensor | None) -> Tensor:
        half = self.time_width // 2
        waves = [t * 10_000 ** (-k / (half - 1)) for k in range(half)]
        sinusoid = torch.stack([w.sin() for w in waves] + [w.cos() for w in waves], dim=1)
        condition = feature if scaled is None else torch.cat([feature, self.tabular_encoder(scaled)], dim=1)
        answer: Tensor = self.noise_predictor(y, self.time_mlp(sinusoid), condition)
        return answer


def regressor(attributes: int, attribute_width: int, time_width: int) -> Regressor:
    """With random weights everywhere, where PyTorch starts from zeros and ones."""
    torch.manual_seed(11)
    net = Regressor(attributes, attribute_width, time_width).eval()
    for tensor in net.parameters():
        if tensor.ndim == 1:
            tensor.data.add_(0.1 * torch.randn_like(tensor))
    return net


@cache
def encoder_state() -> OrderedDict[str, Tensor]:
    torch.manual_seed(12)
    return OrderedDict(UniFormerS().state_dict())


def checkpoint(net: Regressor) -> dict[str, object]:
    """What their training script saves."""
    optimiser = torch.optim.AdamW(net.noise_predictor.final_layer.parameters(), lr=3e-4)
    return {
        "epoch": 31,
        "model_state_dict": encoder_state(),
        "regressor_state_dict": net.state_dict(),
        "optimizer_state_dict": optimiser.state_dict(),
        "current_metric_val": 3.76,
        "config": {"run": {"seed": 42, "gpu_ids": "1"}, "data": {"p_interval_test": [0.95], "aug": True}},
    }
