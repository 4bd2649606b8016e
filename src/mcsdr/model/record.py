"""An answer as plain data, in full (a record) and as one row of a table.

`record_of` is what `mcsdr predict --json` prints, what the service sends and what reports are made of; `row_of` are the
cells of `mcsdr predict --csv` and `mcsdr batch`. Ejection fractions are in per cent. What is withheld or unknown is
None. The columns of a row are fixed, so that rows can be appended: `error` and `abstained` hold codes, one of them at
most; `reason` and `next_step` belong to either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import mcsdr
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import InvalidModel
from mcsdr.posterior import Posterior
from mcsdr.posterior.told import LEVELS

if TYPE_CHECKING:
    from mcsdr.model.answer import Answer
    from mcsdr.model.model import Model
    from mcsdr.posterior.modes import Mode
    from mcsdr.study import Clip

# Sex-specific lower limit of normal, ASE/EACVI 2015 (Lang et al., J Am Soc Echocardiogr 28:1).
LOWER_LIMIT = {"M": 52.0, "F": 54.0}
# Of a record: what is withheld where the model abstains. "interval_90" is that of a reader's report, "heart" has the
# heart's own.
BELIEFS = (
    *("median", "mean", "sd", "interval_90", "quantiles", "prob", "modes", "heart", "beats", "beat_spread"),
    *("look_spread", "look_spread_percentile"),
)

CUTS = ("<=30", "<=35", "<=40", "<50", "40-50", ">=50", *(f"<{limit:g}" for limit in sorted(LOWER_LIMIT.values())))
AS_THEY_ARE = (
    "file",
    "median",
    "mean",
    "sd",
    "beat_spread",
    "look_spread",
    "input_sha256",
    "model",
    "model_sha256",
    "version",
    "seed",
)
COLUMNS = (
    "file",
    "median",
    "mean",
    "sd",
    "low_90",
    "high_90",
    "heart_low_90",
    "heart_high_90",
    *(f"q{level:g}" for level in LEVELS),
    *(f"P(EF{cut})" for cut in CUTS),
    "beats",
    "beat_spread",
    "look_spread",
    "abstained",
    "error",
    "reason",
    "next_step",
    "notices",
    "prior",
    "input_sha256",
    "model",
    "model_sha256",
    "version",
    "seed",
    "disclaimer",
)


def record_of(answer: Answer) -> dict[str, Any]:
    """The record of an answer.

    Where the model abstained, "abstained" says why and what to do, and what is believed is None unless it was asked for
    all the same.
    """
    why = answer.abstained
    analysed = answer.analysed_at
    return {
        "file": answer.path,
        "label": answer.label or None,
        "analysed": None if analysed is None else analysed.isoformat().replace("+00:00", "Z"),
        "input_sha256": answer.input_sha256,
        "error": None,
        "abstained": None if why is None else why.record(),
        **(dict.fromkeys(BELIEFS) if answer.withheld else _beliefs(answer)),
        "attributes": answer.study.attributes.known(),
        "clips": [_clip(clip) for clip in answer.study.clips],
        "notices": [
            {"code": notice.code, "text": notice.text}
            for notice in answer.notices
            if why is None or notice.code != why.code
        ],
        "prior": _population(answer),
        "disclaimer": answer.model.card.notice,
        **provenance(answer.model, answer.sampler),
    }


def _population(answer: Answer) -> str | None:
    """The name of the population whose p(EF) the answer rests on: as stated, or the training's, where that is known."""
    if answer.prior is not None:
        return answer.prior.name
    try:
        return answer.model.population.name
    except InvalidModel:
        return None


def provenance(model: Model, sampler: SamplerSettings) -> dict[str, Any]:
    """What makes an output repeatable: model, hash, its calibration, version, precision, seed and sampler."""
    return {
        "model": model.card.name,
        "model_sha256": model.sha256,
        "calibration": None if sampler.draws else model.card.calibration or None,  # draws are left as drawn
        "version": mcsdr.__version__,
        "precision": model.precision,
        "seed": sampler.seed,
        "sampler": {**vars(sampler), "evaluations": sampler.evaluations, "point": sampler.point},
    }


