"""`mcsdr info`: what a model is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from mcsdr import DEFAULT_MODEL

if TYPE_CHECKING:
    from rich.table import Table


def info(
    model: str = DEFAULT_MODEL, /, *, json_: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> None:
    """Print a model's size, training data, hash and figures.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    json_
        Print one object instead of the summary.
    """
    from rich.console import Console

    from mcsdr.model import load
    from mcsdr.model.record import provenance

    estimator = load(model)
    card = estimator.card
    facts = {
        **provenance(estimator, estimator.sampler),
        "parameters": estimator.network.parameter_counts(),
        "training_data": card.training_data,
        "synthetic": card.synthetic,
        "figures": card.figures,
        "clip": estimator.clip.model_dump(),
        "attributes": list(estimator.statistics.names),
        "disclaimer": card.notice,
    }
    if json_:
        print(json.dumps(facts, indent=2))
        return
    console = Console()
    console.print(_table(card.name, facts))
    test = card.figures.get("test")
    if test:
        console.print(_figures(f"Measured on {test['n']:,} fresh phantoms", test["estimate and 95 % interval"]))


def _table(name: str, facts: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(show_header=False, title=name)
    for key, value in facts.items():
        if key == "parameters":
            table.add_row(key, ", ".join(f"{part} {count:,}" for part, count in value.items()))
        elif key != "figures":
            table.add_row(key, value if isinstance(value, str) else json.dumps(value))
    return table


def _figures(title: str, columns: dict[str, dict[str, list[float]]]) -> Table:
    from rich.table import Table

    table = Table("estimate (95 % interval)", *columns, title=title)
    for measure in next(iter(columns.values())):
        cells = (column[measure] for column in columns.values())
        table.add_row(measure, *(f"{estimate:.3f} ({lower:.3f} to {upper:.3f})" for estimate, lower, upper in cells))
    return table
