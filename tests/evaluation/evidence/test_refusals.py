"""What is refused: counted by the gate that fired, impostors and own clips apart."""

from __future__ import annotations

from mcsdr.evaluation.evidence import refusals
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.impostors import ImpostorCohort


def test_a_row_counts_by_gate() -> None:
    row = refusals.row("a family", ["still-picture", None, "wide-interval", "still-picture"])
    assert row == ["a family", 4, 75.0, "still-picture 50.0, wide-interval 25.0"]
    assert refusals.row("answered", [None, None]) == ["answered", 2, 0.0, "–"]


def test_another_view_is_one_reason_among_others() -> None:
    found = ["wide-interval", None, "wrong-view-or-not-echo", None]
    assert refusals.share_of(refusals.ANOTHER_VIEW, found) == 0.25
    assert refusals.share(found) == 0.5


def test_black_clips_are_refused_and_phantoms_answered() -> None:
    said: list[str] = []
    report = refusals.run(cohorts=["phantom:2:71"], families=["black", "still"], each=2, say=said.append)
    targets, table = report.tables
    assert [row[1:] for row in targets.rows] == [["100.0 %", "met"], ["0.0 %", "met"], ["0.0 %", "met"]]
    assert [row[0] for row in table.rows[1:]] == ["black", "still", "all impostors of families shown"]
    assert table.rows[-1][1:] == [4, 100.0, "empty-picture 50.0, still-picture 50.0"]
    assert len(said) == 3


def test_what_was_never_shown_is_told_apart() -> None:
    """The gate of phantom-a4c has seen still clips and no shuffled ones."""
    report = refusals.run(cohorts=[], families=["still", "shuffled"], each=1, say=lambda line: None)
    targets, table = report.tables
    assert [row[0] for row in table.rows[:2]] == ["still", "shuffled (never shown)"]
    assert [row[0] for row in targets.rows] == [
        "impostors of families shown: refused ≥ 99 %",
        "impostors of families never shown: refused ≥ 99 %",
    ]


def test_what_cannot_be_read_counts_as_refused() -> None:
    model = refusals.load("phantom-a4c")
    short = PhantomCohort(1, 71, frames=2, seconds=0.1, sampling_hz=25.0)
    assert refusals.codes(model, short, lambda line: None, "short") == ["clip-too-short"]
    assert refusals.codes(model, ImpostorCohort(1, 3, ("black",)), lambda line: None, "black") == ["empty-picture"]
