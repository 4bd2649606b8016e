"""`mcsdr import-official`: the MCSDR authors' weights as a model of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def import_official(
    checkpoint: Path,
    /,
    *,
    dataset: Literal["echonet-dynamic", "echonet-pediatric", "camus"],
    out: Path,
    table: Path | None = None,
) -> None:
    """Turn a checkpoint that the MCSDR authors released into a model folder.

    The checkpoint is read as tensors alone, in a process of its own; nothing in it is run.

    Parameters
    ----------
    checkpoint
        The .pth file, as released.
    dataset
        What it was trained on.
    out
        The model folder to write.
    table
        The CSV file that it was trained on, for the scales of the attributes (columns Split, Age, Sex, Weight,
        Height). Without it the scales are assumed and sex is not used.
    """
    from rich.console import Console

    from mcsdr.training.weights import official

    model = official.import_official(checkpoint, dataset, table)
    model.save(out)
    console = Console()
    console.print(f"{out}: {model.card.name}, {model.network.parameter_counts()['total']:,} parameters.")
    console.print(model.card.training_data)
    console.print(model.card.notice)
