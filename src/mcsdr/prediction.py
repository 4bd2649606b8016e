"""From files to posteriors: the only such path, used by the command line, reports and anything that serves.

Every input gives one result or one typed failure, in the order given; one bad file never costs another its answer. A
result may be an abstention (`mcsdr.gates`): the clip was read, but its posterior is withheld, unless it is asked for
all the same, and then it is marked. A clip longer than one window is read by all its beats.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import mcsdr
from mcsdr import gates
from mcsdr.beats import Beats
from mcsdr.clips import beats_of, cut_windows, frame_indices, store, window_length
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import McsdrError
from mcsdr.files import sha256_of
from mcsdr.gates import Abstention
from mcsdr.io import no_clip, read_study, survey
from mcsdr.io.pace import pace_notices
from mcsdr.model import Model, VideoTokens
from mcsdr.posterior import Posterior
from mcsdr.protocol import ViewedFrames
from mcsdr.study import Attributes, Clip, Notice, Study

LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
# Sex-specific lower limit of normal, ASE/EACVI 2015 (Lang et al., J Am Soc Echocardiogr 28:1).
LOWER_LIMIT = {"M": 52.0, "F": 54.0}
BELIEFS = ("median", "mean", "sd", "interval_90", "quantiles", "prob", "modes", "beats", "beat_spread")  # of a record


@dataclass(frozen=True)
class BeatAnswer:
    """What one beat alone says: when it starts, in seconds after the clip's first frame, and its posterior."""

    start_s: float
    posterior: Posterior


@dataclass(frozen=True)
class Prediction:
    """One input that was read: what is believed of its ejection fraction, and what must be said with it.

    Attributes:
        posterior: always there; `record` withholds it where the model abstains and nobody insisted.
        abstained: why the posterior should not be relied on, where it should not.
        anyway: whether the posterior is asked for all the same.
        beats: what each beat of a longer clip says by itself; empty where one window was read.
        input_sha256: of the file that was read; None where the study came from no file.
    """

    path: str
    study: Study
    posterior: Posterior
    model: Model
    sampler: SamplerSettings
    notices: tuple[Notice, ...]
    seconds: dict[str, float] = field(default_factory=dict)  # "read", "encode", "sample"
    abstained: Abstention | None = None
    anyway: bool = False
    beats: tuple[BeatAnswer, ...] = ()
    input_sha256: str | None = None

    @property
    def withheld(self) -> bool:
        """Whether the posterior stays inside."""
        return self.abstained is not None and not self.anyway

    def record(self) -> dict[str, Any]:
        """The answer as plain data, the same for every consumer; ejection fractions in per cent.

        Where the model abstained, "abstained" says why and what to do, and what is believed is None unless it was asked
        for all the same.
        """
        why = self.abstained
        return {
            "file": self.path,
            "input_sha256": self.input_sha256,
            "error": None,
            "abstained": None if why is None else why.record(),
            **(dict.fromkeys(BELIEFS) if self.withheld else self._beliefs()),
            "attributes": self.study.attributes.known(),
            "clips": [_clip_record(clip) for clip in self.study.clips],
            "notices": [
                {"code": notice.code, "text": notice.text}
                for notice in self.notices
                if why is None or notice.code != why.code
            ],
            "disclaimer": self.model.card.notice,
            **provenance(self.model, self.sampler),
        }

    def _beliefs(self) -> dict[str, Any]:
        p = self.posterior
        medians = [beat.posterior.median for beat in self.beats]
        return {
            "median": _round(p.median),
            "mean": _round(p.mean),
            "sd": _round(p.sd),
            "interval_90": [_round(edge) for edge in p.interval(0.9)],
            "quantiles": {f"{level:g}": _round(p.quantile(level)) for level in LEVELS},
            "prob": self.probabilities(),
            "modes": [{"ef": _round(mode.location), "mass": _round(mode.mass)} for mode in p.modes()],
            "beats": [
                {
                    "start_s": _round(beat.start_s),
                    "median": _round(beat.posterior.median),
                    "interval_90": [_round(edge) for edge in beat.posterior.interval(0.9)],
                }
                for beat in self.beats
            ],
            "beat_spread": _round(float(np.std(medians, ddof=1))) if len(medians) > 1 else None,
        }

    def probabilities(self) -> dict[str, float]:
        """P(EF ≤ 30, 35, 40), P(40 < EF < 50), P(EF < 50), P(EF ≥ 50); below the limit of normal where sex is known.

        EF is continuous, so ≤ and < are the same number; P(≤ 40) + P(40–50) + P(≥ 50) = 1.
        """
        p = self.posterior
        below = {f"<={cut}": float(p.prob_below(cut)) for cut in (30, 35, 40)}
        below["<50"] = float(p.prob_below(50))
        below["40-50"] = below["<50"] - below["<=40"]
        below[">=50"] = 1 - below["<50"]
        limit = LOWER_LIMIT.get(self.study.attributes.sex or "")
        if limit is not None:
            below[f"<{limit:g}"] = float(p.prob_below(limit))
        return {name: _round(value) for name, value in below.items()}


