"""`mcsdr check`: a data set in, everything that is wrong with it out, and its figures beside the published ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.console import Console

    from mcsdr.datasets.check import Findings
    from mcsdr.datasets.entries import FolderCohort

SHOWN = 50  # findings in the terminal; findings.csv has all


def check(
    data: str,
    /,
    *,
    out: Path = Path("out/check"),
    workers: int | None = None,
    clips: Annotated[bool, Parameter(negative="--no-clips")] = True,
    fold: int | None = None,
) -> None:
    """Read every row and clip of a data set, list each bad one with its cause, and print the cohort's figures.

    A check that was stopped goes on where it was. The exit status is 0 if nothing is bad, 1 if a row is, and 3 if a
    patient or a clip stands in two splits.

    Parameters
    ----------
    data
        A data set's folder, in its own layout.
    out
        Folder for findings.csv, check.json and the journal of what was read.
    workers
        Clips decoded at once; as many as there are processors unless given.
    clips
        Decode the clips; without, only the tables are read.
    fold
        Which fold is tested on, for data sets that come in folds.
    """
    from rich.console import Console

    from mcsdr.cli.progress import bar
    from mcsdr.datasets.check import check_cohort
    from mcsdr.errors import PatientInTwoSplits

    cohort = _open(data, fold)
    with bar("clips") as advance:
        found = check_cohort(
            cohort,
            journal=out / "journal.jsonl",
            workers=workers or os.cpu_count() or 1,
            clips=clips,
            advance=advance,
        )
    found.write(out)
    show(found, Console())
    print(f"Written to {_plain(str(out))}: findings.csv and check.json. Research use only; not for diagnosis.")
    try:
        found.refuse_leakage()
    except PatientInTwoSplits as error:
        print(f"mcsdr: {_plain(str(error))}", file=sys.stderr)
        sys.exit(3)
    if found.bad:
        sys.exit(1)


def _open(data: str, fold: int | None) -> FolderCohort:
    """The cohort with all its splits, patients in two of them and all.

    Raises:
        InvalidConfig: it is no folder.
    """
    from mcsdr.datasets import CohortSpec, open_cohort
    from mcsdr.datasets.entries import FolderCohort, leakage_left_to_the_caller
    from mcsdr.errors import InvalidConfig

    with leakage_left_to_the_caller():
        cohort = open_cohort(CohortSpec.parse(data, fold=fold))
    if not isinstance(cohort, FolderCohort):
        raise InvalidConfig(f"{data} is no folder to check.", next_step="Give the folder of a data set.")
    return cohort


def show(found: Findings, console: Console) -> None:
    """Findings, their counts, and the figures, bad findings first; text of the data is never taken for markup."""
    from rich.table import Table
    from rich.text import Text

    ordered = sorted(found.rows, key=lambda finding: finding.severity != "bad")
    if ordered:
        listed = Table(
            "row", "clip or study", "what", "cause", title=f"{len(found.bad)} bad of {len(ordered)} findings"
        )
        for finding in ordered[:SHOWN]:
            cells = (finding.row, finding.clip or finding.study_id, finding.code, finding.text)
            style = "red" if finding.severity == "bad" else "yellow"
            listed.add_row(*(Text(_plain(cell)) for cell in cells), style=style)
        console.print(listed)
        if len(ordered) > SHOWN:
            console.print(f"and {len(ordered) - SHOWN} more in findings.csv")
        console.print(Text(", ".join(f"{code} {count}" for code, count in found.counts.items())))
    else:
        console.print("Nothing is wrong.")
    _show_figures(found, console)


def _show_figures(found: Findings, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from mcsdr.datasets.published import FORMS, written

    published = found.published.figures if found.published else {}
    known = [name for name in FORMS if name in found.statistics or name in published]
    table = Table(
        "", "measured", "published", title=Text(f"{found.about['kind']}: counts of all rows, all else of sound rows")
    )
    for name in known:
        table.add_row(Text(name), written(name, found.statistics), written(name, published))
    console.print(table)
    if found.published:
        console.print(Text(f"Published: {found.published.source}"))
    if found.about["synthetic"]:
        console.print("The folder says that its data are SYNTHETIC: phantoms, no patient was examined.")
    left_out = found.about["clips_left_out"]
    if left_out:
        kinds = ", ".join(f"{count} {code}" for code, count in sorted(left_out.items()))
        console.print(f"Passed over, as no grey-scale loops: {kinds}.")
    if found.about["studies_without_ef_left_out"]:
        console.print(f"Without a reported EF, and so left out: {found.about['studies_without_ef_left_out']} studies.")
    if not found.about["clips_decoded"]:
        console.print("No clip was read (--no-clips).")


def _plain(text: str) -> str:
    """Text without characters that would steer a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
