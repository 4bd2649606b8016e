"""`mcsdr benchmark features`."""

from __future__ import annotations

from pathlib import Path

from mcsdr.cli.benchmark.common import Names, folder_of, given, publish
from mcsdr.errors import InvalidConfig


def features(
    data: str,
    /,
    *,
    table: Names = None,
    head: Names = None,
    epochs: int | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Every head on frozen features of every encoder, trained and measured on a data set's own splits.

    Parameters
    ----------
    data
        A data set's folder with a train, a val and a test split.
    table
        NAME=FILE: an encoder's name and its table of features (`mcsdr features`); may be given several times.
    head
        Only these heads; may be given several times.
    epochs
        Of every training that has no number of its own.
    seed
        Of the trainings.
    out
        Folder for the table and for predictions/, FileName and EF_pred as CardioBench reads them.
    """
    named = [one.partition("=") for one in table or ()]
    if not named or not all(equals and path for _, equals, path in named):
        raise InvalidConfig("no table of features is named.", next_step="Give --table echoprime=echoprime.csv.")
    from mcsdr.evaluation.evidence.feature_heads import run

    tables = {name: Path(path) for name, _, path in named}
    folder = folder_of(out, "features", False)
    options = given(heads=head, epochs=epochs)
    private = [Path(data), *tables.values()]
    publish(lambda say: run(folder, data, tables, seed=seed, say=say, **options), folder, private)