@dataclass(frozen=True)
class Failure:
    """One input that could not be answered, and why."""

    path: str
    error: McsdrError
    input_sha256: str | None = None  # where the file could be opened at all

    def record(self) -> dict[str, Any]:
        """The same keys as an answer, all empty but the error."""
        error = {**self.error.record(), "message": str(self.error)}
        name = {"file": self.path, "input_sha256": self.input_sha256}
        return {**name, "error": error, **dict.fromkeys(("abstained", *BELIEFS))}


def provenance(model: Model, sampler: SamplerSettings) -> dict[str, Any]:
    """What makes an output repeatable: model, hash, its calibration, version, seed and sampler."""
    return {
        "model": model.card.name,
        "model_sha256": model.sha256,
        "calibration": None if sampler.draws else model.card.calibration or None,  # draws are left as drawn
        "version": mcsdr.__version__,
        "seed": sampler.seed,
        "sampler": {**vars(sampler), "evaluations": sampler.evaluations},
    }


def predict(
    paths: Sequence[str | Path],
    model: Model,
    *,
    age: float | None = None,
    sex: str | None = None,
    weight: float | None = None,
    height: float | None = None,
    frame_rate_hz: float | None = None,
    sampler: SamplerSettings | None = None,
    threshold: float | None = None,
    anyway: bool = False,
    passed_over: Counter[str] | None = None,
) -> Iterator[Prediction | Failure]:
    """Answer every clip of the given files and folders, one at a time, in order.

    Arguments:
        paths: files, or folders whose clips are all answered.
        model: what answers.
        age, sex, weight, height: years, "F"/"M", kg, cm; they stand above what a DICOM file says.
        frame_rate_hz: for files that do not say it.
        sampler: another way of sampling than the model's own.
        threshold, anyway: as for `answer`.
        passed_over: counts what of the folders is no clip, by kind.

    Raises:
        InvalidConfig: the threshold is no ejection fraction.
    """
    gates.checked_threshold(threshold)
    for path in paths:
        try:
            found = survey(path)
            if passed_over is not None:
                passed_over.update(found.passed_over)
            if not found.clips:
                raise no_clip(path, found)
        except McsdrError as error:
            yield Failure(str(path), error)
            continue
        for file in found.clips:
            yield answer_file(
                file,
                model,
                age=age,
                sex=sex,
                weight=weight,
                height=height,
                frame_rate_hz=frame_rate_hz,
                sampler=sampler,
                threshold=threshold,
                anyway=anyway,
            )


def answer_file(
    file: str | Path,
    model: Model,
    *,
    sampler: SamplerSettings | None = None,
    threshold: float | None = None,
    anyway: bool = False,
    **known: Any,
) -> Prediction | Failure:
    """Answer one clip.

    Arguments:
        file: the clip; a folder is a failure.
        model, sampler: as for `predict`.
        threshold, anyway: as for `answer`.
        known: what `read_study` may be told: age, sex, weight, height, frame_rate_hz.

    Raises:
        InvalidConfig: the threshold is no ejection fraction.
    """
    gates.checked_threshold(threshold)
    started, sha256 = time.perf_counter(), input_sha256(file)
    try:
        study = read_study(file, **known)
        took = time.perf_counter() - started
        return answer(str(file), study, model, sampler, took, threshold=threshold, anyway=anyway, input_sha256=sha256)
    except McsdrError as error:
        return Failure(str(file), error, sha256)


def input_sha256(file: str | Path) -> str | None:
    """SHA-256 of a file's bytes, read in pieces; None where there are none to read.

    Of a MetaImage it is the header's: the voxels that it points to are another file.
    """
    return sha256_of(Path(file))


@dataclass(frozen=True)
class Encoded:
    """A study that was read and whose clips are encoded: attributes may change, and nothing is encoded again.

    Attributes:
        starts_s: of each window when its beat starts, None if it is of none; empty where one window is read.
        seconds: "read" and "encode".
        input_sha256: of the file that the study was read from, if any.
    """

    path: str
    study: Study
    video: VideoTokens
    starts_s: tuple[float | None, ...]
    seconds: dict[str, float]
    input_sha256: str | None = None


