"""The whole network: videos and attributes to tokens, tokens to a velocity field and the residual's location and scale.

There are three. `PosteriorNetwork` is this package's: the condition is a set of tokens, those of every clip, one "no
video" token that speaks only when there is none, and one per attribute; a modality that is dropped in training and one
that is missing in life take the same way. `HeadNetwork` reads the same condition with one of the rival heads of
`mcsdr.nn.heads`, which give quantiles without a sampler. `McsdrNetwork` is the MCSDR paper's: one pooled feature, one
key, noise prediction in raw per cent. All answer to the same calls, so that training and sampling know no difference.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from copy import copy
from math import asin, cos, pi, sin
from typing import Annotated, Any, Literal, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from mcsdr.diffusion.denoiser import Pairs, velocity_error
from mcsdr.diffusion.sampler import SamplerSettings, Velocity, trajectories
from mcsdr.diffusion.schedule import chain, uniform_level
from mcsdr.diffusion.target import BoundedResidual, RawPercent
from mcsdr.nn.attribute_encoder import AttributeEncoder
from mcsdr.nn.heads import HEADS
from mcsdr.nn.layers import Condition
from mcsdr.nn.mcsdr import McsdrHead
from mcsdr.nn.r2plus1d import R2Plus1D18
from mcsdr.nn.score_network import LocationScale, NoScore, ScoreNetwork
from mcsdr.nn.stored_features import StoredFeatures
from mcsdr.nn.uniformer import UniFormerS
from mcsdr.nn.video_encoder import CompactEncoder, Norm

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)
Channels = Annotated[int, Field(gt=0, le=1024)]
Encoder = Literal["compact", "uniformer-s", "r2plus1d-18", "stored"]


class NetworkSettings(BaseModel):
    """Sizes of every part; stored with the weights, enough to rebuild the network."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["posterior", "mcsdr", "head"] = "posterior"
    head: str = ""  # a name in mcsdr.nn.heads.HEADS; kind "head" only
    encoder: Encoder = "compact"
    channels: tuple[Channels, Channels, Channels] = (32, 64, 112)  # compact only
    norm: Norm = "batch"  # compact only; "none" may start from a model with "batch"
    feature_width: int = Field(0, ge=0, le=65_536)  # stored only: of the vectors that another encoder has left
    width: int = Field(96, gt=0, le=1024)
    heads: int = Field(4, gt=0, le=64)
    score_depth: int = Field(2, gt=0, le=16)
    score_expansion: int = Field(2, gt=0, le=8)
    max_frames: int = Field(32, gt=0, le=1024, multiple_of=4)
    views: tuple[str, ...] = Field((), max_length=32)  # views that are told apart; none: all clips are taken alike
    attributes: tuple[str, ...] = Field(("age_years", "sex", "weight_kg", "height_cm"), max_length=32)
    attribute_width: int = Field(64, ge=0, le=4096)  # mcsdr only
    time_width: int = Field(64, gt=0, le=4096, multiple_of=2)  # mcsdr only

    @model_validator(mode="after")
    def _head_is_known(self) -> Self:
        if self.kind == "head" and self.head not in HEADS:
            raise ValueError(f"There is no head named {self.head!r}: choose one of {', '.join(HEADS)}.")
        if self.width % self.heads:
            raise ValueError(f"The heads of attention share the width: {self.heads} do not divide {self.width}.")
        if self.kind != "head" and self.head:
            raise ValueError(f'The head {self.head!r} needs kind = "head", not {self.kind!r}.')
        return self

    @model_validator(mode="after")
    def _stored_features_have_a_width(self) -> Self:
        if (self.encoder == "stored") is not bool(self.feature_width):
            raise ValueError('encoder = "stored", and it alone, needs the feature_width of the vectors.')
        return self


