"""Records as `mcsdr predict --json` prints them, made at random."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

FRAMES = 30  # of the clip
EMPTY = ("median", "mean", "sd", "interval_90", "quantiles", "prob", "modes", "beats", "beat_spread")
WHY = {
    "code": "wide-interval",
    "reason": "The 90 % interval is 31 points wide – too wide.",
    "next_step": "Ask for another clip of the study.",
}


@cache
def _header() -> Dataset:
    return dcmread(get_testdata_file("examples_ybr_color.dcm"), stop_before_pixels=True)


def clip_header() -> Dataset:
    """The header of a real apical four-chamber clip; elements may be added, changed and taken away."""
    header = Dataset()
    header.update(_header())
    header.file_meta = _header().file_meta
    return header


def answer(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """An answered clip with random numbers of four decimals."""
    rng = np.random.default_rng(seed)
    q = [round(float(value), 4) for value in np.sort(rng.uniform(0, 100, 3))]
    p = [round(float(value), 4) for value in np.sort(rng.uniform(0, 1, 4))]
    prob = dict(zip(("<=30", "<=35", "<=40", "<50"), p, strict=True))
    prob |= {"40-50": round(p[3] - p[2], 4), ">=50": round(1 - p[3], 4)}
    sex = (None, "F", "M")[seed % 3]
    if sex:
        prob["<54" if sex == "F" else "<52"] = round(float(rng.uniform()), 4)
    starts = sorted(rng.uniform(0, 1, seed % 4))
    return {
        "file": "/archive/PLANTED^NAME/clip.dcm",
        "error": None,
        "abstained": None,
        "median": q[1],
        "mean": round(float(rng.uniform(q[0], q[2])), 4),
        "sd": round(float(rng.uniform(0.0001, 30)), 4),
        "interval_90": [q[0], q[2]],
        "quantiles": {"0.05": q[0], "0.5": q[1], "0.95": q[2]},
        "prob": prob,
        "modes": [{"ef": q[1], "mass": 1.0}],
        "beats": [
            {"start_s": round(float(s), 4), "median": round(float(rng.uniform(0, 100)), 4), "interval_90": [q[0], q[2]]}
            for s in starts
        ],
        "beat_spread": None,
        "attributes": {"age_years": 63.0, **({"sex": sex} if sex else {})},
        "clips": [{"frames": FRAMES, "frame_rate_hz": 30.0, "duration_s": 1.0, "heart_rate_bpm": None, "crop": None}],
        "notices": [{"code": "may-hold-less-than-one-beat", "text": "P(EF ≤ 40 %) … – said the notice."}],
        "disclaimer": "Research use only; not for diagnosis. A clinician reads the images.",
        "model": "phantom-a4c",
        "model_sha256": "0123456789abcdef" * 4,
        "calibration": None,
        "version": "0.1.0",
        "seed": 0,
        "sampler": {"sampler": "midpoint", "steps": 4, "schedule": "quadratic", "draws": None, "seed": 0},
        **changes,
    }


def abstention(**changes: Any) -> dict[str, Any]:
    """A clip that was read and not answered."""
    return answer(abstained=WHY, **dict.fromkeys(EMPTY), **changes)


def failure() -> dict[str, Any]:
    """A clip that could not be read; paths and messages name a patient."""
    error = {
        "code": "not-b-mode",
        "cause": "its header says that it holds colour flow (colour Doppler)",
        "next_step": "Choose a grey-scale (B-mode) apical four-chamber clip of the same study.",
        "path": "/archive/PLANTED^NAME/clip.dcm",
        "message": "/archive/PLANTED^NAME/clip.dcm: its header says …",
    }
    return {"file": "/archive/PLANTED^NAME/clip.dcm", "error": error, "abstained": None, **dict.fromkeys(EMPTY)}
