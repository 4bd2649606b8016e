"""The gallery of an evaluation: one study below the other, with the frames in which its cavity is seen largest and
smallest.

It is for the eye of who asks why a model errs. Where the outline errs too, the answer rests on a wrong place in the
picture; where the outline is right, the place was found and something else misled. Of a clip whose outline is not told
the middle frame is shown. The page is one file without scripts, and holds pictures of patients where the cohort does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup
from PIL import Image

from mcsdr.clips.outline import CavityOutline
from mcsdr.posterior.svg import Window, svg, text
from mcsdr.report import printable
from mcsdr.report.basis import NOT_OUTLINED, Picture, outlined
from mcsdr.report.html import template
from mcsdr.study import Clip, inline_png

AXIS = Window(0, 100)
LONGEST_SIDE = 480  # pixels of a picture; the page shows it about half as large
LINE = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')


class Exhibit(NamedTuple):
    """One study as the gallery shows it; all EF in per cent."""

    study_id: str
    reported: float
    true: float | None  # of a phantom
    point: float
    interval_90: tuple[float, float]
    stills: tuple[Picture, ...]


def stills(clip: Clip, outline: CavityOutline | None) -> tuple[Picture, ...]:
    """The frames in which the cavity is seen largest and smallest; the middle one where that is not told."""
    if outline is None:
        return (_still(clip, None, len(clip.frames) // 2, "Middle"),)
    area = outline.area
    largest, smallest = int(area.argmax()), int(area.argmin())
    shrunk = 1 - area[smallest] / max(area[largest], 1e-9)
    said = {largest: "Largest"}
    said.setdefault(smallest, f"Smallest, by {100 * shrunk:.0f} % of its area")
    return tuple(_still(clip, outline, int(outline.at[instant]), word) for instant, word in said.items())


def _still(clip: Clip, outline: CavityOutline | None, frame: int, word: str) -> Picture:
    words, image = f"{word}: frame {frame + 1} of {len(clip.frames)}", Image.fromarray(clip.frames[frame])
    if outline is not None:
        lines = outline.lines(frame)
        image, words = outlined(image, lines), words if lines else f"{words}. {NOT_OUTLINED}"
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return Picture(image, words, words)


def render_gallery(exhibits: Sequence[Exhibit], about: Mapping[str, Any]) -> str:
    """The page.

    Arguments:
        exhibits: in the order to be shown.
        about: what makes them repeatable, and what must stand with them, as an evaluation has it.
    """
    sampler = about["sampler"]
    made_by = (
        f"mcsdr {about['version']}; {about['model']}, SHA-256 {about['model_sha256']}; sampler {sampler['sampler']}, "
        f"{sampler['steps']} steps, seed {about['seed']}; precision {about['precision']}."
    )
    cards = [
        {
            "name": printable(one.study_id),
            "words": _words(one),
            "strip": _strip(one),
            "pictures": [(inline_png(still.image), still.alt, still.caption) for still in one.stills],
        }
        for one in exhibits
    ]
    title, said = f"{about['model']} on {about['cohort']}", (about["disclaimer"], *about["marks"])
    return template("gallery.html.jinja").render(title=title, cards=cards, said=said, made_by=made_by)


def _words(one: Exhibit) -> str:
    low, high = one.interval_90
    true = "" if one.true is None else f", truly {one.true:.0f} %"
    outside = "" if low <= one.reported <= high else ", which does not hold it"
    error = f"{one.point - one.reported:+.0f}".replace("-", "−")
    return (
        f"Reported {one.reported:.0f} %{true}; read as {one.point:.0f} % ({error}), 90 % interval {low:.0f} to "
        f"{high:.0f} %{outside}."
    )


def _strip(one: Exhibit) -> Markup:
    """The interval and the reading over the whole axis of EF."""
    low, high = (AXIS.x(end) for end in one.interval_90)
    point, reported = AXIS.x(one.point), AXIS.x(one.reported)
    parts = [LINE.format("grid", AXIS.x(ef), 8, AXIS.x(ef), 40) for ef in range(0, 101, 10)]
    parts += [text(AXIS.x(ef), 58, str(ef), "middle") for ef in range(0, 101, 10)]
    parts += [LINE.format("ninety", low, 24, high, 24), LINE.format("middle", point, 14, point, 34)]
    parts.append(Markup('<circle class="reported" cx="{:.1f}" cy="24" r="6"/>').format(reported))
    return svg(64, _words(one), parts)
