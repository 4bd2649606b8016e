"""A summary for the terminal: the belief in words, in one line of blocks over EF 0–100 %, and in probabilities.

Readable without colour, in 80 columns, and on terminals that know only ASCII. A block's height is the probability of
its two EF points, relative to the highest.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from mcsdr.posterior import Posterior
from mcsdr.posterior.categories import CATEGORIES, category_percents, percent
from mcsdr.report import (
    Answer,
    Refusal,
    beats_line,
    disclaimers,
    display_names,
    further_notices,
    headline,
    insisted,
    is_two_peaked,
    is_withheld,
    thresholds,
)

CELL = 2  # EF points per column
COLUMNS = 100 // CELL
BLOCKS, ASCII_BLOCKS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
BAR_COLUMNS = 24


def print_results(console: Console, results: Sequence[Answer | Refusal]) -> None:
    """Print each result in the order given, and once, at the end, what must stand with all of them."""
    plain = not console.encoding.lower().startswith("utf")
    records = []
    for name, result in zip(display_names([result.path for result in results]), results, strict=True):
        if isinstance(result, Answer):
            record = result.record()
            records.append(record)
            if is_withheld(record):
                _print_abstention(console, name, record)
            else:
                _print_answer(console, name, result, record, plain)
        else:
            error = result.error
            _print_refusal(console, name, error.cause, error.code, error.next_step)
        console.print()
    for sentence in disclaimers(records):
        _paragraph(console, sentence, indent="", style="bold")


def histogram(posterior: Posterior, plain: bool = False) -> str:
    """The belief as 50 blocks, two EF points each; any that holds 1 in 1,000 shows at least the lowest block."""
    blocks = ASCII_BLOCKS if plain else BLOCKS
    mass = np.diff(posterior.cdf(np.linspace(0, 100, COLUMNS + 1)))
    height = np.ceil((len(blocks) - 1) * mass / mass.max()) * (mass >= 1e-3)
    return "".join(blocks[int(h)] for h in height)


def interval_line(record: Mapping[str, Any], plain: bool = False) -> str:
    """The 90 % interval and, where one reading fits, the median, under the blocks."""
    rule, left, right, middle = ("-", "[", "]", "|") if plain else ("─", "├", "┤", "┃")
    low, high = (_column(ef) for ef in record["interval_90"])
    line = [" "] * low + [rule] * (high - low + 1)
    line[low], line[high] = left, right
    if not is_two_peaked(record):
        line[_column(record["median"])] = middle
    return "".join(line)


def _print_answer(console: Console, name: str, answer: Answer, record: Mapping[str, Any], plain: bool) -> None:
    _paragraph(console, name, indent="", style="bold")
    warning = insisted(record)
    if warning:
        _paragraph(console, warning, first="  ! ", style="bold")
    _paragraph(console, headline(record))
    console.print()
    ruler = "".join(f"{ef:<{10 // CELL}}" for ef in range(0, 101, 10))
    for row in (histogram(answer.belief, plain), interval_line(record, plain), ruler):
        console.print(Text(f"    {row}".rstrip()), no_wrap=True, overflow="crop")
    console.print(Text("    EF in %; the line is the 90 % interval", style="dim"))
    console.print()
    prob = record["prob"]
    for category, share in zip(CATEGORIES, category_percents(prob), strict=True):
        words = f"    {category.name:<7}{category.inequality:<16}{share:>6}  "
        bar = ("#" if plain else "█") * round(BAR_COLUMNS * prob[category.key])
        console.print(Text(words).append(bar, style=category.colour), no_wrap=True, overflow="crop")
    for cut in thresholds(prob, answer.study.attributes.sex):
        share = "--" if cut.probability is None else percent(cut.probability)
        _paragraph(console, cut.meaning, first=f"{'':11}{cut.inequality:<16}{share:>6}  ")
    beats = beats_line(record)
    if beats:
        _paragraph(console, beats, indent="    ")
    _print_notices(console, record)


def _print_abstention(console: Console, name: str, record: Mapping[str, Any]) -> None:
    why = record["abstained"]
    _print_refusal(console, name, why["reason"], why["code"], why["next_step"])
    _print_notices(console, record)


def _print_refusal(console: Console, name: str, cause: str, code: str, next_step: str) -> None:
    _paragraph(console, name, indent="", style="bold")
    _paragraph(console, f"No answer: {cause} [{code}]")
    _paragraph(console, f"Next step: {next_step}")


def _print_notices(console: Console, record: Mapping[str, Any]) -> None:
    for notice in further_notices(record):
        _paragraph(console, f"{notice['text']} [{notice['code']}]", first="  ! ")


def _column(ef: float) -> int:
    return min(COLUMNS - 1, int(ef // CELL))


def _paragraph(console: Console, words: str, *, indent: str = "  ", first: str | None = None, style: str = "") -> None:
    """Print words as they are, with no markup read from them, wrapped under the width of `first` or `indent`.

    No line breaks between a number and its per cent sign.
    """
    first = indent if first is None else first
    glued = words.replace(" %", "\u00a0%")
    lines = textwrap.wrap(
        glued, console.width, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False
    )
    for line in lines:
        console.print(Text(line.replace("\u00a0", " "), style=style), no_wrap=True, overflow="crop")
