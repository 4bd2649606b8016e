"""Pages to file: one sheet of A4 for each result, answered, insisted on, withheld or failed.

    results --one sheet each--> words and shapes in mm --matplotlib's PDF backend--> bytes

A page says what the HTML report says, in the same words and with the same rounding, but not how the sampler settled nor
how long it took, so that the same answer is the same bytes. Its letters are embedded as TrueType, so that they can be
searched and copied. What does not fit is counted on the page, never left out in silence. Folders are left out of file
names.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

import mcsdr
from mcsdr import DISCLAIMER
from mcsdr.files import write_atomically
from mcsdr.posterior.axes import INK, LINE, SOFT
from mcsdr.posterior.categories import CATEGORIES, ORANGE, VERMILION, category_percents, percent
from mcsdr.report import (
    CATEGORY_SOURCE,
    HOW_TO_READ,
    READER_LINES,
    Answer,
    Refusal,
    analysed,
    disclaimers,
    display_names,
    further_notices,
    headline,
    heart_line,
    insisted,
    is_two_peaked,
    is_withheld,
    printable,
    thresholds,
)
from mcsdr.report.basis import Rows, known_of, pictures, provenance, reasons
from mcsdr.report.blocks import (
    BODY,
    GRID_STEP,
    LEFT,
    MORE,
    NOTE,
    RIGHT,
    SMALL,
    TINY,
    grid,
    heading,
    note,
    note_height,
    pairs,
    pairs_height,
)
from mcsdr.report.dotplot import MID_EDGE, draw_dotplot
from mcsdr.report.sheet import (
    HEIGHT,
    LACKING,
    Sheet,
    line_height,
    settable,
    shortened,
    width_of,
    wrapped,
)
from mcsdr.study import Study

COLUMN, GUTTER = 100.0, 9.0  # the left column and the space after it
ASIDE = LEFT + COLUMN + GUTTER  # where the right column begins
BOTTOM = HEIGHT - 28.0  # above the foot
GAP = 4.0  # mm between blocks
LEAST_PICTURES = 34.0  # mm that notices leave to the pictures and their captions
SMALLEST = 10.0  # mm: a picture less high shows nothing
LONG = ("File", "SHA-256 of the file", "SHA-256 of the model", "Rests on the p(EF) of")  # take a line each
NOT_SHOWN = (*LONG, "Seconds", "Analysed")  # elsewhere on the page, or not at all
BEATS = 9  # that a line holds
FACT_STEP = line_height(SMALL) + 0.4

Content = Callable[[Sheet], None]


def render_pdf(results: Sequence[Answer | Refusal]) -> bytes:
    """The pages of one or more results, in the order given; the same bytes for the same results."""
    facts = {"Title": "Left-ventricular ejection fraction", "Creator": f"mcsdr {mcsdr.__version__}"}
    buffer = io.BytesIO()
    with (
        matplotlib.rc_context({"pdf.fonttype": 42, "pdf.use14corefonts": False, "text.usetex": False}),
        PdfPages(buffer, metadata={**facts, "CreationDate": None, "Producer": None}) as file,
    ):
        for page in pages(results):
            file.savefig(page, facecolor="white")
    return buffer.getvalue()


def write_pdf(path: str | Path, results: Sequence[Answer | Refusal]) -> None:
    """Write the pages in one piece or not at all."""
    write_atomically(Path(path), render_pdf(results))


def pages(results: Sequence[Answer | Refusal]) -> Iterator[Figure]:
    """Each page as a figure of its own; where there is no result one page that says so."""
    if not results:
        yield _page(_nothing, "Page 1 of 1")
    names = display_names([result.path for result in results])
    for number, (name, result) in enumerate(zip(names, results, strict=True), 1):
        content = _answered(name, result) if isinstance(result, Answer) else partial(_refusal, name, result)
        yield _page(content, f"Page {number} of {len(results)}")


def _page(content: Content, number: str) -> Figure:
    sheet = Sheet()
    content(sheet)
    _foot(sheet, number)
    return sheet.figure


# --- the three kinds of page -----------------------------------------------------------------------------------------


def _nothing(sheet: Sheet) -> None:
    sheet.word(LEFT, _head(sheet, DISCLAIMER) + 5, "There was no input.", 13, bold=True)


def _answered(name: str, answer: Answer) -> Content:
    record = answer.record()
    return partial(_abstention if is_withheld(record) else _answer, name, answer, record)


def _answer(name: str, answer: Answer, record: Mapping[str, Any], sheet: Sheet) -> None:
    y = _name(sheet, _head(sheet, disclaimers([record])[0], _when(record)), name, record)
    shown_although = insisted(record)
    if shown_although is not None:
        y = note(sheet, y, shown_although, VERMILION, bold=True)
    y = sheet.paragraph(LEFT, y, RIGHT - LEFT, headline(record), 12, bold=True) + 1.5
    if heart := heart_line(record):
        y = sheet.paragraph(LEFT, y - 1, RIGHT - LEFT, heart, BODY) + 1.5

    origin, beats = provenance(name, answer, record), record["beats"] or []
    because = reasons(answer.study, record) + ([] if record["notices"] else [("Notices", "none was raised")])
    floor = BOTTOM - _provenance_height(origin) - _beats_height(beats)
    room = max(LEAST_PICTURES, 6 + pairs_height(because, RIGHT - ASIDE, 20, SMALL)) + GAP
    scratch = Sheet()
    belief = max(_belief(scratch, 0, answer, record), _cuts(scratch, 0, answer, record)) + GAP

    y = _notices(sheet, y, floor - room - belief, further_notices(record)) + 2
    y = max(_belief(sheet, y, answer, record), _cuts(sheet, y, answer, record)) + GAP
    _pictures(sheet, y, floor - GAP, answer)
    heading(sheet, ASIDE, y, "What the uncertainty rests on")
    pairs(sheet, (ASIDE, y + 6), RIGHT, floor, because, 20, SMALL)
    _beats(sheet, floor, beats)
    _provenance(sheet, origin)


def _abstention(name: str, answer: Answer, record: Mapping[str, Any], sheet: Sheet) -> None:
    """The clip was read, but its belief is withheld: why, what to do, and what was looked at."""
    why, origin = record["abstained"], provenance(name, answer, record)
    y = _name(sheet, _head(sheet, disclaimers([record])[0], _when(record)), name, record)
    y = _no_answer(sheet, y, why["reason"], why["next_step"], why["code"])
    floor = BOTTOM - _provenance_height(origin)
    y = _notices(sheet, y, floor - 2 * LEAST_PICTURES, further_notices(record)) + 2
    _pictures(sheet, y, floor - GAP, answer)
    heading(sheet, ASIDE, y, "What was given")
    pairs(sheet, (ASIDE, y + 6), RIGHT, floor, known_of(answer.study), 20, SMALL)
    _provenance(sheet, origin)


def _refusal(name: str, refusal: Refusal, sheet: Sheet) -> None:
    y = _name(sheet, _head(sheet, DISCLAIMER), name, {"input_sha256": refusal.input_sha256})
    error = refusal.error
    _no_answer(sheet, y, error.cause, error.next_step, error.code)
    read = refusal.input_sha256 or "the file could not be opened"
    _provenance(sheet, [("File", name), ("SHA-256 of the file", read), ("mcsdr", mcsdr.__version__)])


# --- head and foot ---------------------------------------------------------------------------------------------------


def _head(sheet: Sheet, sentence: str, when: str = "") -> float:
    sheet.word(LEFT, 17, "Left-ventricular ejection fraction", 11, bold=True)
    sheet.word(RIGHT, 17, f"mcsdr {mcsdr.__version__}{when}", BODY, colour=SOFT, align="right")
    return note(sheet, 20.5, sentence, ORANGE, bold=True, points=SMALL) + 3


def _foot(sheet: Sheet, page: str) -> None:
    _reader(sheet, BOTTOM + 5.5)
    top = BOTTOM + 8
    sheet.rule((LEFT, RIGHT), (top, top))
    sheet.paragraph(LEFT, top + 1.5, RIGHT - LEFT, HOW_TO_READ, TINY, colour=SOFT)
    sheet.word(LEFT, HEIGHT - 8, DISCLAIMER, SMALL, bold=True)
    sheet.word(RIGHT, HEIGHT - 8, page, SMALL, colour=SOFT, align="right")


def _reader(sheet: Sheet, y: float) -> None:
    """The line on which a reader writes an EF of their own, and signs."""
    x, places = LEFT, ((13, READER_LINES[0]), (36, READER_LINES[1]), (34, READER_LINES[2]), (18, READER_LINES[3]))
    for length, word in places:
        sheet.word(x, y, word, SMALL, colour=SOFT)
        x += width_of(word, SMALL) + 1.5
        sheet.rule((x, x + length), (y + 0.8, y + 0.8), colour=INK, points=0.6)
        x += length + 3


def _name(sheet: Sheet, y: float, name: str, record: Mapping[str, Any]) -> float:
    """What tells this sheet from others: the file's name, the label that it was given, and the file's bytes."""
    label = f"{printable(record['label'])} · " if record.get("label") else ""
    sheet.word(LEFT, y + 3, shortened(label + name, RIGHT - LEFT - 46, 9.5, bold=True), 9.5, bold=True, colour=SOFT)
    if record["input_sha256"]:
        sheet.word(RIGHT, y + 3, f"SHA-256 {record['input_sha256'][:12]}…", SMALL, colour=SOFT, align="right")
    return y + 6


def _when(record: Mapping[str, Any]) -> str:
    """When the answer was made, behind the version that made it."""
    return f", analysed {analysed(record)}" if record.get("analysed") else ""


def _notices(sheet: Sheet, y: float, floor: float, notices: Sequence[Mapping[str, str]]) -> float:
    """As many notices as there is room for, and of the others how many and their codes; returns where they end."""
    for index, notice in enumerate(notices):
        text, rest = f"{notice['text']} [{notice['code']}]", notices[index:]
        codes = ", ".join(dict.fromkeys(one["code"] for one in rest))
        noun = "notice" if len(rest) == 1 else "notices"
        less = shortened(f"And {len(rest)} {noun} more, in the HTML report: {codes}", NOTE, BODY)
        fits = y + note_height(text) + 1.5 + (note_height(less) + 1.5 if len(rest) > 1 else 0) <= floor
        if not fits and (len(rest) > 1 or note_height(text) > note_height(less)):
            return note(sheet, y, less, ORANGE)
        y = note(sheet, y, text, ORANGE)
    return y


def _no_answer(sheet: Sheet, y: float, cause: str, next_step: str, code: str) -> float:
    y = sheet.paragraph(LEFT, y + 0.5, RIGHT - LEFT, "No answer was given.", 14, bold=True) + 3
    rows = [("Cause", cause), ("Next step", next_step), ("Code", code)]
    return pairs(sheet, (LEFT, y), RIGHT, 200, rows, 26, 9) + 4


# --- the belief ------------------------------------------------------------------------------------------------------


def _belief(sheet: Sheet, y: float, answer: Answer, record: Mapping[str, Any]) -> float:
    """The dots and the quantiles; returns where they end."""
    heading(sheet, LEFT, y, "What is believed of the ejection fraction")
    y = draw_dotplot(sheet, LEFT, y + 7, COLUMN, answer.belief, record)
    middle = "" if is_two_peaked(record) else ", with the median"
    caption = (
        "Each of the 50 dots is 2 % of the belief, over EF in %. Dashed: the cut-points 30, 35, 40 and 50. "
        f"Bar: 90 % (thin) and 50 % (thick) of reports{middle}."
    )
    y = sheet.paragraph(LEFT, y + 2, COLUMN, caption, SMALL, colour=SOFT)
    y = sheet.paragraph(
        LEFT, y + 1.5, COLUMN, "The share of the belief that lies at or below each EF", SMALL, colour=SOFT
    )
    shares = [f"{100 * float(level):g}" for level in record["quantiles"]]
    return grid(
        sheet, y, COLUMN, ("Share, %", shares), [("EF, %", [f"{ef:.1f}" for ef in record["quantiles"].values()])]
    )


def _cuts(sheet: Sheet, y: float, answer: Answer, record: Mapping[str, Any]) -> float:
    """The categories with their bars, and the single cut-points; returns where they end."""
    heading(sheet, ASIDE, y, "Against the cut-points")
    caption = f"Heart failure, {CATEGORY_SOURCE}; the three sum to 100 %"
    y = sheet.paragraph(ASIDE, y + 6, RIGHT - ASIDE, caption, SMALL, colour=SOFT) + 1
    shares = category_percents(record["prob"])
    for category, share in zip(CATEGORIES, shares, strict=True):
        sheet.word(ASIDE, y + 3.4, category.name, BODY, bold=True)
        sheet.word(ASIDE + 17, y + 3.4, category.inequality, BODY)
        sheet.word(RIGHT, y + 3.4, share, BODY, bold=True, align="right")
        sheet.box(ASIDE, y + 5, RIGHT - ASIDE, 2.2, LINE)
        edge = MID_EDGE if category.tone == "mid" else category.colour
        length = max(0.4, record["prob"][category.key] * (RIGHT - ASIDE))
        sheet.box(ASIDE, y + 5, length, 2.2, category.colour, edge=edge)
        y += 9
    y = (
        sheet.paragraph(
            ASIDE, y + 1, RIGHT - ASIDE, "Single cut-points (EF is continuous: ≤ and < are one)", SMALL, colour=SOFT
        )
        + 1
    )
    for row in thresholds(record["prob"], answer.study.attributes.sex):
        sheet.rule((ASIDE, RIGHT), (y, y))
        sheet.word(ASIDE, y + 3.8, row.inequality, BODY, bold=True)
        share = "—" if row.probability is None else percent(row.probability)
        sheet.word(RIGHT, y + 3.8, share, BODY, bold=True, align="right")
        y = sheet.paragraph(ASIDE, y + 4.9, RIGHT - ASIDE - 12, row.meaning, SMALL, colour=SOFT) + 1
    applies = "The names of the categories apply only where heart failure is diagnosed."
    return sheet.paragraph(ASIDE, y + 1, RIGHT - ASIDE, applies, SMALL, colour=SOFT)


# --- what stands below -----------------------------------------------------------------------------------------------


def _pictures(sheet: Sheet, y: float, floor: float, answer: Answer) -> None:
    """The pictures of the first clip side by side, of one height, as high as the room allows."""
    heading(sheet, LEFT, y, "What was looked at")
    y += 6
    clips = answer.study.clips
    if not clips:
        sheet.paragraph(LEFT, y, COLUMN, "There was no clip.", BODY)
        return
    shown, width = pictures(Study(clips=clips[:1]), answer.outlines[:1]), (COLUMN - 5) / 2
    left_out = sum(len(pictures(Study(clips=(clip,)))) for clip in clips[1:])
    captions = [picture.caption for picture in shown]
    captions[-1] += f" A{MORE.format(left_out)[1:]}." if left_out else ""
    deepest = max(len(wrapped(caption, width, TINY)) for caption in captions) * line_height(TINY) + 1
    height = min(floor - y - deepest, *(width * p.image.height / p.image.width for p in shown))
    if height < SMALLEST:
        sheet.paragraph(
            LEFT, y, COLUMN, "There is no room for the pictures here; they are in the HTML report.", SMALL, colour=SOFT
        )
        return
    for place, (picture, caption) in enumerate(zip(shown, captions, strict=True)):
        x = LEFT + place * (width + 5)
        sheet.picture(picture.image, x, y, height)
        sheet.paragraph(x, y + height + 1, width, caption, TINY, colour=SOFT)


def _beats_height(beats: Sequence[Mapping[str, Any]]) -> float:
    return 6 + 3 * GRID_STEP + GAP if beats else 0.0


def _beats(sheet: Sheet, y: float, beats: Sequence[Mapping[str, Any]]) -> None:
    """What each beat says, one column each."""
    if not beats:
        return
    shown, left_out = beats[:BEATS], len(beats) - BEATS
    heading(sheet, LEFT, y, "Beat by beat")
    if left_out > 0:
        sheet.word(RIGHT, y + 3, MORE.format(left_out), SMALL, colour=SOFT, align="right")
    header = ("Starts at", [f"{beat['start_s']:.2f} s" for beat in shown])
    rows = [
        ("Median EF, %", [f"{beat['median']:.0f}" for beat in shown]),
        ("90 % interval", [f"{low:.0f}–{high:.0f}" for low, high in (beat["interval_90"] for beat in shown)]),
    ]
    label = 24.0
    grid(sheet, y + 5, label + len(shown) * (RIGHT - LEFT - label) / BEATS, header, rows, label)


def _provenance_height(rows: Rows) -> float:
    long = sum(name in LONG for name, _ in rows)
    short = sum(name not in NOT_SHOWN for name, _ in rows)
    return 6 + FACT_STEP * (long + (short + 1) // 2)


def _provenance(sheet: Sheet, rows: Rows) -> None:
    """Where the answer comes from, at the foot of the page."""
    y = BOTTOM - _provenance_height(rows)
    heading(sheet, LEFT, y, "Where this answer comes from")
    y += 5
    for name, text in rows:
        if name in LONG:
            _fact(sheet, LEFT, y, name, _whole_name(text) if name == "File" else text)
            y += FACT_STEP
    short = [row for row in rows if row[0] not in NOT_SHOWN]  # the clock is not of the answer
    half = (len(short) + 1) // 2
    for index, (name, text) in enumerate(short):
        _fact(sheet, LEFT if index < half else ASIDE, y + FACT_STEP * (index % half), name, text)


def _fact(sheet: Sheet, x: float, y: float, name: str, text: str) -> None:
    room = (RIGHT if name in LONG or x > LEFT else ASIDE - 2) - x - 38
    sheet.word(x, y + 2.6, name, SMALL, colour=SOFT)
    sheet.word(x + 38, y + 2.6, shortened(text, room, SMALL), SMALL)


def _whole_name(name: str) -> str:
    """The file's name on one line, and a word where letters of it cannot be set."""
    lacking = settable(name) != name
    said = f" ({LACKING}: a letter that this page's typeface lacks)" if lacking else ""
    return shortened(name, RIGHT - LEFT - 38 - (62 if lacking else 0), SMALL) + said
