"""`mcsdr info`: what a model is."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter


def info(
    model: str = "phantom-a4c", /, *, json_: Annotated[bool, Parameter(name="--json", negative="")] = False
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
    from rich.table import Table

    from mcsdr.model import load
    from mcsdr.prediction import provenance

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
    table = Table(show_header=False, title=card.name)
    for name, value in facts.items():
        text = ", ".join(f"{k} {v:,}" for k, v in value.items()) if name == "parameters" else json.dumps(value)
        table.add_row(name, text.strip('"'))
    Console().print(table)
