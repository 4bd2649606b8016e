"""The estimator: `answer = model(study)`.

A model is a network, the settings that its training fixed (sampling of clips, statistics of the attributes) and a card
that says what it was trained on. It encodes clips, samples posteriors, pools and recalibrates them:

    studies --encode--> VideoTokens --posterior--> a batch of posteriors       (`posteriors` is both at once)

`model(study)` does more: it reads all beats and knows when not to answer (`mcsdr.model.answer`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcsdr.abstention.familiarity import Familiarity, token_features
from mcsdr.abstention.gates import checked_threshold
from mcsdr.abstention.looks import LookSpread
from mcsdr.clips import ClipSettings, beats_of, frame_indices, store
from mcsdr.clips.attributes import AttributeStatistics, attribute_row
from mcsdr.clips.beats import Beats
from mcsdr.clips.protocol import ProtocolSettings, ViewedFrames
from mcsdr.diffusion.sampler import EXACT, SamplerSettings, starting_points
from mcsdr.diffusion.schedule import angles
from mcsdr.errors import InvalidConfig
from mcsdr.model.answer import Answer, Answers, conclude
from mcsdr.model.beliefs import Beliefs, beliefs
from mcsdr.model.card import Card, population_of
from mcsdr.model.encoding import encode, encoded_windows
from mcsdr.model.flow import Flow, in_pieces
from mcsdr.model.outline import OutlineReading
from mcsdr.model.video_tokens import VideoTokens
from mcsdr.nn.network import Network, PosteriorNetwork, channels_last, has_bf16
from mcsdr.nn.video_encoder import PLACES
from mcsdr.posterior import Posterior
from mcsdr.posterior.population import Population, named_population
from mcsdr.posterior.recalibration import Calibration
from mcsdr.study import Clip, Study

WORKED_OUT = ("weights_sha256", "population", "_prior")  # cached properties of a model


class Model:
    """A trained network that answers studies with posteriors.

    Arguments:
        network: the weights.
        clip: how clips are sampled.
        statistics: attribute statistics of the training split.
        card: what the model is.
        sampler: how posteriors are sampled unless a call says otherwise.
        protocol: which windows are seen and how they are pooled unless a call says otherwise.
        calibration: what its posteriors are recalibrated by, where they are (`mcsdr.evaluation.calibration`).
        familiarity: what clips it knows, where that was learnt (`mcsdr.evaluation.gating`); answers do not depend on
            it.
        look_spread: by how much the looks at clips that it knows disagree, where that was measured, likewise.
        population: how frequent each EF was where it learnt; None where that is not known.
        outline: what reads the cavity's outline from the encoder's maps, where that was learnt
            (`mcsdr.evaluation.outlining`); answers do not depend on it.
    """

    def __init__(
        self,
        network: Network,
        clip: ClipSettings,
        statistics: AttributeStatistics,
        card: Card,
        sampler: SamplerSettings = EXACT,
        protocol: ProtocolSettings = ProtocolSettings(),  # noqa: B008 (frozen)
        calibration: Calibration | None = None,
        familiarity: Familiarity | None = None,
        look_spread: LookSpread | None = None,
        population: Population | None = None,
        outline: OutlineReading | None = None,
    ) -> None:
        self.network = channels_last(network.eval().requires_grad_(False))
        self.clip, self.statistics, self.card = clip, statistics, card
        self.sampler, self.protocol, self.calibration = sampler, protocol, calibration
        self.familiarity, self.look_spread = familiarity, look_spread
        self.stored_population, self.outline = population, outline
        self.saved_as: dict[str, str] = {}  # the digest on disk of what was loaded, by the digest that it has here
        self._flows: dict[SamplerSettings, torch.nn.Module] = {}

    def __copy__(self) -> Model:
        """The same model, to be given other parts: what was worked out of the parts that it has is not taken along."""
        other = object.__new__(type(self))
        other.__dict__ = {name: part for name, part in vars(self).items() if name not in WORKED_OUT}
        return other

    @property
    def device(self) -> torch.device:
        """Where the network lives; move it with `model.network.to(device)` before the first call."""
        return self.network.device

    @property
    def precision(self) -> str:
        """Of the encoder's convolutions: "bfloat16" on a processor that has it, which moves medians by less than 0.05.

        The environment's MCSDR_PRECISION=float32 gives the same numbers on every machine.
        """
        compact, device = self.network.settings.encoder == "compact", self.device
        wanted = os.environ.get("MCSDR_PRECISION") or ("bfloat16" if has_bf16(device) else "float32")
        return "bfloat16" if compact and device.type == "cpu" and wanted == "bfloat16" else "float32"

    def mixed(self) -> torch.autocast:
        """The context in which clips are encoded, of `precision`."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    @property
    def places(self) -> int:
        """Places of the picture that tokens stand for at each instant, as far as they are the same for all clips."""
        return PLACES if self.network.settings.encoder == "compact" else 1

    def features(self, video: VideoTokens) -> NDArray[np.float64]:
        """What `familiarity` asks of each window as it is, without its further looks, [W, …]."""
        tokens, mask = video.tokens[video.plain], video.mask[video.plain]
        return token_features(tokens.float().cpu().numpy(), mask.cpu().numpy(), self.places)

    @cached_property
    def population(self) -> Population:
        """How frequent each reported EF was in the training population: stored with the model, or its phantoms' own.

        Raises:
            InvalidModel: it is not known.
        """
        return self.stored_population or population_of(self.card)

    @property
    def sha256(self) -> str:
        """The digest of weights and description, as in the model.json that was loaded, or that would be saved now."""
        from mcsdr.model import storage

        digest = storage.digest_of(storage.description_of(self, self.weights_sha256))
        return self.saved_as.get(digest, digest)

    @cached_property
    def weights_sha256(self) -> str:
        """Hash of the weights alone, as they are saved; worked out once."""
        from mcsdr.model import storage

        return hashlib.sha256(storage.weights_of(self)).hexdigest()

    @overload
    def __call__(
        self,
        study: Study,
        *,
        sampler: SamplerSettings | None = None,
        threshold: float | None = None,
        anyway: bool = False,
        prior: Population | str | None = None,
        label: str = "",
    ) -> Answer: ...
    @overload
    def __call__(
        self,
        study: Sequence[Study],
        *,
        sampler: SamplerSettings | None = None,
        threshold: float | None = None,
        anyway: bool = False,
        prior: Population | str | None = None,
        label: str = "",
    ) -> Answers: ...
    def __call__(
        self,
        study: Study | Sequence[Study],
        *,
        sampler: SamplerSettings | None = None,
        threshold: float | None = None,
        anyway: bool = False,
        prior: Population | str | None = None,
        label: str = "",
    ) -> Answer | Answers:
        """The answer to one study, or to each of several: what `mcsdr predict` says, abstentions among it.

        Each study is answered by itself, all beats of its clips are read, and every check of `mcsdr.abstention` made.

        Arguments:
            study: one study gives an `Answer`, a sequence `Answers`.
            sampler: another way of sampling than the model's own, such as `mcsdr.diffusion.sampler.PAPER`.
            threshold: an EF in per cent; abstain where the posterior does not tell on which side of it EF lies.
            anyway: give the posterior also where the model abstains; it is marked.
            prior: the population that the study comes from, or the name of one (`mcsdr.posterior.population`), in place
                of that which the model learnt from.
            label: of the user's own, to stand in reports.

        Raises:
            ClipTooShort: a clip holds too few frames.
            InvalidConfig: the threshold is no ejection fraction, there is no such population, or what was given is no
                study.
            InvalidModel: a population is stated, and that which the model learnt from is not known.
        """
        checked_threshold(threshold)
        stated = named_population(prior) if isinstance(prior, str) else prior
        if isinstance(study, Study):
            how: dict[str, Any] = {"threshold": threshold, "anyway": anyway, "prior": stated, "label": label}
            return conclude(encode(study, self), self, sampler, **how)
        if isinstance(study, str | Path) or not all(isinstance(one, Study) for one in study):
            raise InvalidConfig(
                "a model answers studies, and this is none.",
                next_step="Read the file first, model(mcsdr.read_study(file)), or call mcsdr.predict(file).",
            )
        return Answers(
            self(one, sampler=sampler, threshold=threshold, anyway=anyway, prior=stated, label=label) for one in study
        )

    def posteriors(
        self,
        studies: Sequence[Study],
        sampler: SamplerSettings | None = None,
        protocol: ProtocolSettings | None = None,
        *,
        one_beat: bool = False,
    ) -> Posterior:
        """The posteriors of several studies as one batch of arrays [B], with no word on whether to rely on them.

        For measuring: windows are the protocol's, and no clip is refused. Where an answer is wanted, call the model.

        Arguments:
            studies: one or more.
            sampler: another way of sampling than the model's own.
            protocol: other windows, or another way of pooling clips, than the model's own.
            one_beat: what is asked for is the reading of one beat, whichever it was: windows are mixed, not averaged.

        Raises:
            ClipTooShort: a clip holds too few frames.
        """
        video, known = self.encode(studies, protocol), self.attribute_rows(studies)
        return self.beliefs(video, known, sampler, one_beat=one_beat).studies

    def attribute_rows(self, studies: Sequence[Study]) -> np.ndarray:
        """What is known of each patient as the network takes it: standardised, NaN where unknown, [B, A]."""
        rows = [attribute_row(study.attributes, self.statistics.names) for study in studies]
        return self.statistics.standardise(np.array(rows, dtype=np.float64).reshape(len(rows), -1))

    def reads_beats(self, clips: Iterable[Clip]) -> bool:
        """Whether any of the clips holds more than the model's one window, so that `mcsdr predict` reads all beats."""
        if self.clip.sampling == "whole" or self.protocol.windows != "one":
            return False
        return any(len(frame_indices(clip.frame_times_s, self.clip)) > self.clip.frames for clip in clips)

    def encode(self, studies: Sequence[Study], protocol: ProtocolSettings | None = None) -> VideoTokens:
        """The video tokens of each study; the costly part, done once per clip whatever is then asked."""
        stored = [[(store(clip, self.clip), clip.view) for clip in study.clips] for study in studies]
        if (protocol or self.protocol).windows != "beats" or self.clip.sampling == "whole":
            return self.encode_stored(stored, protocol)
        beats = [
            [beats_of(clip, frames, self.clip) for clip, (frames, _) in zip(study.clips, clips, strict=True)]
            for study, clips in zip(studies, stored, strict=True)
        ]
        return self.encode_stored(stored, protocol, beats)

    def encode_stored(
        self,
        studies: Sequence[Sequence[ViewedFrames]],
        protocol: ProtocolSettings | None = None,
        beats: Sequence[Sequence[Beats]] | None = None,
    ) -> VideoTokens:
        """The video tokens of studies whose clips are stored frames, uint8 [S, H, W], and their views.

        Arguments:
            beats: of each clip of each study, for the windows "beats"; found in the frames where not given.
        """
        return encoded_windows(self, studies, protocol or self.protocol, beats)

    @torch.inference_mode()
    def posterior(
        self, video: VideoTokens, attributes: np.ndarray, sampler: SamplerSettings | None = None
    ) -> Posterior:
        """Posteriors from encoded videos and standardised attributes [B, A], NaN where unknown.

        A calibrated model's tables of quantiles are recalibrated clip by clip, before clips are pooled; iid draws stay
        as drawn.
        """
        return self.beliefs(video, attributes, sampler).studies

    @torch.inference_mode()
    def beliefs(
        self,
        video: VideoTokens,
        attributes: np.ndarray,
        sampler: SamplerSettings | None = None,
        *,
        one_beat: bool = False,
    ) -> Beliefs:
        """The posteriors of the studies, and of each clip and each window by itself; arguments as for `posteriors`."""
        settings = sampler or self.sampler
        z = starting_points(settings, len(video.owner), keys=video.key)
        known = torch.from_numpy(attributes[video.owner]).to(self.device)
        states, a, b = in_pieces(self._flow(settings), video.tokens, video.mask, known, z.to(self.device))
        percent = self.network.target.to_percent(states.double(), a.double(), b.double()).cpu().numpy()
        path = {}
        if self.network.integrates:
            theta = angles(settings.schedule, settings.steps)
            paths = percent if self._prior is None else self._belief(states, theta, a, b)
            path = {"trajectories": paths, "angles": theta.numpy()}
        if settings.draws is None:
            looks = Posterior.from_nodes(z[0].double().numpy(), percent[-1], **path)
        else:
            looks = Posterior.from_draws(percent[-1].clip(0, 100) if settings.clipped else percent[-1], **path)
        calibration = self.calibration if settings.draws is None else None
        return beliefs(looks, video, ~np.isnan(attributes).all(axis=1), calibration, one_beat)

    @cached_property
    def _prior(self) -> tuple[float, float] | None:
        """Location and scale of the belief where nothing is known; None of a network that has none."""
        return self.network.prior() if isinstance(self.network, PosteriorNetwork) else None

    def _belief(self, states: Tensor, theta: Tensor, a: Tensor, b: Tensor) -> NDArray[np.float64]:
        """The sampler's states as belief in EF per cent, from the prior on."""
        assert self._prior is not None
        assert isinstance(self.network, PosteriorNetwork)
        own = a.double(), b.double()
        return self.network.target.belief(states.double(), theta.to(states.device), own, self._prior).cpu().numpy()

    def _flow(self, settings: SamplerSettings) -> torch.nn.Module:
        if settings not in self._flows:
            self._flows[settings] = Flow(self.network, settings)
        return self._flows[settings]

    def without_score(self) -> Model:
        """The same weights with the flow replaced by its own location-scale head, not recalibrated.

        The posterior is then a logit-normal. Ask both, `model.uncalibrated()` the other, to see what the flow is worth.

        Raises:
            InvalidConfig: the network has no such head.
        """
        if not isinstance(self.network, PosteriorNetwork):
            raise InvalidConfig(
                f"a network of kind {self.network.settings.kind!r} has no location-scale head to fall back on.",
                next_step='Take a model of kind "posterior".',
            )
        return self._with(self.network.without_score())

    def uncalibrated(self) -> Model:
        """The same model without its recalibration."""
        return self._with(self.network)

    def _with(self, network: Network) -> Model:
        return Model(
            network,
            self.clip,
            self.statistics,
            self.card,
            self.sampler,
            self.protocol,
            familiarity=self.familiarity,
            look_spread=self.look_spread,
            population=self.stored_population,
            outline=self.outline,
        )

    def unroll(self) -> Model:
        """Unroll the model's own sampler into one graph, which takes about half the time per call; returns itself.

        It costs a fraction of a second, so it pays where many clips are answered one by one. Answers stay the same to
        float precision, for every batch size and clip length. A network that takes no steps is left as it is.
        """
        if not self.network.integrates:
            return self
        studies = [Study(), Study()]
        rows = torch.from_numpy(self.attribute_rows(studies)).to(self.device)
        tokens = torch.zeros(2, 5, self.network.width, device=self.device)
        mask = torch.ones(2, 5, dtype=torch.bool, device=self.device)
        z = starting_points(self.sampler, len(rows)).to(self.device)
        # TorchScript is deprecated, but torch.export's graph runs no faster than the eager loop and torch.compile needs
        # a C++ compiler at run time (docs/log.md).
        with torch.no_grad():
            flow = Flow(self.network, self.sampler)
            self._flows[self.sampler] = torch.jit.trace(flow, (tokens, mask, rows, z))  # type: ignore[no-untyped-call]
        return self

    def save(self, folder: str | Path) -> None:
        """Write model.safetensors and model.json, each in one piece or not at all."""
        from mcsdr.model import storage  # which makes models, and so imports this module

        storage.save(self, folder)

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.network.parameters())
        learnt = "synthetic phantoms" if self.card.synthetic else self.card.training_data
        return (
            f"Model({self.card.name}, {count:,} parameters, trained on {learnt}; research use only, not for diagnosis)"
        )

    def _repr_html_(self) -> str:
        from mcsdr.report.notebook import model_html

        return model_html(repr(self), self.card.notice, self.sha256)
