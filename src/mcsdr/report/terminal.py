"""A summary for the terminal: the belief in words, in one line of blocks over EF 0–100 %, and in probabilities.

Readable without colour, in 80 columns, and on terminals that know only ASCII. A block's height is the probability of
its two EF points, relative to the highest. Of many clips each gets one line (`print_lines`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

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
    heart_line,
    insisted,
    is_two_peaked,
    is_withheld,
    looks_line,
    reading,
    thresholds,
)

CELL = 2  # EF points per column
COLUMNS = 100 // CELL
BLOCKS, ASCII_BLOCKS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
ATTRIBUTES = ("age_years", "sex", "weight_kg", "height_cm")
BAR_COLUMNS = 24
NAME_COLUMNS = 40  # of a table of clips; a longer name pushes its answer to the right


def print_results(
    console: Console,
    results: Sequence[Answer | Refusal],
    *,
    threshold: float | None = None,
    given: Collection[str] = (),
    read: Collection[str] = ATTRIBUTES,
) -> None:
    """Print each result in the order given, and once, at the end, what must stand with all of them.

    Arguments:
        threshold: an EF in per cent that the user named; its probability is told.
        given, read: names of the attributes that the user gave, and of those that the model takes.
    """
    plain = not console.encoding.lower().startswith("utf")
    records = []
    for name, result in zip(display_names([result.path for result in results]), results, strict=True):
        if isinstance(result, Answer):
            record = result.record()
            records.append(record)
            if is_withheld(record):
                _print_abstention(console, name, record)
            else:
                _print_answer(console, name, result, record, plain, threshold)
            _paragraph(console, attributes_line(record, given, read))
        else:
            error = result.error
            _print_refusal(console, name, error.cause, error.code, error.next_step)
        console.print()
    for sentence in disclaimers(records):
        _paragraph(console, sentence, indent="", style="bold")


class Line(NamedTuple):
    """What is kept of one clip among many: its record, and P(EF ≤ threshold) where a threshold was named."""

    record: Mapping[str, Any]
    below: float | None = None


def line_of(result: Answer | Refusal, threshold: float | None = None) -> Line:
    """The line of a result; its frames and posterior are not kept."""
    record = result.record()
    if threshold is None or is_withheld(record) or not isinstance(result, Answer):
        return Line(record)
    return Line(record, float(result.belief.prob_below(threshold)))


def print_many(
    console: Console,
    lines: Sequence[Line],
    counts: Sequence[str],
    *,
    threshold: float | None = None,
    given: Collection[str] = (),
    read: Collection[str] = ATTRIBUTES,
) -> None:
    """A line for each clip: its reading and 90 % interval, or the code of why there is none; then what goes for all.

    Arguments:
        counts: lines that say how many clips were answered, and why others were not.
        threshold, given, read: as for `print_results`.
    """
    names = display_names([line.record["file"] for line in lines])
    width = min(NAME_COLUMNS, max(map(len, names), default=0))
    for name, line in zip(names, lines, strict=True):
        console.print(Text(f"{name:<{width}}  {_in_short(line, threshold)}"), soft_wrap=True)
    console.print()
    for count in counts:
        _paragraph(console, count, indent="")
    for code, step in _next_steps(lines).items():
        _paragraph(console, step, first=f"  {code}: ")
    _paragraph(console, attributes_of_many(lines, given, read), indent="")
    for sentence in disclaimers([line.record for line in lines if line.record["error"] is None]):
        _paragraph(console, sentence, indent="", style="bold")


def _in_short(line: Line, threshold: float | None) -> str:
    record, below = line
    if record["error"] is not None:
        return f"failed: {record['error']['code']}"
    if is_withheld(record):
        return f"no answer: {record['abstained']['code']}"
    low, high = record["interval_90"]
    words = f"EF {reading(record)} %, 90 % of reports {low:.0f} to {high:.0f} %"
    if below is not None:
        words += f", P(EF ≤ {threshold:g} %) {percent(below)}"
    return words if insisted(record) is None else f"{words}; do not rely on it: {record['abstained']['code']}"


def _next_steps(lines: Sequence[Line]) -> dict[str, str]:
    """What to do about each code among the lines, in the order in which they first come."""
    steps: dict[str, str] = {}
    for line in lines:
        why = line.record["error"] or line.record["abstained"]
        if why:
            steps.setdefault(why["code"], why["next_step"])
    return steps


def attributes_line(record: Mapping[str, Any], given: Collection[str] = (), read: Collection[str] = ATTRIBUTES) -> str:
    """The patient's attributes that one answer was made with, and whence each.

    Arguments:
        given: names of those that the user gave; others are the file's.
        read: names of those that the model takes.
    """
    used = {name: value for name, value in record["attributes"].items() if name in read}
    if not used:
        return "Attributes used: none, neither given nor in the file."
    parts = []
    for source, is_given in (("as given", True), ("from the file", False)):
        some = [_attribute(name, value) for name, value in used.items() if (name in given) == is_given]
        parts += [f"{', '.join(some)} ({source})"] if some else []
    return f"Attributes used: {'; '.join(parts)}."


def attributes_of_many(lines: Sequence[Line], given: Collection[str] = (), read: Collection[str] = ATTRIBUTES) -> str:
    """The same of many clips: what was given for all, and how many files say each of the others."""
    all_used = [line.record["attributes"] for line in lines if line.record["error"] is None]
    parts = [
        f"{_attribute(name, all_used[0][name])} (as given, for all)" for name in read if name in given and all_used
    ]
    for name in read:
        count = sum(name in used for used in all_used)
        if name not in given and count:
            parts.append(f"{name.partition('_')[0]} (from {count} of {len(all_used)} files)")
    return f"Attributes used: {'; '.join(parts) or 'none, neither given nor in a file'}."


def _attribute(name: str, value: float | str) -> str:
    word, _, unit = name.partition("_")
    return f"{word} {value}" if isinstance(value, str) else f"{word} {value:g} {unit}"


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


def _print_answer(
    console: Console, name: str, answer: Answer, record: Mapping[str, Any], plain: bool, threshold: float | None
) -> None:
    _paragraph(console, name, indent="", style="bold")
    warning = insisted(record)
    if warning:
        _paragraph(console, warning, first="  ! ", style="bold")
    _paragraph(console, headline(record))
    if heart := heart_line(record):
        _paragraph(console, heart)
    console.print()
    ruler = "".join(f"{ef:<{10 // CELL}}" for ef in range(0, 101, 10))
    for row in (histogram(answer.belief, plain), interval_line(record, plain), ruler):
        console.print(Text(f"    {row}".rstrip()), no_wrap=True, overflow="crop")
    console.print(Text("    EF in %; the line is the 90 % interval of a reader's report", style="dim"))
    console.print()
    prob = record["prob"]
    for category, share in zip(CATEGORIES, category_percents(prob), strict=True):
        words = f"    {category.name:<7}{category.inequality:<16}{share:>6}  "
        bar = ("#" if plain else "█") * round(BAR_COLUMNS * prob[category.key])
        console.print(Text(words).append(bar, style=category.colour), no_wrap=True, overflow="crop")
    for cut in thresholds(prob, answer.study.attributes.sex):
        share = "--" if cut.probability is None else percent(cut.probability)
        _paragraph(console, cut.meaning, first=f"{'':11}{cut.inequality:<16}{share:>6}  ")
    if threshold is not None:
        inequality, below = f"EF ≤ {threshold:g} %", percent(float(answer.belief.prob_below(threshold)))
        _paragraph(console, "the threshold that was named", first=f"{'':11}{inequality:<16}{below:>6}  ")
    beats = beats_line(record)
    for line in (beats, looks_line(record)):
        if line:
            _paragraph(console, line, indent="    ")
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
