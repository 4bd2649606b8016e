"""A page that explains answers: one self-contained HTML file, without scripts and without any outside host.

    results --cards--> plain values and drawings --report.html.jinja--> text

Everything that came from a file (its name, its attributes, a message) is text that the template escapes. Folders are
left out of file names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from mcsdr.files import write_atomically
from mcsdr.posterior.categories import CATEGORIES, category_percents, percent
from mcsdr.report import (
    CATEGORY_SOURCE,
    CUT_NOTE,
    HOW_TO_READ,
    READER_LINES,
    Answer,
    Refusal,
    analysed_line,
    disclaimers,
    display_names,
    further_notices,
    headline,
    heart_line,
    insisted,
    is_withheld,
    reading,
    svg,
    thresholds,
)
from mcsdr.report.basis import pictures, provenance, reasons
from mcsdr.study import inline_png


def render_report(results: Sequence[Answer | Refusal]) -> str:
    """The page of one or more results, in the order given."""
    names = display_names([result.path for result in results])
    cards = [
        _answer_card(name, result) if isinstance(result, Answer) else _refusal_card(name, result)
        for name, result in zip(names, results, strict=True)
    ]
    records = [card["record"] for card in cards if "record" in card]
    return template("report.html.jinja").render(cards=cards, disclaimers=disclaimers(records))


def write_report(path: str | Path, results: Sequence[Answer | Refusal]) -> None:
    """Write the page in one piece or not at all."""
    write_atomically(Path(path), render_report(results).encode())


@cache
def template(name: str) -> Template:
    """A page of this package by its file's name: all that it is given is escaped, and what it lacks is an error."""
    environment = Environment(
        loader=PackageLoader("mcsdr", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "categories": CATEGORIES,
        "category_source": CATEGORY_SOURCE,
        "cut_note": CUT_NOTE,
        "how_to_read": HOW_TO_READ,
        "reader_lines": READER_LINES,
    }
    environment.filters["glue"] = lambda text: str(text).replace(" %", "\u00a0%")  # no break before a per cent sign
    return environment.get_template(name)


# --- cards -----------------------------------------------------------------------------------------------------------


def _answer_card(name: str, answer: Answer) -> dict[str, Any]:
    record, posterior = answer.record(), answer.belief
    if is_withheld(record):
        return _abstention_card(name, answer, record)
    return {
        "answered": True,
        "name": name,
        "record": record,
        "insisted": insisted(record),
        "headline": headline(record),
        "heart": heart_line(record),
        "about": _about(record),
        "reading": reading(record),
        "notices": further_notices(record),
        "dotplot": svg.dotplot(posterior, record),
        "quantiles": [(f"{100 * float(level):g} %", f"{ef:.1f}") for level, ef in record["quantiles"].items()],
        "shares": list(zip(CATEGORIES, _widths(record["prob"]), category_percents(record["prob"]), strict=True)),
        "thresholds": [
            (row.inequality, row.meaning, "—" if row.probability is None else percent(row.probability))
            for row in thresholds(record["prob"], answer.study.attributes.sex)
        ],
        "reasons": reasons(answer.study, record),
        "pictures": _pictures(answer),
        "settling": svg.settling(posterior),
        "settling_table": svg.settling_table(posterior),
        "provenance": provenance(name, answer, record),
        "data": _data(name, record),
    }


def _about(record: Mapping[str, Any]) -> str:
    """When the answer was made, its label, and the bytes that it is of."""
    digest = record["input_sha256"]
    return analysed_line(record) + (f"; SHA-256 {digest[:12]}…" if digest else "")


def _data(name: str, record: Mapping[str, Any]) -> str:
    return json.dumps({**record, "file": name}, indent=2, ensure_ascii=False)


def _abstention_card(name: str, answer: Answer, record: Mapping[str, Any]) -> dict[str, Any]:
    """The clip was read, but its belief is withheld: why, what to do, and what was looked at."""
    why = record["abstained"]
    return {
        "answered": False,
        "record": record,
        "name": name,
        "about": _about(record),
        "code": why["code"],
        "cause": why["reason"],
        "next_step": why["next_step"],
        "notices": further_notices(record),
        "pictures": _pictures(answer),
        "data": _data(name, record),
    }


def _refusal_card(name: str, refusal: Refusal) -> dict[str, Any]:
    error = refusal.error
    return {
        "answered": False,
        "name": name,
        "about": "",
        "code": error.code,
        "cause": error.cause,
        "next_step": error.next_step,
        "notices": [],
        "pictures": [],
        "data": "",
    }


def _widths(prob: Mapping[str, float]) -> list[str]:
    """How long the bar of each category is, in per cent of the whole."""
    return [f"{100 * prob[category.key]:.2f}" for category in CATEGORIES]


# --- pictures --------------------------------------------------------------------------------------------------------


def _pictures(answer: Answer) -> list[dict[str, str]]:
    return [
        {"source": inline_png(picture.image), "alt": picture.alt, "caption": picture.caption}
        for picture in pictures(answer.study, answer.outlines)
    ]
