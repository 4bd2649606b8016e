"""From files to posteriors: the only such path, used by the command line, reports and anything that serves.

Every input gives one result or one typed failure, in the order given; one bad file never costs another its answer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mcsdr
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import McsdrError, MissingFile
from mcsdr.io import find_clips, read_study
from mcsdr.model import Model
from mcsdr.posterior import Posterior
from mcsdr.study import ADULT_YEARS, Notice, Study

LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
# Sex-specific lower limit of normal, ASE/EACVI 2015 (Lang et al., J Am Soc Echocardiogr 28:1).
LOWER_LIMIT = {"M": 52.0, "F": 54.0}
WIDE_INTERVAL = 25.0


@dataclass(frozen=True)
class Prediction:
    """One answered input: what was read, what is believed of its ejection fraction, and what must be said with it."""

    path: str
    study: Study
    posterior: Posterior
    model: Model
    sampler: SamplerSettings
    notices: tuple[Notice, ...]
    seconds: dict[str, float] = field(default_factory=dict)  # "read", "encode", "sample"

    def record(self) -> dict[str, Any]:
        """The answer as plain data, the same for every consumer; ejection fractions in per cent."""
        p = self.posterior
        return {
            "file": self.path,
            "error": None,
            "median": _round(p.median),
            "mean": _round(p.mean),
            "sd": _round(p.sd),
            "interval_90": [_round(edge) for edge in p.interval(0.9)],
            "quantiles": {f"{level:g}": _round(p.quantile(level)) for level in LEVELS},
            "prob": self.probabilities(),
            "modes": [{"ef": _round(mode.location), "mass": _round(mode.mass)} for mode in p.modes()],
            "attributes": self.study.attributes.known(),
            "clips": [_clip_record(clip) for clip in self.study.clips],
            "notices": [{"code": notice.code, "text": notice.text} for notice in self.notices],
            "disclaimer": self.model.card.notice,
            **provenance(self.model, self.sampler),
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

    def record(self) -> dict[str, Any]:
        """The same keys as an answer, all empty but the error."""
        empty = ("median", "mean", "sd", "interval_90", "quantiles", "prob", "modes")
        error = {**self.error.record(), "message": str(self.error)}
        return {"file": self.path, "error": error, **dict.fromkeys(empty)}


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
) -> Iterator[Prediction | Failure]:
    """Answer every clip of the given files and folders, one at a time, in order.

    Arguments:
        paths: files, or folders whose clips are all answered.
        model: what answers.
        age, sex, weight, height: years, "F"/"M", kg, cm; they stand above what a DICOM file says.
        frame_rate_hz: for files that do not say it.
        sampler: another way of sampling than the model's own.
    """
    for path in paths:
        try:
            files = find_clips(path)
            if not files:
                raise MissingFile(
                    "the folder holds no clip", path=path, next_step="Give a folder of AVI, MP4, MOV or DICOM files."
                )
        except McsdrError as error:
            yield Failure(str(path), error)
            continue
        for file in files:
            try:
                started = time.perf_counter()
                study = read_study(file, age=age, sex=sex, weight=weight, height=height, frame_rate_hz=frame_rate_hz)
                yield answer(str(file), study, model, sampler, read_seconds=time.perf_counter() - started)
            except McsdrError as error:
                yield Failure(str(file), error)


def answer(
    path: str, study: Study, model: Model, sampler: SamplerSettings | None = None, read_seconds: float = math.nan
) -> Prediction:
    """The posterior of one study with everything that must be said with it."""
    started = time.perf_counter()
    video = model.encode([study])
    encoded = time.perf_counter()
    posterior = model.posterior(video, model.attribute_rows([study]), sampler)[0]
    sampled = time.perf_counter()
    seconds = {"read": read_seconds, "encode": encoded - started, "sample": sampled - encoded}
    notices = study.all_notices + tuple(_notices(study, posterior, model))
    return Prediction(path, study, posterior, model, sampler or model.sampler, notices, seconds)


def _notices(study: Study, posterior: Posterior, model: Model) -> Iterator[Notice]:
    """What follows from the answer itself."""
    age = study.attributes.age_years
    if model.card.adults_only and age is not None and age < ADULT_YEARS:
        text = f"The patient is {age:g} years old; this model has learnt from adults only. Do not use this answer."
        yield Notice("adult-model-for-a-child", text)
    if not study.clips:
        yield Notice("no-video", "No clip was read: this is what is believed from the attributes alone.")
    low, high = posterior.interval(0.9)
    if high - low > WIDE_INTERVAL:
        text = f"The 90 % interval is {high - low:.0f} points wide: this clip says little of the ejection fraction."
        yield Notice("wide-interval", text)
    modes = posterior.modes()
    if len(modes) > 1:
        readings = " or ".join(f"about {mode.location:.0f} ({100 * mode.mass:.0f} %)" for mode in modes)
        yield Notice("two-peaked", f"Two readings fit: {readings}; do not average.")


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
