"""`mcsdr benchmark realism`."""

from __future__ import annotations

import sys
from pathlib import Path

from mcsdr.cli.benchmark.common import Flag, Paths, folder_of, given, publish


def realism(
    *,
    out: Path | None = None,
    cohort: str | None = None,
    clip: Paths = None,
    real: Path | None = None,
    maps: Path | None = None,
    write_measures: Path | None = None,
    quick: Flag = False,
) -> None:
    """SYNTHETIC phantoms held against real pictures: where each measure of a real clip falls among theirs.

    Parameters
    ----------
    out
        Folder for the tables and the contact sheet, which shows the real clips; out/benchmark/realism unless given.
    cohort
        The phantoms, such as phantom:200:61, which is measured unless given.
    clip
        A file with a real clip; may be given several times. The one that comes with pydicom unless given.
    real
        A table of many real clips' measures, a row a clip: how surely phantoms are told from them, and by what. Of
        the table only AUCs are reported.
    maps
        An npz file of real clips' mean pictures, "mean", "within_clip_sd" and "between_clips_sd", each 112 × 112.
    write_measures
        Only measure the clips, or all in the folders, that --clip names, and write such a table here: no names, rows
        in random order.
    quick
        Twelve phantoms, to see that it runs; the figures mean nothing.
    """
    from mcsdr.benchmark.realism import run

    if write_measures is not None:
        _write_measures(write_measures, clip or [])
        return

    tiny = {"first": 12, "shown": 6} if quick else {}
    folder = folder_of(out, "realism", quick)
    options = tiny | given(cohort=cohort, clips=clip, real=real, maps=maps)
    private = [*(clip or ()), *(path for path in (real, maps) if path is not None)]
    publish(lambda say: run(folder, say=say, **options), folder, private=private)


def _write_measures(path: Path, clips: list[Path]) -> None:
    from mcsdr.benchmark.measure_table import write_measures

    count = write_measures(path, clips, lambda line: print(line, file=sys.stderr))
    print(f"Written to {path}: {count} clips, no names, in random order.")
