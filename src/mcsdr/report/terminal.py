"""A summary for the terminal: the belief in words, in one line of blocks over EF 0–100 %, and in probabilities.

Readable without colour, in 80 columns, and on terminals that know only ASCII. A block's height is the probability of
its two EF points, relative to the highest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from mcsdr.posterior import Posterior
from mcsdr.report import (
    CATEGORIES,
    Answer,
    Refusal,
    category_percents,
    disclaimers,
    display_names,
    headline,
    percent,
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
            _print_answer(console, name, result, record, plain)
        else:
            _print_refusal(console, name, result)
        console.print()
    for sentence in disclaimers(records):
        _line(console, Text(sentence, style="bold"), indent=0)


def histogram(posterior: Posterior, plain: bool = False) -> str:
    """The belief as 50 blocks, two EF points each; any that holds 1 in 1,000 shows at least the lowest block."""
    blocks = ASCII_BLOCKS if plain else BLOCKS
    mass = np.diff(posterior.cdf(np.linspace(0, 100, COLUMNS + 1)))
    height = np.ceil((len(blocks) - 1) * mass / mass.max()) * (mass >= 1e-3)
    return "".join(blocks[int(h)] for h in height)


def interval_line(record: Mapping[str, Any], plain: bool = False) -> str:
    """The 90 % interval and the median, under the blocks."""
    rule, left, right, middle = ("-", "[", "]", "|") if plain else ("─", "├", "┤", "┃")
    low, high = (_column(ef) for ef in record["interval_90"])
    line = [" "] * low + [rule] * (high - low + 1)
    line[low], line[high], line[_column(record["median"])] = left, right, middle
    return "".join(line)


def _print_answer(console: Console, name: str, answer: Answer, record: Mapping[str, Any], plain: bool) -> None:
    _line(console, Text(name, style="bold"), indent=0)
    _line(console, Text(headline(record)))
    console.print()
    ruler = "".join(f"{ef:<{10 // CELL}}" for ef in range(0, 101, 10))
    for row in (histogram(answer.posterior, plain), interval_line(record, plain), ruler):
        console.print(Text("    " + row), no_wrap=True, overflow="crop")
    console.print(Text("    EF in %; the line is the 90 % interval, with the median", style="dim"))
    console.print()
    prob = record["prob"]
    for category, share in zip(CATEGORIES, category_percents(prob), strict=True):
        words = f"{category.name:<7}{category.inequality:<16}{share:>6}  "
        bar = ("#" if plain else "█") * round(BAR_COLUMNS * prob[category.key])
        _line(console, Text(words).append(bar, style=category.colour), indent=4)
    for cut in thresholds(prob, answer.study.attributes.sex):
        share = "--" if cut.probability is None else percent(cut.probability)
        _line(console, Text(f"       {cut.inequality:<16}{share:>6}  {cut.meaning}"), indent=4)
    for notice in record["notices"]:
        _line(console, Text("! ", style="bold").append(notice["text"]).append(f" [{notice['code']}]"))


def _print_refusal(console: Console, name: str, refusal: Refusal) -> None:
    error = refusal.error
    _line(console, Text(name, style="bold"), indent=0)
    _line(console, Text("No answer: ", style="bold").append(error.cause).append(f" [{error.code}]"))
    _line(console, Text(f"Next step: {error.next_step}"))


def _column(ef: float) -> int:
    return min(COLUMNS - 1, int(ef // CELL))


def _line(console: Console, text: Text, indent: int = 2) -> None:
    """Print text as it is, with no markup read from it, wrapped under its own indent."""
    console.print(Padding(text, (0, 0, 0, indent), expand=False))
