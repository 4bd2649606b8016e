"""What a notebook shows of answers: the belief in its colours, or why there is none; always the disclaimer."""

from __future__ import annotations

from tests.report.standins import MODEL

from mcsdr import DISCLAIMER
from mcsdr.model import Answer
from mcsdr.prediction import Failure
from mcsdr.report.notebook import answer_html, answers_html, model_html


def test_an_answer_shows_its_dots_in_colour(answer: Answer) -> None:
    html = answer_html(answer)
    assert html.count("<circle") == 50
    assert "<style>" in html  # else the dots are black
    assert DISCLAIMER in html
    assert "<script" not in html


def test_an_abstention_shows_its_reason_and_no_number(withheld: Answer) -> None:
    html = answer_html(withheld)
    assert "still-picture" in html
    assert "<circle" not in html


def test_several_are_a_table_failures_among_them(answer: Answer, withheld: Answer, failure: Failure) -> None:
    html = answers_html([answer, withheld, failure])
    assert html.count("<tr>") == 4
    assert f"<td>{answer.median:.0f}</td>" in html
    assert "not-b-mode" in html
    assert DISCLAIMER in html


def test_a_model_shows_its_hash() -> None:
    assert "5e" * 32 in model_html("Model(stand-in)", MODEL.card.notice, MODEL.sha256)
