"""What the summary promises: the words of the record, in 80 columns, without colour and without Unicode if need be."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import Console
from tests.report.standins import called

from mcsdr import DISCLAIMER
from mcsdr.prediction import Failure
from mcsdr.report import Answer, Refusal, looks_line
from mcsdr.report.terminal import (
    attributes_line,
    attributes_of_many,
    histogram,
    line_of,
    print_many,
    print_results,
)


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
    assert f"The median reading is EF {record['median']:.0f} %, and with a probability of 90 % a reader would" in flat
    assert f"report {low:.0f} to {high:.0f} %." in flat
    assert f"EF < 54 % {100 * record['prob']['<54']:.0f} %" in flat
    for expected in (failure.error.code, failure.error.cause, failure.error.next_step):
        assert expected in flat


def test_how_far_looks_disagree_is_said_against_other_clips() -> None:
    told = {"look_spread": 2.12, "look_spread_percentile": 72.4}
    differ = "Read also in a mirror and last frame first, the clip's readings differ by 2.1 points (SD)"
    assert looks_line(told) == f"{differ}; less in 72 of 100 clips that the model should answer."
    assert looks_line(told | {"look_spread_percentile": None}) == f"{differ}; how usual that is was not measured."
    assert looks_line(told | {"look_spread": None}) is None


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


def many(results: list[Answer | Refusal], counts: list[str], **told: Any) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="utf-8")
    threshold = told.get("threshold")
    print_many(Console(file=file, width=80), [line_of(result, threshold) for result in results], counts, **told)
    file.flush()
    return raw.getvalue().decode()


def test_of_many_clips_each_gets_one_line(
    answer: Answer, two_peaked: Answer, withheld: Answer, failure: Failure
) -> None:
    insisted = called(replace(withheld, anyway=True), "anyway.avi")
    text = many([answer, two_peaked, withheld, insisted, failure], ["5 clips"], threshold=40)
    lines, record = text.splitlines(), answer.record()
    low, high = record["interval_90"]
    share = f"{100 * answer.posterior.prob_below(40):.0f} %"
    expected = f"apical.dcm  EF {record['median']:.0f} %, 90 % of reports {low:.0f} to {high:.0f} %, P(EF ≤ 40 %) "
    assert lines[0].startswith(expected)
    assert lines[0].removeprefix(expected) in (share, "<1 %")
    assert " or " in lines[1]  # two readings, never their mean
    assert lines[2] == "still.dcm   no answer: still-picture"
    assert lines[3].endswith("do not rely on it: still-picture")
    assert lines[4] == "colour.dcm  failed: not-b-mode"
    assert "5 clips" in lines
    flat = " ".join(text.split())
    assert flat.count(f"still-picture: {withheld.abstained.next_step}") == 1  # type: ignore[union-attr]
    assert f"not-b-mode: {failure.error.next_step}" in flat
    assert flat.endswith(DISCLAIMER)


def test_attributes_are_told_with_where_they_come_from(answer: Answer, two_peaked: Answer) -> None:
    record = answer.record()
    assert attributes_line(record) == "Attributes used: age 63 years, sex F (from the file)."
    assert attributes_line(record, {"age_years"}) == "Attributes used: age 63 years (as given); sex F (from the file)."
    assert attributes_line(record, read=("sex",)) == "Attributes used: sex F (from the file)."
    assert attributes_line(two_peaked.record()) == "Attributes used: none, neither given nor in the file."
    of_many = [line_of(answer), line_of(two_peaked)]
    assert attributes_of_many(of_many) == "Attributes used: age (from 1 of 2 files); sex (from 1 of 2 files)."


def test_the_probability_of_the_named_threshold_is_told(answer: Answer) -> None:
    raw = io.StringIO()
    print_results(Console(file=raw, width=80), [answer], threshold=52)
    share = f"{100 * answer.posterior.prob_below(52):.0f} %"
    assert f"EF ≤ 52 % {share} the threshold that was named" in " ".join(raw.getvalue().split())
