"""Answers and models in a notebook: a few lines of HTML with no script and nothing from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Protocol

from mcsdr.posterior.notebook import as_html
from mcsdr.report import disclaimers, display_names, further_notices, insisted, is_withheld


class Told(Protocol):
    """What a notebook takes of an answer or a failure."""

    @property
    def path(self) -> str: ...
    def record(self) -> dict[str, Any]: ...


def answer_html(answer: Any) -> str:
    """An answer: what is believed in words and as 50 dots, or why nothing is; and what must stand with it."""
    record = answer.record()
    (name,) = display_names([answer.path])
    lines = [f"<strong>{escape(name)}</strong>"] if answer.path else []
    if is_withheld(record):
        why = record["abstained"]
        lines += [
            f"No answer: {escape(why['reason'])} [{why['code']}]",
            f"Next step: {escape(why['next_step'])}",
        ]
    else:
        warning = insisted(record)
        lines += [f"<strong>{escape(warning)}</strong>"] if warning else []
        lines.append(str(as_html(answer.belief)))
    lines += [escape(notice["text"]) for notice in further_notices(record)]
    lines += [f"<em>{escape(sentence)}</em>" for sentence in disclaimers([record])]
    return f"<div>{''.join(f'<div>{line}</div>' for line in lines)}</div>"


def answers_html(answers: Iterable[Told]) -> str:
    """Several answers as a table of a line each."""
    records = [answer.record() for answer in answers]
    names = display_names([record["file"] for record in records])
    rows = "".join(_row(name, record) for name, record in zip(names, records, strict=True))
    said = "".join(f"<div><em>{escape(sentence)}</em></div>" for sentence in disclaimers(records))
    head = "".join(f"<th>{word}</th>" for word in ("", "median, %", "90 % interval of a report", "P(EF ≤ 40 %)", ""))
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{said}</div>"


def _row(name: str, record: Mapping[str, Any]) -> str:
    why = record["error"] or record["abstained"]
    said = "" if why is None else f"{why.get('cause') or why.get('reason')} [{why['code']}]"
    cells = ["–", "–", "–"]
    if record["median"] is not None:
        low, high = record["interval_90"]
        cells = [f"{record['median']:.0f}", f"{low:.0f}–{high:.0f}", f"{record['prob']['<=40']:.2f}"]
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in (name, *cells, said))}</tr>"


def model_html(words: str, notice: str, sha256: str) -> str:
    """A model: what it is, its hash, and what must stand with it."""
    return f"<div><div>{escape(words)}</div><div>SHA-256 {sha256}</div><div><em>{escape(notice)}</em></div></div>"
