"""`mcsdr benchmark realism`."""

from __future__ import annotations

from pathlib import Path

from mcsdr.cli.benchmark.common import Flag, Paths, folder_of, given, publish


def realism(
    *,
    out: Path | None = None,
    cohort: str | None = None,
    clip: Paths = None,
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
    quick
        Twelve phantoms, to see that it runs; the figures mean nothing.
    """
    from mcsdr.evaluation.evidence.realism import run

    tiny = {"first": 12, "shown": 6} if quick else {}
    folder = folder_of(out, "realism", quick)
    publish(lambda say: run(folder, say=say, **tiny | given(cohort=cohort, clips=clip)), folder, private=clip or ())
