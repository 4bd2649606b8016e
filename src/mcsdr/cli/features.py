"""`mcsdr features`: a data set and an encoder in, a table of frozen features out."""

from __future__ import annotations

from pathlib import Path

from mcsdr import DEFAULT_MODEL


def features(data: str, /, *, out: Path, encoder: str = DEFAULT_MODEL) -> None:
    """Store the frozen features of any encoder, one vector per clip, for `mcsdr benchmark features`.

    Parameters
    ----------
    data
        A data set's folder, in its own layout.
    out
        The table to write, CSV: FileName, f0, f1, …
    encoder
        A bundled model's name or a folder, whose tokens are averaged; or a function of your own, module:function, which
        is given frames (uint8, [T, H, W]) and their times in seconds, and returns numbers. The weights of others'
        encoders, such as EchoPrime, PanEcho and EchoCLIP, have licences of their own.
    """
    import sys

    from mcsdr.cli.progress import bar
    from mcsdr.datasets import CohortSpec, open_cohort
    from mcsdr.datasets.entries import FolderCohort
    from mcsdr.errors import InvalidConfig
    from mcsdr.training.features import encoder_of, store

    sys.path.insert(0, "")  # a function that lies in the folder the command is typed in
    cohort = open_cohort(CohortSpec.parse(data))
    if not isinstance(cohort, FolderCohort):
        raise InvalidConfig("features are of a data set's folder.", next_step="Write phantoms with `mcsdr simulate`.")
    with bar("studies", len(cohort)) as advance:
        failures = store(cohort, encoder_of(encoder), out, advance)
    for name, why in failures:
        print(f"not encoded: {name}: {why}")
    print(f"Written to {out}: a vector for each clip.")