def build_network(settings: NetworkSettings) -> Network:
    """The network that the settings describe, with random weights."""
    return NETWORKS[settings.kind](settings)


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16.

    oneDNN says that it supports the type on every processor with AVX-512; without an instruction for it a convolution
    takes two and a half times as long as in float32.
    """
    if device.type != "cpu":
        return True
    if platform.machine().lower() in ("x86_64", "amd64"):
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def build_encoder(settings: NetworkSettings) -> tuple[nn.Module, int]:
    """A video encoder, clip [B, T, H, W] -> tokens [B, L, width], and its width."""
    match settings.encoder:
        case "compact":
            s = settings
            return CompactEncoder(s.channels, s.width, s.heads, s.max_frames, s.norm), s.width
        case "uniformer-s":
            return UniFormerS(), UniFormerS.width
        case "r2plus1d-18":
            return R2Plus1D18(), R2Plus1D18.width
        case "stored":
            return StoredFeatures(settings.feature_width), settings.feature_width


class Network(nn.Module):
    """What training and sampling ask of a network.

    Attributes:
        settings: enough to rebuild it.
        target: how its residuals are EF in per cent.
        width: of a video token.
        integrates: whether its posteriors are the end of a sampler's steps.
    """

    settings: NetworkSettings
    target: BoundedResidual | RawPercent
    video_encoder: nn.Module
    width: int
    integrates: bool = True

    def encode(self, video: Tensor, views: Sequence[str] | None = None) -> Tensor:
        """Tokens [B, L, width] of clips [B, T, H, W], grey as the model's clip settings say; views: one name a clip."""
        raise NotImplementedError

    def loss(
        self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor, ef_percent: Tensor, pairs: Pairs
    ) -> tuple[Tensor, Tensor]:
        """Denoising loss, and NLL of the location-scale head (0 where there is none).

        Arguments:
            video_tokens: [B, L, width]; L may be 0.
            video_mask: bool [B, L], which of them exist; a row without any has no video.
            attributes: [B, A] standardised, NaN where unknown.
            ef_percent: labels [B].
            pairs: angles and noise [B, P].
        """
        raise NotImplementedError

    def prepare(self, angles: Tensor) -> list[Any]:
        """What depends on the angles [E] of a run alone, worked out once per sampler."""
        raise NotImplementedError

    def flow(
        self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor, prepared: list[Any]
    ) -> tuple[Velocity, Tensor, Tensor]:
        """The velocity field of each study, and its residual's location and scale [B, 1]."""
        raise NotImplementedError

    def states(
        self,
        video_tokens: Tensor,
        video_mask: Tensor,
        attributes: Tensor,
        z: Tensor,
        prepared: list[Any],
        sampler: SamplerSettings,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """States [S + 1, B, N] of the trajectories from z [B, N], and the residual's location and scale [B, 1]."""
        velocity, a, b = self.flow(video_tokens, video_mask, attributes, prepared)
        return trajectories(velocity, z, sampler), a, b

    @property
    def device(self) -> torch.device:
        """Where it lives."""
        return next(self.parameters()).device

    def parameter_counts(self) -> dict[str, int]:
        """Trainable parameters of each part, and their total."""
        parts = {name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()}
        parts |= {name: p.numel() for name, p in self.named_parameters(recurse=False)}
        return parts | {"total": sum(p.numel() for p in self.parameters())}


class TokenNetwork(Network):
    """The encoders, joined to a `Condition`: what this package's network and the rival heads share."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = s = settings
        self.width = s.width
        self.video_encoder, encoder_width = build_encoder(s)
        if encoder_width != s.width:
            self.project = nn.Linear(encoder_width, s.width)
        if s.views:
            self.view = nn.Parameter(0.02 * torch.randn(len(s.views), s.width))
        self.attribute_encoder = AttributeEncoder(len(s.attributes), s.width)
        self.no_video = nn.Parameter(0.02 * torch.randn(1, 1, s.width))
        self.norm = nn.LayerNorm(s.width)

    def encode(self, video: Tensor, views: Sequence[str] | None = None) -> Tensor:
        tokens: Tensor = self.video_encoder(video)
        if tokens.shape[-1] != self.width:
            tokens = self.project(tokens)
        return self.marked(tokens, views)

    def marked(self, tokens: Tensor, views: Sequence[str] | None = None) -> Tensor:
        """The encoder's tokens with what tells their views apart; arguments as of `encode`."""
        if self.settings.views and views is not None:
            known = self.settings.views
            rows = torch.tensor([known.index(v) if v in known else -1 for v in views], device=tokens.device)
            tokens = tokens + self.view[rows.clamp(min=0)][:, None] * (rows >= 0)[:, None, None]
        return tokens

    def condition(self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor) -> Condition:
        """Join what is known; arguments as for `loss`."""
        no_video = self.no_video.expand(attributes.shape[0], -1, -1)
        tokens = torch.cat([no_video, self.attribute_encoder(attributes), video_tokens], dim=1)
        always = torch.ones_like(attributes, dtype=torch.bool)
        mask = torch.cat([~video_mask.any(1, keepdim=True), always, video_mask], dim=1)
        return Condition(self.norm(tokens), mask)


class PosteriorNetwork(TokenNetwork):
    """Encoders, location-scale head and score network."""

    target: BoundedResidual
    score: ScoreNetwork | NoScore

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__(settings)
        s, self.target = settings, BoundedResidual()
        self.location_scale = LocationScale(s.width, s.heads)
        self.score = ScoreNetwork(s.width, s.heads, s.score_depth, s.score_expansion)

    def loss(
        self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor, ef_percent: Tensor, pairs: Pairs
    ) -> tuple[Tensor, Tensor]:
        """NLL = log b + (ℓ − a)²/2b² with ℓ = logit(y/100), and ‖v_φ(cos θ w + sin θ ε) − v‖² of w = (ℓ − a)/b.

        w is detached: the location-scale head answers for centre and width, the score network for the shape. Labels
        [B, R] of R readers share the P pairs out among them: the same loss on average, with less noise in its gradient.
        """
        condition = self.condition(video_tokens, video_mask, attributes)
        a, b = self.location_scale(condition)
        w = self.target.to_residual(ef_percent.view(len(a), -1), a[:, None], b[:, None])
        nll = (b.log()[:, None] + 0.5 * w**2).mean()
        score, cache = self.score, self.score.cache(condition)
        residual = w.detach().repeat(1, pairs.theta.shape[1] // w.shape[1])
        error = velocity_error(lambda x, theta: score(x, score.angles(theta), cache), residual, pairs)
        return error.float().mean(), nll

    def prepare(self, angles: Tensor) -> list[Any]:
        terms = self.score.angles(angles)
        return [terms[i] for i in range(len(angles))]

    def flow(
        self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor, prepared: list[Any]
    ) -> tuple[Velocity, Tensor, Tensor]:
        condition = self.condition(video_tokens, video_mask, attributes)
        a, b = self.location_scale(condition)
        cache = self.score.cache(condition)

        def velocity(x: Tensor, i: int, theta: float) -> Tensor:
            return self.score(x, prepared[i], cache)  # type: ignore[no-any-return]

        return velocity, a[:, None], b[:, None]

    @torch.no_grad()
    def prior(self) -> tuple[float, float]:
        """Location and scale where nothing is known, no video and no attribute."""
        empty = torch.empty(1, 0, self.width, device=self.device)
        unknown = torch.full((1, len(self.settings.attributes)), torch.nan, device=self.device)
        a, b = self.location_scale(self.condition(empty, empty[..., 0].bool(), unknown))
        return float(a), float(b)

    def without_score(self) -> PosteriorNetwork:
        """The same weights with the flow replaced by its own location-scale head: logit-normal posteriors."""
        alone = copy(self)
        alone._modules = {**self._modules, "score": NoScore()}
        return alone


class HeadNetwork(TokenNetwork):
    """Encoders and a rival head.

    The head knows its quantiles, so nothing is integrated: the only state is the answer, EF in per cent. Of a sampler's
    settings the points z alone matter. At the quantile nodes the answer is the quantiles; at iid draws of z it is iid
    draws of the same posterior, since the quantile function of a normal z has the posterior's distribution.
    """

    target: RawPercent
    integrates = False

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__(settings)
        self.target = RawPercent()
        self.head = HEADS[settings.head](settings.width, settings.heads)

    def loss(
        self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor, ef_percent: Tensor, pairs: Pairs
    ) -> tuple[Tensor, Tensor]:
        condition = self.condition(video_tokens, video_mask, attributes)
        return self.head.loss(condition, ef_percent, pairs), ef_percent.new_zeros(())

    def prepare(self, angles: Tensor) -> list[Any]:
        return []

    def states(
        self,
        video_tokens: Tensor,
        video_mask: Tensor,
        attributes: Tensor,
        z: Tensor,
        prepared: list[Any],
        sampler: SamplerSettings,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ef_percent = self.head.quantiles(self.condition(video_tokens, video_mask, attributes), z)
        a = torch.zeros_like(ef_percent[:, :1])
        return ef_percent[None], a, torch.ones_like(a)


class McsdrNetwork(Network):
    """The paper's network: pooled video feature and attributes to one key, noise prediction at level t of 1000.

    Where a study has several clips their features are averaged; where it has none the feature is zero, and an unknown
    attribute is the training mean: the paper's own code raises in both cases.
    """

    target: RawPercent

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings, self.target = settings, RawPercent()
        self.video_encoder, self.width = build_encoder(settings)
        attribute_width = settings.attribute_width if settings.attributes else 0
        self.head = McsdrHead(self.width, len(settings.attributes), attribute_width, settings.time_width)
        self.register_buffer("levels", chain(), persistent=False)

    levels: Tensor

    def encode(self, video: Tensor, views: Sequence[str] | None = None) -> Tensor:
        tokens: Tensor = self.video_encoder(video)
        return tokens.mean(1, keepdim=True)

    def condition(self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor) -> Tensor:
        """The one condition vector [B, D]."""
        shown = video_mask[..., None].to(video_tokens.dtype)
        feature = (video_tokens * shown).sum(1) / shown.sum(1).clamp(min=1)
        condition: Tensor = self.head.condition(feature, attributes)
        return condition

    def loss(
        self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor, ef_percent: Tensor, pairs: Pairs
    ) -> tuple[Tensor, Tensor]:
        """‖ε_φ(sqrt(ᾱ_t) y + sqrt(1 − ᾱ_t) ε, t) − ε‖² with t uniform: the share of θ in (0, π/2) becomes that of t."""
        t = uniform_level(pairs.theta)
        theta = self.levels.to(pairs.theta.dtype)[t]
        y_t = theta.cos() * ef_percent[:, None] + theta.sin() * pairs.eps
        noise = self.head.noise(y_t, t, self.condition(video_tokens, video_mask, attributes))
        return (noise.float() - pairs.eps).square().mean(), ef_percent.new_zeros(())

    def prepare(self, angles: Tensor) -> list[Any]:
        """The level t nearest to each angle, and the angle: (t, sin θ, cos θ)."""
        prepared = []
        for theta in angles.tolist():
            t = (self.levels - theta).abs().argmin()
            held = min(theta, 0.5 * pi - asin(1e-3))  # at π/2 the signal is gone, and 1/cos θ without bound
            prepared.append((t, sin(held), cos(held)))
        return prepared

    def flow(
        self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor, prepared: list[Any]
    ) -> tuple[Velocity, Tensor, Tensor]:
        """v = (ε_φ − sin θ x)/cos θ, which is cos θ ε_φ − sin θ D with D = (x − sin θ ε_φ)/cos θ."""
        condition = self.condition(video_tokens, video_mask, attributes)

        def velocity(x: Tensor, i: int, theta: float) -> Tensor:
            t, sine, cosine = prepared[i]
            return (self.head.noise(x, t, condition) - sine * x) / cosine  # type: ignore[no-any-return]

        a = torch.zeros(len(attributes), 1, device=attributes.device)
        return velocity, a, torch.ones_like(a)


NETWORKS: dict[str, type[PosteriorNetwork | McsdrNetwork | HeadNetwork]] = {
    "posterior": PosteriorNetwork,
    "mcsdr": McsdrNetwork,
    "head": HeadNetwork,
}


def channels_last(network: AnyNetwork) -> AnyNetwork:
    """The same network with channels innermost in memory: its 3-D convolutions run about 2.4 times faster on a CPU."""
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network
