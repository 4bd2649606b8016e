"""Average the weights of models of one shape, all else as the first has it, without gate and calibration.

    python benchmarks/average.py candidates/phantom-a4c-shaped phantom-a4c-varied runs/average

Weights of two trainings that began alike lie in one valley, and what lies between them answers like something between.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import mcsdr
from mcsdr.model import Model


def averaged(models: list[Model]) -> Model:
    """Every weight the mean of theirs."""
    first = models[0]
    states = [model.network.state_dict() for model in models]
    mean = {name: torch.stack([state[name].double() for state in states]).mean(0) for name in states[0]}
    first.network.load_state_dict(mean)
    return Model(
        first.network,
        first.clip,
        first.statistics,
        first.card,
        first.sampler,
        first.protocol,
        population=first.stored_population,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    averaged([mcsdr.load(name) for name in options.models]).save(options.out)


if __name__ == "__main__":
    main()
