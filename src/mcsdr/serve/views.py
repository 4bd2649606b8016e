"""What the page draws of an answer: the record, the same words as every report, and drawings, as plain data.

The page moves a threshold t over the belief without asking again, so F is sent on a grid of half EF points,

    P(EF ≤ t) = F(t),   t = 0, 0.5, …, 100,

which is all that its slider can stand on. Frames are sent as one picture, a sheet of rows and columns: it loops without
a video codec, stops on any frame, and the end-diastole and end-systole that the model suggests are places in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mcsdr.abstention.gates import ANOTHER_VIEW
from mcsdr.model import Answer, Model
from mcsdr.posterior.categories import CATEGORIES, category_percents, percent
from mcsdr.posterior.svg import MARGIN, WIDTH, window_of
from mcsdr.prediction import Failure
from mcsdr.report import (
    CUT_NOTE,
    SOCIETIES,
    analysed_line,
    band_shares,
    beats_line,
    display_names,
    further_notices,
    headline,
    heart_line,
    insisted,
    is_withheld,
    svg,
    thresholds,
)
from mcsdr.report.basis import known_of, reasons
from mcsdr.serve.pictures import Marks
from mcsdr.study import Clip, View

STEP = 0.5  # EF points between two stands of the threshold
GRID = np.arange(0, 100 + STEP / 2, STEP)
SOCIETY = (
    f"ESC 2021 heart-failure categories; limits of normal: ASE/EACVI 2015. {CUT_NOTE} Whole numbers such as 41–51 are "
    "read as 40 < EF < 52"
)


LIKE = "looks like what this model reads"


def view(result: Answer | Failure, marks: Marks) -> dict[str, Any]:
    """An answer, an abstention or a failure as plain data; `marks` are its beats."""
    name = display_names([result.path])[0]
    record = {**result.record(), "file": name}
    if isinstance(result, Failure):
        return {"kind": "failure", "name": name, "record": record}
    about = {
        "name": name,
        "record": record,
        "about": analysed_line(record),
        "checks": checks(result, marks),
        "outlined": bool(result.outlines),
        "reasons": known_of(result.study) if is_withheld(record) else reasons(result.study, record),
        "notices": further_notices(record),
    }
    if is_withheld(record):
        return {"kind": "abstention", **about}
    return {"kind": "answer", **about, **belief(result, record)}


def belief(result: Answer, record: dict[str, Any]) -> dict[str, Any]:
    """The posterior in words, numbers and drawings."""
    p, prob = result.posterior, record["prob"]
    window = window_of(p)
    shares = zip(CATEGORIES, category_percents(prob), strict=True)
    return {
        "headline": headline(record),
        "heart": heart_line(record),
        "insisted": insisted(record),
        "dotplot": str(svg.dotplot(p, record)),
        "axis": {"low": window.low, "high": window.high, "margin": MARGIN, "width": WIDTH},
        "cdf": [round(float(value), 4) for value in p.cdf(GRID)],  # decimals as a record's
        "step": STEP,
        "society": SOCIETY,
        "categories": [
            {"name": c.name, "band": c.band, "inequality": c.inequality, "tone": c.tone, "p": prob[c.key], "said": said}
            for c, said in shares
        ],
        "thresholds": [
            [row.inequality, row.meaning, "—" if row.probability is None else percent(row.probability)]
            for row in thresholds(prob, result.study.attributes.sex)
        ],
        "bands": {
            society: [
                [band.name, band.inequality, share]
                for band, share in band_shares(p, society, result.study.attributes.sex)
            ]
            for society in SOCIETIES
        },
        "beats_line": beats_line(record),
        "settling": str(svg.settling(p) or ""),
        "settling_table": svg.settling_table(p),
    }


def checks(result: Answer, marks: Marks) -> list[dict[str, Any]]:
    """The checklist of each clip: only what was measured is in order; what was not is not known (None)."""
    gates = set(result.failed)
    rows = []
    for clip, beats in zip(result.study.clips, marks, strict=True):
        found = gates | {notice.code for notice in clip.notices}
        rows += [
            _view_check(clip, found, result.model),
            _row("Frame rate", f"{clip.frame_rate_hz:.0f} per second", clip.frame_rate_hz >= 15),
            _beats_check(clip, len(beats), found),
            _sector_check(clip, found),
            _row("Picture", *_picture(found, result.model)),
        ]
    return rows


def _row(name: str, text: str, fine: bool | None) -> dict[str, Any]:
    return {"name": name, "text": text, "ok": fine}


def _view_check(clip: Clip, found: set[str], model: Model) -> dict[str, Any]:
    stated = "" if clip.view == View.UNKNOWN else f"{clip.view}, as stated"
    if ANOTHER_VIEW in found:
        return _row("View", "not one that this model reads", False)
    if model.familiarity is None:
        return _row("View", stated or "not stated, and not checked", None)
    return _row("View", f"{stated}, and {LIKE}" if stated else LIKE, True)


def _sector_check(clip: Clip, found: set[str]) -> dict[str, Any]:
    method = "whole" if clip.crop is None else clip.crop.method
    if "sector-not-found" in found:
        return _row("Sector", "not found", False)
    if method == "regions":
        return _row("Sector", "as the file names it", True)
    if method == "picture" and ANOTHER_VIEW not in found:
        return _row("Sector", "found in the picture", True)
    return _row("Sector", "nothing was cut: the whole picture was taken", None)


def _picture(found: set[str], model: Model) -> tuple[str, bool | None]:
    if found & {"empty-picture", "still-picture"}:
        return "nothing moves in it", False
    if "few-frames-a-second" in found:
        return "many frames are lost, or the same again", False
    if "outside-training" in found:
        return "unlike what this model has learnt from", False
    if ANOTHER_VIEW in found or model.familiarity is None:
        return "it changes from frame to frame; whether as a heart does was not measured", None
    return "it changes from frame to frame, and is like what this model has learnt from", True


def _beats_check(clip: Clip, beats: int, found: set[str]) -> dict[str, Any]:
    if "under-one-beat" in found:
        return _row("Beats", "less than one", False)
    if ANOTHER_VIEW in found or not beats:
        return _row("Beats", f"no whole beat told apart in {clip.duration_s:.1f} s", None)
    return _row("Beats", f"{beats} in {clip.duration_s:.1f} s", True)
