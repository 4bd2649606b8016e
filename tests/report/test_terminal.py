"""What the summary promises: the words of the record, in 80 columns, without colour and without Unicode if need be."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console
from tests.report.standins import called

from mcsdr import DISCLAIMER
from mcsdr.prediction import Failure
from mcsdr.report import Answer, Refusal
from mcsdr.report.terminal import histogram, print_results


def printed(results: list[Answer | Refusal], width: int = 80, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    print_results(Console(file=file, width=width, no_color=True), results)
    file.flush()
    return raw.getvalue().decode(encoding)


def test_the_summary_fits_eighty_columns_and_says_the_record(answer: Answer, failure: Failure) -> None:
    text = printed([answer, failure])
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    flat, record = " ".join(text.split()), answer.record()
    low, high = record["interval_90"]
    assert f"The median reading is EF {record['median']:.0f} %, and 90 % of the belief" in flat
    assert f"between {low:.0f} and {high:.0f} %." in flat
    assert f"EF < 54 % {100 * record['prob']['<54']:.0f} %" in flat
    for expected in (failure.error.code, failure.error.cause, failure.error.next_step):
        assert expected in flat


def test_the_disclaimer_stands_once_at_the_end(answer: Answer, two_peaked: Answer, failure: Failure) -> None:
    flat = " ".join(printed([answer, two_peaked, failure]).split())
    assert flat.count(DISCLAIMER) == 1
    assert flat.endswith(f"Trained on synthetic phantoms only, on no patient. {DISCLAIMER}")
    assert DISCLAIMER in " ".join(printed([failure]).split())


def test_notices_are_told_with_their_codes(two_peaked: Answer) -> None:
    flat = " ".join(printed([two_peaked]).split())
    assert flat.count("do not average") == 1
    assert "[wide-interval]" in flat
    assert "┃" not in flat


def test_a_terminal_without_unicode_gets_blocks_it_can_print(answer: Answer) -> None:
    text = printed([answer], encoding="ascii")
    assert "#" in text
    assert "[" in text


def test_names_are_neither_markup_nor_commands(answer: Answer) -> None:
    text = printed([called(answer, "[bold red]\x1b]0;title\x07.avi")])
    assert "[bold red]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_the_histogram_has_a_block_wherever_there_is_belief(two_peaked: Answer) -> None:
    blocks = histogram(two_peaked.posterior)
    assert len(blocks) == 50
    assert 30 <= 2 * blocks.index("█") <= 36
    assert blocks[:5].strip() == ""
    assert blocks[40:].strip() == ""


def test_an_abstention_says_why_and_what_next_and_no_number(withheld: Answer) -> None:
    flat, why = " ".join(printed([withheld]).split()), withheld.abstained
    assert why is not None
    assert f"No answer: {why.reason} [{why.code}]" in flat
    assert f"Next step: {why.next_step}" in flat
    assert "median" not in flat
    assert flat.endswith(DISCLAIMER)


def test_a_belief_that_was_insisted_on_is_marked(withheld: Answer) -> None:
    flat = " ".join(printed([replace(withheld, anyway=True)]).split())
    assert "do not rely on it" in flat
    assert flat.index("do not rely on it") < flat.index("The median reading is EF")


def test_beats_are_told_with_their_spread(beating: Answer) -> None:
    flat = " ".join(printed([beating]).split())
    spread = beating.record()["beat_spread"]
    assert f"2 beats were read; their medians are 54 to 58 %, SD {spread:.1f} points." in flat
