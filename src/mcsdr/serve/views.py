"""What the page draws of an answer: the record, the same words as every report, and drawings, as plain data.

The page moves a threshold t over the belief without asking again, so F is sent on a grid of half EF points,

    P(EF ≤ t) = F(t),   t = 0, 0.5, …, 100,

which is all that its slider can stand on. Frames are sent as one picture, a sheet of rows and columns: it loops without
a video codec, stops on any frame, and the end-diastole and end-systole that the model suggests are places in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mcsdr.model import Answer, Model
from mcsdr.posterior.categories import CATEGORIES, category_percents, percent
from mcsdr.posterior.svg import MARGIN, WIDTH, window_of
from mcsdr.prediction import Failure
from mcsdr.report import (
    SOCIETIES,
    bands_of,
    beats_line,
    display_names,
    further_notices,
    headline,
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
SOCIETY = "ESC 2021 heart-failure categories; limits of normal: ASE/EACVI 2015"


def view(result: Answer | Failure, marks: Marks) -> dict[str, Any]:
    """An answer, an abstention or a failure as plain data; `marks` are its beats."""
    name = display_names([result.path])[0]
    record = {**result.record(), "file": name}
    if isinstance(result, Failure):
        return {"kind": "failure", "name": name, "record": record}
    about = {
        "name": name,
        "record": record,
        "checks": checks(result, marks),
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
        "insisted": insisted(record),
        "dotplot": str(svg.dotplot(p, record)),
        "axis": {"low": window.low, "high": window.high, "margin": MARGIN, "width": WIDTH},
        "cdf": [round(float(value), 5) for value in p.cdf(GRID)],
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
                [band.name, band.inequality, percent(float(p.prob_between(band.low, band.high)))]
                for band in bands_of(society, result.study.attributes.sex)
            ]
            for society in SOCIETIES
        },
        "beats_line": beats_line(record),
        "settling": str(svg.settling(p) or ""),
        "settling_table": svg.settling_table(p),
    }


def checks(result: Answer, marks: Marks) -> list[dict[str, Any]]:
    """The checklist: view, frame rate, beats and picture, each with whether it is in order (None: not known)."""
    said = {notice["code"] for notice in result.record()["notices"]}
    why = result.abstained.code if result.abstained else ""
    rows = []
    for clip, beats in zip(result.study.clips, marks, strict=True):
        rows += [
            _view_check(clip, why, result.model),
            _row("Frame rate", f"{clip.frame_rate_hz:.0f} per second", clip.frame_rate_hz >= 15),
            _beats_check(clip, len(beats), why),
            _row("Sector", "not found" if "sector-not-found" in said | {why} else "found", why != "sector-not-found"),
            _row("Picture", *_picture(why)),
        ]
    return rows


def _row(name: str, text: str, fine: bool | None) -> dict[str, Any]:
    return {"name": name, "text": text, "ok": fine}


def _view_check(clip: Clip, why: str, model: Model) -> dict[str, Any]:
    if why == "wrong-view-or-not-echo":
        return _row("View", "not one that this model reads", False)
    stated = "" if clip.view == View.UNKNOWN else f"{clip.view}, as stated"
    if model.familiarity is None:
        return _row("View", stated or "not stated, and not checked", None)
    return _row("View", stated or "looks like what this model reads", True)


def _picture(why: str) -> tuple[str, bool | None]:
    match why:
        case "empty-picture" | "still-picture":
            return "nothing moves in it", False
        case "few-frames-a-second":
            return "many frames are lost, or the same again", False
        case "outside-training":
            return "unlike what this model has learnt from", False
        case _:
            return "moves as a heart does", True


def _beats_check(clip: Clip, beats: int, why: str) -> dict[str, Any]:
    if why == "under-one-beat":
        return _row("Beats", "less than one", False)
    if not beats:
        return _row("Beats", f"no whole beat told apart in {clip.duration_s:.1f} s", None)
    return _row("Beats", f"{beats} in {clip.duration_s:.1f} s", True)
