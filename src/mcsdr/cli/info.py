"""`mcsdr info`: what a model is."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from mcsdr import DEFAULT_MODEL

if TYPE_CHECKING:
    from rich.table import Table

    from mcsdr.model import Model

COLUMNS = 80


def info(
    model: str = DEFAULT_MODEL,
    /,
    *,
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    all_: Annotated[bool, Parameter(name="--all", negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Print what a model is: what it reads and has learnt from, its figures, its hash.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    list_
        Print the bundled models instead: name, size, and what each has learnt from.
    all_
        Print all that the model says of itself, with every figure.
    json_
        Print one object instead of the summary.
    """
    if list_:
        print("\n".join(_bundled()))
        return
    from mcsdr.model import load

    estimator = load(model)
    facts = _facts(estimator)
    if json_:
        print(json.dumps(facts, indent=2))
        return
    print("\n".join(_summary(estimator)))
    if all_:
        _print_all(facts, estimator.card.figures.get("test"))


def _bundled() -> Iterator[str]:
    """Each bundled model's name, size and one line, from its description alone."""
    from mcsdr.files.shipped import described, models

    for name, folder in models().items():
        size = (folder / "model.safetensors").stat().st_size / 1e6
        default = " (the default)" if name == DEFAULT_MODEL else ""
        yield f"{name}{default}, {size:.1f} MB: {described(folder)['card']['training_data']}"


def _facts(model: Model) -> dict[str, Any]:
    from mcsdr.model.record import provenance

    return {
        **provenance(model, model.sampler),
        "parameters": model.network.parameter_counts(),
        "training_data": model.card.training_data,
        "synthetic": model.card.synthetic,
        **({"changes": model.card.changes} if model.card.changes else {}),
        "figures": model.card.figures,
        "clip": model.clip.model_dump(),
        "attributes": list(model.statistics.names),
        "disclaimer": model.card.notice,
    }


def _summary(model: Model) -> Iterator[str]:
    """Ten lines of 80 columns; the hash stands whole, any other line is cut where it is longer."""
    clip, card, sampler = model.clip, model.card, model.sampler
    views = " and ".join(model.network.settings.views) or "clips of one view"
    frames = f"at {clip.rate_hz:g} a second" if clip.sampling == "seconds" else "of the whole clip"
    how = f"{sampler.draws} random draws" if sampler.draws else "exact quantiles"
    told = {
        "reads": f"{views}, {clip.frames} frames {frames}, {clip.size} × {clip.size} pixels",
        "may be told": ", ".join(model.statistics.names) or "nothing of the patient",
        "learnt from": card.training_data,
        "recalibrated": card.calibration or "no",
        "measured": _measured(card.figures.get("test")),
        "answers by": f"{how}: {sampler.sampler}, {sampler.evaluations} evaluations of the network",
        "sha256": model.sha256,
    }
    yield f"{card.name}, {model.network.parameter_counts()['total']:,} parameters"
    for name, words in told.items():
        yield f"{name:<14}{textwrap.shorten(words, COLUMNS - 14, placeholder=' …')}"
    yield from textwrap.wrap(card.notice, COLUMNS)


def _measured(test: dict[str, Any] | None) -> str:
    """The first column of the table of figures in one line."""
    if not test:
        return "not yet; `mcsdr evaluate` does"
    column = next(iter(test["estimate and 95 % interval"].values()))
    mae, crps, covered = (column[name][0] for name in ("MAE", "CRPS", "coverage 90%"))
    return f"MAE {mae:.1f}, CRPS {crps:.1f}, 90 % interval covers {100 * covered:.0f} %; {test['n']:,} fresh phantoms"


def _print_all(facts: dict[str, Any], test: dict[str, Any] | None) -> None:
    from rich.console import Console

    print()
    for key, value in facts.items():
        if key != "figures":
            print(f"{key}: {value if isinstance(value, str) else json.dumps(value)}")
    if test:
        print()
        Console().print(_figures(f"Measured on {test['n']:,} fresh phantoms", test["estimate and 95 % interval"]))


def _figures(title: str, columns: dict[str, dict[str, list[float]]]) -> Table:
    from rich.table import Table

    table = Table("estimate (95 % interval)", *columns, title=title)
    for measure in next(iter(columns.values())):
        cells = (column[measure] for column in columns.values())
        table.add_row(measure, *(f"{estimate:.3f} ({lower:.3f} to {upper:.3f})" for estimate, lower, upper in cells))
    return table
