"""A sheet of A4 in millimetres from its top left corner, on which words are measured before they are set.

Everything stands in one pair of axes that covers the sheet, x to the right and y downward, so that a circle is round
and a place is what a ruler finds. The typeface is matplotlib's own DejaVu Sans, the same on every machine; a character
that it lacks becomes "\ufffd". Nothing global is touched.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.patches import Circle, Polygon, Rectangle
from numpy.typing import NDArray
from PIL import Image

from mcsdr.posterior.axes import INK, LINE

WIDTH, HEIGHT, MARGIN = 210.0, 297.0, 18.0
POINT = 25.4 / 72  # mm
LEADING = 1.36  # from one line to the next, in sizes of the type
ASCENT = 0.93  # from the top of a paragraph to its first baseline
LACKING, ELLIPSIS, TIE = "\ufffd", "…", "\u00a0"


@cache
def typeface(bold: bool = False) -> FontProperties:
    """The typeface, from the file that comes with matplotlib."""
    return FontProperties(fname=_file(bold))


def _file(bold: bool) -> Path:
    return Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


@cache
def _letters(bold: bool) -> frozenset[int]:
    return frozenset(get_font(str(_file(bold))).get_charmap())


def settable(text: str, bold: bool = False) -> str:
    """The text in letters that the typeface has and a PDF can name, those of Unicode's first plane."""
    letters = _letters(bold)
    return "".join(c if ord(c) in letters and ord(c) <= 0xFFFF else LACKING for c in text)


def width_of(text: str, points: float, bold: bool = False) -> float:
    """How wide a line is, in mm, as the sum of its letters' advances; kerning makes it a little less."""
    return sum(_advance(c, bold) for c in settable(text, bold)) * points * POINT


@cache
def _advance(letter: str, bold: bool) -> float:
    """The width of a letter in sizes of the type."""
    font = get_font(str(_file(bold)))
    font.set_size(100, 72)
    return float(font.load_char(ord(letter)).linearHoriAdvance) / 65536 / 100


def line_height(points: float) -> float:
    """From one baseline to the next, in mm."""
    return LEADING * points * POINT


def wrapped(text: str, width: float, points: float, bold: bool = False) -> list[str]:
    """The text in lines of at most so many mm; a number keeps its per cent sign, a word too long is broken."""
    lines: list[str] = []
    line = ""
    for word in text.replace(" %", f"{TIE}%").split(" "):
        longer = f"{line} {word}" if line else word
        if width_of(longer, points, bold) <= width:
            line = longer
            continue
        lines += [line] if line else []
        *whole, line = _pieces(word, width, points, bold)
        lines += whole
    return [part.replace(TIE, " ") for part in [*lines, line]]


def _pieces(word: str, width: float, points: float, bold: bool) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and width_of(pieces[-1] + letter, points, bold) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def shortened(text: str, width: float, points: float, bold: bool = False) -> str:
    """The text on one line of at most so many mm, its middle left out where it is longer."""
    if width_of(text, points, bold) <= width:
        return text
    low, high = 0, len(text)  # how many letters may stay
    while high - low > 1:
        kept = (low + high) // 2
        fits = width_of(_without_middle(text, kept), points, bold) <= width
        low, high = (kept, high) if fits else (low, kept)
    return _without_middle(text, low)


def _without_middle(text: str, kept: int) -> str:
    end = kept // 2
    return f"{text[: kept - end]}{ELLIPSIS}{text[len(text) - end :]}"


class Sheet:
    """One page; places and lengths in mm, type in points."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(WIDTH / 25.4, HEIGHT / 25.4), facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0), autoscale_on=False)
        self.axes.set_axis_off()

    def word(
        self,
        x: float,
        y: float,
        text: str,
        points: float,
        *,
        bold: bool = False,
        colour: str = INK,
        align: str = "left",
    ) -> None:
        """One line, its baseline at y."""
        font = typeface(bold).copy()
        font.set_size(points)
        text = settable(text, bold)
        self.axes.text(x, y, text, fontproperties=font, color=colour, ha=align, va="baseline", parse_math=False)

    def paragraph(
        self, x: float, y: float, width: float, text: str, points: float, *, bold: bool = False, colour: str = INK
    ) -> float:
        """Lines from y downward; returns where they end."""
        step = line_height(points)
        for line in wrapped(text, width, points, bold):
            self.word(x, y + ASCENT * points * POINT, line, points, bold=bold, colour=colour)
            y += step
        return y

    def rule(self, x: tuple[float, float], y: tuple[float, float], *, colour: str = LINE, points: float = 0.5) -> None:
        """A straight line."""
        self.axes.plot(x, y, color=colour, linewidth=points, solid_capstyle="butt")

    def dashes(self, x: float, y: tuple[float, float], *, colour: str) -> None:
        """A dashed upright."""
        self.axes.plot((x, x), y, color=colour, linewidth=0.6, linestyle=(0, (3, 3)))

    def box(self, x: float, y: float, width: float, height: float, colour: str, *, edge: str | None = None) -> None:
        """A filled rectangle, with a hairline around it where `edge` is a colour."""
        self.axes.add_patch(
            Rectangle((x, y), width, height, facecolor=colour, edgecolor=edge or "none", linewidth=0.4 if edge else 0)
        )

    def disc(self, x: float, y: float, radius: float, colour: str, *, edge: str | None = None) -> None:
        """A filled circle."""
        self.axes.add_artist(Circle((x, y), radius, facecolor=colour, edgecolor=edge or colour, linewidth=0.3))

    def shape(self, x: NDArray[np.float64], y: NDArray[np.float64], colour: str) -> None:
        """A filled polygon."""
        self.axes.add_patch(Polygon(np.column_stack([x, y]), closed=True, facecolor=colour, linewidth=0))

    def picture(self, image: Image.Image, x: float, y: float, height: float) -> None:
        """A picture so many mm high, in its own proportions."""
        extent = (x, x + height * image.width / image.height, y + height, y)
        pixels = np.asarray(image.convert("RGB"))
        self.axes.imshow(pixels, extent=extent, aspect="auto", interpolation="none")
