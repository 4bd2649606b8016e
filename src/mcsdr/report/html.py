"""A page that explains answers: one self-contained HTML file, without scripts and without any outside host.

    results --cards--> plain values and drawings --report.html.jinja--> text

Everything that came from a file (its name, its attributes, a message) is text that the template escapes. Folders are
left out of file names, and what lies outside the sector of an original picture is made coarse, because screens carry
the names of patients.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mcsdr.files import write_atomically
from mcsdr.report import (
    CATEGORIES,
    Answer,
    Refusal,
    beats_line,
    category_percents,
    disclaimers,
    display_names,
    further_notices,
    headline,
    insisted,
    is_withheld,
    percent,
    reading,
    svg,
    thresholds,
)
from mcsdr.study import Clip, Study

LONGEST_SIDE = 640  # pixels of an original picture in the page
SEXES = {"F": "female", "M": "male"}
UNITS = {
    "age_years": ("age", "years"),
    "sex": ("sex", ""),
    "weight_kg": ("weight", "kg"),
    "height_cm": ("height", "cm"),
}
CROPS = {
    "regions": "within the region that the file names",
    "picture": "found in the picture",
    "whole": "the whole picture",
}


def render_report(results: Sequence[Answer | Refusal]) -> str:
    """The page of one or more results, in the order given."""
    names = display_names([result.path for result in results])
    cards = [
        _answer_card(name, result) if isinstance(result, Answer) else _refusal_card(name, result)
        for name, result in zip(names, results, strict=True)
    ]
    records = [card["record"] for card in cards if "record" in card]
    return _template().render(cards=cards, disclaimers=disclaimers(records), categories=CATEGORIES)


def write_report(path: str | Path, results: Sequence[Answer | Refusal]) -> None:
    """Write the page in one piece or not at all."""
    write_atomically(Path(path), render_report(results).encode())


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("mcsdr", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["glue"] = lambda text: str(text).replace(" %", "\u00a0%")  # no break before a per cent sign
    return environment.get_template("report.html.jinja")


# --- cards -----------------------------------------------------------------------------------------------------------


def _answer_card(name: str, answer: Answer) -> dict[str, Any]:
    record, posterior = answer.record(), answer.posterior
    if is_withheld(record):
        return _abstention_card(name, answer, record)
    beats = beats_line(record)
    low, high = record["interval_90"]
    return {
        "answered": True,
        "name": name,
        "record": record,
        "insisted": insisted(record),
        "headline": headline(record),
        "reading": reading(record),
        "notices": further_notices(record),
        "width": f"{high - low:.0f}",
        "dotplot": svg.dotplot(posterior, record),
        "quantiles": [(f"{100 * float(level):g} %", f"{ef:.1f}") for level, ef in record["quantiles"].items()],
        "shares": list(zip(CATEGORIES, _widths(record["prob"]), category_percents(record["prob"]), strict=True)),
        "thresholds": [
            (row.inequality, row.meaning, "—" if row.probability is None else percent(row.probability))
            for row in thresholds(record["prob"], answer.study.attributes.sex)
        ],
        "reasons": _reasons(answer.study) + ([("Beats", beats)] if beats else []),
        "pictures": [picture for clip in answer.study.clips for picture in _pictures(clip)],
        "settling": svg.settling(posterior),
        "settling_table": svg.settling_table(posterior),
        "provenance": _provenance(name, answer, record),
        "data": _data(name, record),
    }


def _data(name: str, record: Mapping[str, Any]) -> str:
    return json.dumps({**record, "file": name}, indent=2, ensure_ascii=False)


def _abstention_card(name: str, answer: Answer, record: Mapping[str, Any]) -> dict[str, Any]:
    """The clip was read, but its belief is withheld: why, what to do, and what was looked at."""
    why = record["abstained"]
    return {
        "answered": False,
        "record": record,
        "name": name,
        "code": why["code"],
        "cause": why["reason"],
        "next_step": why["next_step"],
        "notices": further_notices(record),
        "pictures": [picture for clip in answer.study.clips for picture in _pictures(clip)],
        "data": _data(name, record),
    }


def _refusal_card(name: str, refusal: Refusal) -> dict[str, Any]:
    error = refusal.error
    return {
        "answered": False,
        "name": name,
        "code": error.code,
        "cause": error.cause,
        "next_step": error.next_step,
        "notices": [],
        "pictures": [],
        "data": "",
    }


def _widths(prob: Mapping[str, float]) -> list[str]:
    """How long the bar of each category is, in per cent of the whole."""
    return [f"{100 * prob[category.key]:.2f}" for category in CATEGORIES]


def _reasons(study: Study) -> list[tuple[str, str]]:
    """What the answer rests on, as pairs of a name and a sentence."""
    rows = [row for clip in study.clips for row in _clip_reasons(clip)] or [("Video", "none")]
    known, unknown = [], []
    values = study.attributes.known()
    for field, (word, unit) in UNITS.items():
        value = values.get(field)
        if value is None:
            unknown.append(word)
        else:
            said = SEXES[str(value)] if field == "sex" else f"{value:g}"
            known.append(f"{word} {said} {unit}".strip())
    rows.append(("Known of the patient", ", ".join(known) or "nothing"))
    return [*rows, ("Not known", ", ".join(unknown))] if unknown else rows


def _clip_reasons(clip: Clip) -> list[tuple[str, str]]:
    rate, duration = clip.heart_rate_bpm, clip.duration_s
    beats = "not recorded" if not rate else f"{rate:.0f} per minute, about {duration * rate / 60:.1f} beats in the clip"
    rows = [
        ("Video", f"{len(clip.frames)} frames at {clip.frame_rate_hz:.1f} Hz, {duration:.2f} s"),
        ("Heart rate", beats),
        ("View", "not stated" if clip.view == "unknown" else f"{clip.view}"),
    ]
    return rows if clip.crop is None else [*rows, ("Sector", CROPS.get(clip.crop.method, clip.crop.method))]


def _provenance(name: str, answer: Answer, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    sampler, crossed = record["sampler"], int(answer.posterior.violations.sum())
    nodes = answer.posterior.latent.shape[1]
    return [
        ("File", name),
        ("mcsdr", record["version"]),
        ("Model", record["model"]),
        ("SHA-256 of the weights", record["model_sha256"]),
        ("Sampler", f"{sampler['sampler']}, {sampler['steps']} steps, {sampler['schedule']} schedule"),
        ("Paths", f"{nodes} quantiles, no random draws" if sampler["draws"] is None else f"{nodes} random draws"),
        ("Paths that crossed", f"{crossed}, put in order" if crossed else "none"),
        ("Seed", f"{record['seed']}"),
        ("Network evaluations", f"{sampler['evaluations']}"),
        ("Seconds", ", ".join(f"{part} {_seconds(value)}" for part, value in answer.seconds.items()) or "not measured"),
    ]


def _seconds(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "not measured"


# --- pictures --------------------------------------------------------------------------------------------------------


def _pictures(clip: Clip) -> list[dict[str, str]]:
    """The original picture with its crop, where something was cut, and a frame of what the model was given."""
    middle = len(clip.frames) // 2
    count = f"frame {middle + 1} of {len(clip.frames)}"
    pictures = []
    if clip.overview is not None and clip.crop is not None:
        pictures.append(
            {
                "source": _data_uri(_overview(clip.overview, clip)),
                "alt": "The original picture; a frame marks the ultrasound sector, all outside it is coarse.",
                "caption": "The original picture. The orange frame is the crop; outside the sector the picture is made "
                "coarse here, because names may stand there.",
            }
        )
    pictures.append(
        {
            "source": _data_uri(Image.fromarray(clip.frames[middle])),
            "alt": f"The ultrasound sector that the model was given, {count}.",
            "caption": f"What the model was given: {count}.",
        }
    )
    return pictures


def _overview(picture: NDArray[np.uint8], clip: Clip) -> Image.Image:
    assert clip.crop is not None
    top, left, height, width = clip.crop.top, clip.crop.left, clip.crop.height, clip.crop.width
    inside = np.zeros(picture.shape, dtype=bool)
    sector = clip.frames.max(axis=0) > 0
    inside[top : top + height, left : left + width] = sector if sector.shape == (height, width) else True
    image = Image.fromarray(np.where(inside, picture, _coarse(picture, inside))).convert("RGB")
    scale = min(1.0, LONGEST_SIDE / max(picture.shape))
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    box = [round(scale * edge) for edge in (left, top, left + width - 1, top + height - 1)]
    ImageDraw.Draw(image).rectangle(box, outline="#E69F00", width=max(1, round(max(image.size) / 200)))
    return image


def _coarse(picture: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture in squares of a sixteenth of its shorter side, at half brightness; the sector does not bleed out."""
    height, width = picture.shape
    side = max(8, min(height, width) // 16)
    small = Image.fromarray(np.where(inside, 0, picture).astype(np.uint8))
    small = small.resize((-(-width // side), -(-height // side)), Image.Resampling.BOX)
    blocks = np.asarray(small).repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
    coarse: NDArray[np.uint8] = blocks // 2
    return coarse


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