def probabilities(posterior: Posterior, sex: str | None) -> dict[str, float]:
    """P(EF ≤ 30, 35, 40), P(40 < EF < 50), P(EF < 50), P(EF ≥ 50); below the limit of normal where sex is known.

    EF is continuous, so ≤ and < are the same number; P(≤ 40) + P(40–50) + P(≥ 50) = 1.
    """
    below = {f"<={cut}": float(posterior.prob_below(cut)) for cut in (30, 35, 40)}
    below["<50"] = float(posterior.prob_below(50))
    below["40-50"] = below["<50"] - below["<=40"]
    below[">=50"] = 1 - below["<50"]
    limit = LOWER_LIMIT.get(sex or "")
    if limit is not None:
        below[f"<{limit:g}"] = float(posterior.prob_below(limit))
    return {name: _round(value) for name, value in below.items()}


def row_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a record (an answer's or a failure's) by column; None is an empty cell."""
    row = dict.fromkeys(COLUMNS) | {name: record.get(name) for name in AS_THEY_ARE}
    row["low_90"], row["high_90"] = record["interval_90"] or (None, None)
    row["heart_low_90"], row["heart_high_90"] = (record["heart"] or {}).get("interval_90") or (None, None)
    row["prior"] = record.get("prior")
    row |= {f"q{level}": ef for level, ef in (record["quantiles"] or {}).items()}
    row |= {f"P(EF{cut})": p for cut, p in (record["prob"] or {}).items()}
    row["beats"] = len(record["beats"] or ()) or None
    why, error = record["abstained"] or {}, record["error"] or {}
    row["abstained"], row["error"] = why.get("code"), error.get("code")
    row["reason"] = error.get("cause") or why.get("reason")
    row["next_step"] = error.get("next_step") or why.get("next_step")
    row["notices"] = " ".join(dict.fromkeys(notice["code"] for notice in record.get("notices", ()))) or None
    row["disclaimer"] = record.get("disclaimer") or mcsdr.DISCLAIMER
    return row


def _beliefs(answer: Answer) -> dict[str, Any]:
    p, modes = answer.belief, cast("list[Mode]", answer.belief.modes())
    medians = [float(beat.posterior.median) for beat in answer.beats]
    return {
        "median": _round(p.median),
        "mean": _round(p.mean),
        "sd": _round(p.sd),
        "interval_90": [_round(edge) for edge in p.interval(0.9)],
        "quantiles": {f"{level:g}": _round(p.quantile(level)) for level in LEVELS},
        "prob": probabilities(p, answer.study.attributes.sex),
        "modes": [{"ef": _round(mode.location), "mass": _round(mode.mass)} for mode in modes],
        "heart": _heart(answer),
        "beats": [
            {
                "start_s": _round(beat.start_s),
                "median": _round(beat.posterior.median),
                "interval_90": [_round(edge) for edge in beat.posterior.interval(0.9)],
            }
            for beat in answer.beats
        ],
        "beat_spread": _round(float(np.std(medians, ddof=1))) if len(medians) > 1 else None,
        **_looks(answer),
    }


def _heart(answer: Answer) -> dict[str, Any] | None:
    """The heart's own EF, and the SD of a reader's error that was taken out; None where that is not known."""
    heart = answer.heart
    if heart is None:
        return None
    return {
        "median": _round(heart.median),
        "interval_90": [_round(edge) for edge in heart.interval(0.9)],
        "reader_sd": answer.model.card.readers_sd,
    }


def _looks(answer: Answer) -> dict[str, float | None]:
    """By how much looks at the clip disagree, and in how many of 100 clips that the model reads well they do less."""
    spread, measured = answer.look_spread, answer.model.look_spread
    if math.isnan(spread):
        return {"look_spread": None, "look_spread_percentile": None}
    rank = None if measured is None else round(measured.percentile(spread), 1)
    return {"look_spread": _round(spread), "look_spread_percentile": rank}


def _clip(clip: Clip) -> dict[str, Any]:
    return {
        "frames": len(clip.frames),
        "frame_rate_hz": _round(clip.frame_rate_hz),
        "duration_s": _round(clip.duration_s),
        "heart_rate_bpm": clip.heart_rate_bpm,
        "crop": None if clip.crop is None else vars(clip.crop),
    }


def _round(value: Any) -> float:
    """Four decimals: beyond them a threaded sum may differ between machines."""
    return round(float(value), 4)
