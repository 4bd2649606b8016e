"""`mcsdr simulate`: a cohort of phantoms in a data set's own layout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

# As in mcsdr.phantom.layouts, which is imported only when the command runs.
Layout = Literal["echonet-dynamic", "echonet-pediatric", "camus", "camus-mhd", "mimic-iv-echo"]
WRITTEN: dict[Layout, str] = {
    "echonet-dynamic": "FileList.csv, VolumeTracings.csv, Attributes.csv, Truth.csv, Videos/",
    "echonet-pediatric": "pediatric_echo_avi/, Truth.csv",
    "camus": "database_nifti/, database_split/, Truth.csv",
    "camus-mhd": "training/, testing/, Truth.csv",
    "mimic-iv-echo": "echo-record-list.csv, echo-study-list.csv, structured-measurement.csv.gz, files/, Truth.csv",
}


def simulate(
    out: Path,
    /,
    *,
    layout: Layout = "echonet-dynamic",
    n: int = 100,
    seed: int = 0,
    seconds: float = 2.0,
    scale: float = 1.0,
    quirks: bool = False,
    labels: Literal["reader", "published"] = "reader",
) -> None:
    """Write synthetic echocardiograms with known ejection fraction, as a published data set lies on a disk.

    Parameters
    ----------
    out
        Folder to write; it must not hold a data set yet.
    layout
        The data set whose files and tables to write. camus-mhd is the older release of CAMUS.
    n
        Number of patients.
    seed
        Cohorts of different seeds share nobody.
    seconds
        Length of each clip; CAMUS' half sequences last from end-diastole to end-systole.
    scale
        Side of the CAMUS pictures against the published ones, up to 1.
    quirks
        Plant the oddities of the published data: names, blanks, reversed sequences and the like.
    labels
        Of CAMUS: "reader" reports about the true ejection fraction, "published" what the published labels' volume rule
        makes of it, which is lower (a true 65, 55, 35, 20 reads 58, 49, 29, 16).
    """
    from mcsdr.cli.progress import bar
    from mcsdr.phantom.layouts import write_layout

    with bar("phantoms", n) as advance:
        write_layout(layout, out, n, seed, seconds=seconds, scale=scale, quirks=quirks, labels=labels, advance=advance)
    print(f"{n} synthetic patients in {out} ({WRITTEN[layout]}). No patient was examined.")