def encode(
    path: str, study: Study, model: Model, read_seconds: float = math.nan, input_sha256: str | None = None
) -> Encoded:
    """Encode the clips of one study, by all their beats where they are longer than one window."""
    started = time.perf_counter()
    doubts = tuple(notice for clip in study.clips for notice in pace_notices(clip))
    study = replace(study, notices=study.notices + doubts)
    video, starts_s = _encode(study, model)
    seconds = {"read": read_seconds, "encode": time.perf_counter() - started}
    return Encoded(path, study, video, tuple(starts_s), seconds, input_sha256)


def answer(
    path: str,
    study: Study,
    model: Model,
    sampler: SamplerSettings | None = None,
    read_seconds: float = math.nan,
    *,
    threshold: float | None = None,
    anyway: bool = False,
    input_sha256: str | None = None,
) -> Prediction:
    """The posterior of one study with everything that must be said with it.

    Arguments:
        path: what to call it.
        threshold: an EF in per cent; abstain where the posterior does not tell on which side of it EF lies.
        anyway: give the posterior also where the model abstains; it is marked.
        input_sha256: of the file that the study was read from, if any.
    """
    gates.checked_threshold(threshold)
    encoded = encode(path, study, model, read_seconds, input_sha256)
    return conclude(encoded, model, sampler, threshold=threshold, anyway=anyway)


def conclude(
    encoded: Encoded,
    model: Model,
    sampler: SamplerSettings | None = None,
    *,
    attributes: Attributes | None = None,
    threshold: float | None = None,
    anyway: bool = False,
) -> Prediction:
    """From tokens to an answer; `attributes` stand in place of the study's own. Otherwise as `answer`."""
    gates.checked_threshold(threshold)
    study = encoded.study if attributes is None else replace(encoded.study, attributes=attributes)
    started = time.perf_counter()
    pooled, each = model.pooled_and_each(encoded.video, model.attribute_rows([study]), sampler)
    sampled = time.perf_counter()
    why = list(
        gates.fired(
            study,
            pooled[0],
            features=None if model.familiarity is None else model.features(encoded.video),
            familiarity=model.familiarity,
            adults_only=model.card.adults_only,
            threshold=threshold,
        )
    )
    notices = study.all_notices
    if not study.clips:
        notices += (Notice("no-video", "No clip was read: this is what is believed from the attributes alone."),)
    if anyway:
        known = {notice.code for notice in notices}
        notices += tuple(Notice(gate.code, gate.reason) for gate in why if gate.code not in known)
    return Prediction(
        encoded.path,
        study,
        pooled[0],
        model,
        sampler or model.sampler,
        notices,
        {**encoded.seconds, "sample": sampled - started},
        abstained=why[0] if why else None,
        anyway=anyway,
        beats=tuple(BeatAnswer(start, each[g]) for g, start in enumerate(encoded.starts_s) if start is not None),
        input_sha256=encoded.input_sha256,
    )


def _encode(study: Study, model: Model) -> tuple[VideoTokens, list[float | None]]:
    """The study's tokens, and of each window when its beat starts, in seconds after its clip's first frame.

    A model that would read one window of each clip reads all beats of one that is longer.
    """
    stored = [(store(clip, model.clip), clip.view) for clip in study.clips]
    if not model.reads_beats(study.clips):
        return model.encode_stored([stored]), []
    beats = [beats_of(clip, frames, model.clip) for clip, (frames, _) in zip(study.clips, stored, strict=True)]
    protocol = model.protocol.changed(windows="beats")
    starts_s = [
        start
        for clip, frames, found in zip(study.clips, stored, beats, strict=True)
        for start in _starts_s(clip, frames, found, model)
    ]
    return model.encode_stored([stored], protocol, [beats]), starts_s if protocol.together == 1 else []


def _starts_s(clip: Clip, stored: ViewedFrames, beats: Beats, model: Model) -> list[float | None]:
    """When the beat of each window starts; None for the windows that are not of one beat."""
    times = clip.frame_times_s[frame_indices(clip.frame_times_s, model.clip)] - clip.frame_times_s[0]
    of_beats = beats.windows(window_length(len(stored[0]), model.clip))
    others = len(cut_windows(stored[0], model.clip, "beats", beats)) - len(of_beats)
    return [float(times[window.beat.end_diastole]) for window in of_beats] + [None] * others


def _clip_record(clip: Any) -> dict[str, Any]:
    crop = None if clip.crop is None else vars(clip.crop)
    return {
        "frames": len(clip.frames),
        "frame_rate_hz": _round(clip.frame_rate_hz),
        "duration_s": _round(clip.duration_s),
        "heart_rate_bpm": clip.heart_rate_bpm,
        "crop": crop,
    }


def _round(value: float) -> float:
    """Four decimals: beyond them a threaded sum may differ between machines."""
    return round(float(value), 4)
