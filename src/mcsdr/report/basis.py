"""What an answer rests on: the reasons for its uncertainty, where it comes from, and what was looked at.

The same words and pictures stand in every report. What lies outside the sector of an original picture is made coarse,
because screens carry the names of patients.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mcsdr.clips.outline import CavityOutline
from mcsdr.posterior.categories import ORANGE
from mcsdr.report import Answer, analysed, beats_line, looks_line
from mcsdr.study import Clip, Study

Rows = list[tuple[str, str]]  # a name and a sentence each

LONGEST_SIDE = 640  # pixels of an original picture in the page
OUTLINED = "Orange: where its encoder sees the cavity; to be looked at, the answer is not worked out from it."
NOT_OUTLINED = "Its encoder sees no cavity in this frame."
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


class Picture(NamedTuple):
    """A picture with what it says to those who do not see it, and its caption."""

    image: Image.Image
    alt: str
    caption: str


def reasons(study: Study, record: Mapping[str, Any]) -> Rows:
    """What the uncertainty of an answer rests on."""
    low, high = record["interval_90"]
    beats = beats_line(record)
    width = f"of a report {high - low:.0f} EF points wide"
    if heart := record.get("heart"):
        low, high = heart["interval_90"]
        width += f", of the heart {high - low:.0f}"
    rows = [("90 % interval", width), *known_of(study)]
    rows += [("Looks", looks)] if (looks := looks_line(record)) else []
    return [*rows, ("Beats", beats)] if beats else rows


def known_of(study: Study) -> Rows:
    """What was given: each clip, and what is known of the patient."""
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


def _clip_reasons(clip: Clip) -> Rows:
    rate, duration = clip.heart_rate_bpm, clip.duration_s
    beats = "not recorded" if not rate else f"{rate:.0f} per minute, about {duration * rate / 60:.1f} beats in the clip"
    rows = [
        ("Video", f"{len(clip.frames)} frames at {clip.frame_rate_hz:.1f} Hz, {duration:.2f} s"),
        ("Heart rate", beats),
        ("View", "not stated" if clip.view == "unknown" else f"{clip.view}"),
    ]
    return rows if clip.crop is None else [*rows, ("Sector", CROPS.get(clip.crop.method, clip.crop.method))]


def provenance(name: str, answer: Answer, record: Mapping[str, Any]) -> Rows:
    """What makes an answer repeatable."""
    sampler, crossed = record["sampler"], int(answer.belief.violations.sum())
    nodes = answer.belief.latent.shape[1]
    return [
        ("File", name),
        ("SHA-256 of the file", record["input_sha256"] or "no file was read"),
        ("mcsdr", record["version"]),
        ("Analysed", analysed(record)),
        ("Model", record["model"]),
        ("SHA-256 of the model", record["model_sha256"]),
        ("Rests on the p(EF) of", record["prior"] or "a training that does not say"),
        ("Sampler", f"{sampler['sampler']}, {sampler['steps']} steps, {sampler['schedule']} schedule"),
        ("Paths", f"{nodes} quantiles, no random draws" if sampler["draws"] is None else f"{nodes} random draws"),
        ("Paths that crossed", f"{crossed}, put in order" if crossed else "none"),
        ("Seed", f"{record['seed']}"),
        ("Precision of the encoder", record["precision"]),
        ("Network evaluations", f"{sampler['evaluations']}"),
        ("Seconds", ", ".join(f"{part} {_seconds(value)}" for part, value in answer.seconds.items()) or "not measured"),
    ]


def _seconds(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "not measured"


# --- pictures --------------------------------------------------------------------------------------------------------


def pictures(study: Study, outlines: Sequence[CavityOutline] = ()) -> list[Picture]:
    """Of each clip the original picture with its crop, where something was cut, and a frame of what the model got.

    Arguments:
        outlines: of each clip where the model sees the cavity, drawn into the latter; empty where it does not tell.
    """
    told = itertools.zip_longest(study.clips, outlines)
    return [picture for clip, outline in told for picture in _of_clip(clip, outline)]


def _of_clip(clip: Clip, outline: CavityOutline | None) -> list[Picture]:
    middle = len(clip.frames) // 2
    count = f"frame {middle + 1} of {len(clip.frames)}"
    image, seen = Image.fromarray(clip.frames[middle]), ""
    if outline is not None:
        lines = outline.lines(middle)
        image, seen = outlined(image, lines), f" {OUTLINED if lines else NOT_OUTLINED}"
    given = Picture(
        image,
        f"The ultrasound sector that the model was given, {count}.{seen}",
        f"What the model was given: {count}.{seen}",
    )
    if clip.overview is None or clip.crop is None:
        return [given]
    original = Picture(
        _overview(clip.overview, clip),
        "The original picture; a frame marks the ultrasound sector, all outside it is coarse.",
        "The original picture. The orange frame is the crop; outside the sector the picture is made "
        "coarse here, because names may stand there.",
    )
    return [original, given]


def outlined(frame: Image.Image, lines: Sequence[NDArray[np.float64]]) -> Image.Image:
    """The frame, a small one some times as large, with the lines around what is seen as cavity."""
    scale = max(1, round(LONGEST_SIDE / 2 / max(frame.size)))
    image = frame.convert("RGB").resize((scale * frame.width, scale * frame.height), Image.Resampling.BILINEAR)
    width = max(2, round(max(image.size) / 112))  # seen as well where a page shows a large picture small
    for line in lines:
        ImageDraw.Draw(image).line([(x, y) for x, y in (scale * line).tolist()], fill=ORANGE, width=width)
    return image


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
    ImageDraw.Draw(image).rectangle(box, outline=ORANGE, width=max(1, round(max(image.size) / 200)))
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
