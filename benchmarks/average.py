"""The weights halfway between two models of one network, such as two rounds of a training.

    python benchmarks/average.py phantom-a4c-varied candidates/phantom-a4c-longer --out runs/averaged

What is said of it is what is said of the second, whose calibration it keeps to begin with; it has no gate. `mcsdr gate`
and `mcsdr calibrate` fit both anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mcsdr.model import Model, load


def average(first: Model, second: Model) -> Model:
    """The second with the mean of both weights.

    Raises:
        ValueError: their networks differ.
    """
    if first.network.settings != second.network.settings:
        raise ValueError(f"{first.card.name} and {second.card.name} are no two rounds of one network.")
    before = first.network.state_dict()
    second.network.load_state_dict(
        {name: (before[name] + weight) / 2 for name, weight in second.network.state_dict().items()}
    )
    card = second.card
    known = [*card.seen(), *card.ancestry]
    card.ancestry = [*card.ancestry, *(one for one in (*first.card.seen(), *first.card.ancestry) if one not in known)]
    card.training_data += f"; its weights are averaged with those of {first.card.name}, {first.sha256[:16]}"
    card.figures = {}
    second.familiarity = second.look_spread = None
    return second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    averaged = average(load(options.first), load(options.second))
    averaged.card.name = options.out.name
    averaged.save(options.out)
    print(f"Written to {options.out}: {averaged!r}")


if __name__ == "__main__":
    main()
