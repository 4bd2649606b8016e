"""Networks for tables of numbers: K point estimators in parallel, and the engine's heads behind a table encoder.

    x = [x, sin 2πcx, cos 2πcx],   h = SiLU(W x),   h ← h + SiLU(W h),   tokens = LayerNorm(W h) in L parts

What `PosteriorNetwork` is for videos, `TableNetwork` is for tables: the same location-scale head, the same score
network and the same loss, on tokens of columns. `mcsdr.evaluation.evidence.tabular` says how they are trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcsdr.diffusion.denoiser import Pairs, velocity_error
from mcsdr.diffusion.sampler import EXACT, evaluation_angles, starting_points, trajectories
from mcsdr.diffusion.target import BoundedResidual
from mcsdr.nn.layers import Condition
from mcsdr.nn.score_network import LocationScale, ScoreNetwork
from mcsdr.posterior import Posterior, quantile_nodes


@dataclass(frozen=True)
class TableSettings:
    """One rule for all tables; steps grow with the square root of the n training rows.

    Arguments:
        folds: K, 3 or more.
        frequencies: periodic features per column, sin and cos of 2π c x.
        spreads: candidates for the SD of c, 0 for no periodic features; the one with the least out-of-fold error in a
            run of `pilot` of the steps is taken.
        no_dropout_at: dropout is left out where, in such a run, this share of the error or less is left without it.
        point_*, density_*: the two stages; steps are clip(c·sqrt(n), least, most).
        calibration_rows: out-of-fold rows that make h, at most.
        disagreement_rows: training rows that make ρ, at most.
        prior_rows: h is drawn to the identity as if by this many rows without miscalibration.
    """

    folds: int = 5
    frequencies: int = 8
    spreads: tuple[float, ...] = (0.0, 0.1, 1.0)
    pilot: float = 0.1
    dropout: float = 0.1
    no_dropout_at: float = 0.9
    decay: float = 0.03
    point_width: int = 128
    point_depth: int = 3
    point_lr: float = 4e-3
    point_batch: int = 256
    point_steps: tuple[float, int, int] = (18.0, 600, 4000)
    density_width: int = 96
    tokens: int = 4
    token_width: int = 32
    heads: int = 4
    score_depth: int = 1
    density_lr: float = 3e-3
    density_batch: int = 256
    density_steps: tuple[float, int, int] = (4.0, 200, 1000)
    pairs: int = 2
    checks: int = 10
    calibration_rows: int = 20_000
    disagreement_rows: int = 2000
    prior_rows: int = 200


class Members(nn.Module):
    """K linear maps [K, B, i] → [K, B, o], one per member."""

    def __init__(self, members: int, width_in: int, width_out: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(members, width_in, width_out) * gain / width_in**0.5)
        self.bias = nn.Parameter(torch.zeros(members, 1, width_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class Columns(nn.Module):
    """Standardised columns x [..., d] with sin and cos of 2π c x beside them, c learnt from N(0, spread²)."""

    def __init__(self, shape: tuple[int, ...], frequencies: int, spread: float) -> None:
        super().__init__()
        m = frequencies if spread else 0
        self.c = nn.Parameter(spread * torch.randn(*shape, m))
        self.width = shape[-1] * (1 + 2 * m)

    def forward(self, x: Tensor) -> Tensor:
        phases = (2 * math.pi * x[..., None] * self.c).flatten(-2)
        return torch.cat([x, phases.sin(), phases.cos()], dim=-1)


class PointEnsemble(nn.Module):
    """K residual networks, x [K, B, d] → point estimates [K, B]."""

    def __init__(self, columns: int, spread: float, dropout: float, settings: TableSettings) -> None:
        super().__init__()
        s, K, width = settings, settings.folds, settings.point_width
        self.dropout = dropout
        self.columns = Columns((K, 1, columns), s.frequencies, spread)
        self.first = Members(K, self.columns.width, width)
        self.blocks = nn.ModuleList(Members(K, width, width, math.sqrt(2)) for _ in range(s.point_depth))
        self.out = Members(K, width, 1, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.first(self.columns(x)))
        for block in self.blocks:
            h = h + F.dropout(F.silu(block(h)), self.dropout, self.training)
        estimate: Tensor = self.out(h).squeeze(-1)
        return estimate


class TableEncoder(nn.Module):
    """Columns x [B, d] → tokens [B, L, width]."""

    def __init__(self, columns: int, spread: float, settings: TableSettings) -> None:
        super().__init__()
        s, width = settings, settings.density_width
        self.shape = (s.tokens, s.token_width)
        self.columns = Columns((columns,), s.frequencies, spread)
        self.first = nn.Linear(self.columns.width, width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.Dropout(s.dropout)
        self.out = nn.Linear(width, s.tokens * s.token_width)
        self.norm = nn.LayerNorm(s.token_width)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.first(self.columns(x)))
        h = h + self.dropout(F.silu(self.second(h)))
        tokens: Tensor = self.norm(self.out(h).unflatten(-1, self.shape))
        return tokens


class TableNetwork(nn.Module):
    """p(y | x, â): the engine's location-scale head and score network behind a table encoder.

    Arguments:
        columns: of the table, the point estimate not counted.
        scale: s.
    """

    def __init__(self, columns: int, scale: float, spread: float, settings: TableSettings) -> None:
        super().__init__()
        self.scale, self.target = scale, BoundedResidual()
        self.encoder = TableEncoder(columns + 1, spread, settings)
        self.location_scale = LocationScale(settings.token_width, settings.heads)
        self.score = ScoreNetwork(settings.token_width, settings.heads, settings.score_depth, 2)
        low, high = map(math.log, LocationScale.SCALE)
        last = self.location_scale.out[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():  # a = 0 and b = 1 for every x: the point estimate with its out-of-fold spread
            last.weight.mul_(0.1)
            last.bias.copy_(torch.tensor([0.0, math.log(-low / high)]))

    def condition(self, x: Tensor, point: Tensor) -> tuple[Condition, Tensor, Tensor]:
        """Tokens, and centre and scale [B] of ℓ, for columns [B, d + 1] and point estimates of ℓ [B]."""
        tokens = self.encoder(x)
        condition = Condition(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))
        a, b = self.location_scale(condition)
        return condition, point + self.scale * a, self.scale * b

    def loss(self, x: Tensor, point: Tensor, y_percent: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Denoising loss of the detached residual, and NLL of the location-scale head, scalars."""
        condition, a, b = self.condition(x, point)
        w = self.target.to_residual(y_percent, a, b)
        nll = ((b / self.scale).log() + 0.5 * w**2).mean()
        score, cache = self.score, self.score.cache(condition)
        residual = w.detach()[:, None].expand_as(pairs.theta)
        error = velocity_error(lambda x_theta, theta: score(x_theta, score.angles(theta), cache), residual, pairs)
        return error.mean(), nll

    def posterior(self, x: Tensor, point: Tensor) -> Posterior:
        """The quantile nodes carried through the flow, four midpoint steps."""
        terms = self.score.angles(evaluation_angles(EXACT).float())
        tables = []
        for rows in torch.split(torch.arange(len(x)), 512):
            condition, a, b = self.condition(x[rows], point[rows])
            cache = self.score.cache(condition)
            states = trajectories(
                lambda z, i, theta, cache=cache: self.score(z, terms[i], cache),
                starting_points(EXACT, len(rows)),
                EXACT,
            )
            tables.append(self.target.to_percent(states[-1].double(), a.double()[:, None], b.double()[:, None]))
        return Posterior.from_nodes(quantile_nodes(), torch.cat(tables).numpy())
