"""The blocks that a page is made of: headings, notes, names beside sentences, numbers in columns; places in mm."""

from __future__ import annotations

from collections.abc import Sequence

from mcsdr.posterior.axes import INK, SOFT
from mcsdr.report.basis import Rows
from mcsdr.report.sheet import MARGIN, WIDTH, Sheet, line_height, wrapped

LEFT, RIGHT = MARGIN, WIDTH - MARGIN
TINY, SMALL, BODY = 6.5, 7.0, 8.0  # points
WARN = "#fff3d6"
MORE = "and {} more in the HTML report"
NOTE = RIGHT - LEFT - 7  # mm for the words of a note
GRID_STEP = line_height(SMALL) + 1.2


def heading(sheet: Sheet, x: float, y: float, text: str) -> None:
    """What a block is about."""
    sheet.word(x, y + 3, text, 9, bold=True)


def note(sheet: Sheet, y: float, text: str, colour: str, *, bold: bool = False, points: float = BODY) -> float:
    """A sentence on a pale ground with a strong edge; returns where the next block may begin."""
    height = note_height(text, bold, points)
    sheet.box(LEFT, y, RIGHT - LEFT, height, WARN)
    sheet.box(LEFT, y, 1.2, height, colour)
    sheet.paragraph(LEFT + 3.5, y + 1.2, NOTE, text, points, bold=bold)
    return y + height + 1.5


def note_height(text: str, bold: bool = False, points: float = BODY) -> float:
    """What such a sentence takes, in mm."""
    return len(wrapped(text, NOTE, points, bold)) * line_height(points) + 2.4


def pairs(
    sheet: Sheet, at: tuple[float, float], right: float, floor: float, rows: Rows, label: float, points: float
) -> float:
    """Names and sentences in two columns, hairlines between, as many as end above the floor; returns where they end."""
    (x, y), step = at, line_height(points)
    for index, (name, text) in enumerate(rows):
        height = _pair_height(name, text, right - x, label, points)
        if y + height + (0 if index == len(rows) - 1 else step) > floor:
            return sheet.paragraph(x, y + 0.6, right - x, MORE.format(len(rows) - index), points, colour=SOFT)
        sheet.rule((x, right), (y, y))
        sheet.paragraph(x, y + 0.4, label - 2, name, points, colour=SOFT)
        sheet.paragraph(x + label, y + 0.4, right - x - label, text, points)
        y += height
    return y


def _pair_height(name: str, text: str, width: float, label: float, points: float) -> float:
    lines = max(len(wrapped(name, label - 2, points)), len(wrapped(text, width - label, points)))
    return lines * line_height(points) + 0.9


def pairs_height(rows: Rows, width: float, label: float, points: float) -> float:
    """What all of such rows take, in mm."""
    return sum(_pair_height(name, text, width, label, points) for name, text in rows)


def grid(
    sheet: Sheet,
    y: float,
    width: float,
    header: tuple[str, list[str]],
    rows: Sequence[tuple[str, list[str]]],
    label: float = 13,
) -> float:
    """Numbers in columns aligned on the right under their headings; returns where they end."""
    column = (width - label) / max(1, len(header[1]))
    for index, (name, cells) in enumerate([header, *rows]):
        base = y + 3.2
        if index:
            sheet.rule((LEFT, LEFT + width), (y, y))
        sheet.word(LEFT, base, name, SMALL, colour=SOFT)
        for place, cell in enumerate(cells, 1):
            sheet.word(LEFT + label + place * column, base, cell, SMALL, colour=INK if index else SOFT, align="right")
        y += GRID_STEP
    return y
