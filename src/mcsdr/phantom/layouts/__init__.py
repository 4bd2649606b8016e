"""Phantoms written as the published data sets lie on a disk, so that readers are tried on the real thing.

One module for each layout opens with its files and columns; `quirks` lists what of the published data's oddities is
planted on request, `folder` what stands beside every layout. All of it follows from (n, seed). Tables and lists are
written last: a folder without them is a run that did not finish.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mcsdr.phantom.layouts.camus import Labels, write_camus
from mcsdr.phantom.layouts.camus_mhd import write_camus_mhd
from mcsdr.phantom.layouts.echonet_dynamic import FILE_LIST, file_name, write_echonet_dynamic
from mcsdr.phantom.layouts.echonet_pediatric import write_echonet_pediatric
from mcsdr.phantom.layouts.folder import Advance, silent
from mcsdr.phantom.layouts.mimic_iv_echo import write_mimic_iv_echo
from mcsdr.phantom.layouts.quirks import QUIRKS
from mcsdr.phantom.layouts.video import write_avi

Layout = Literal["echonet-dynamic", "echonet-pediatric", "camus", "camus-mhd", "mimic-iv-echo"]


def write_layout(
    layout: Layout,
    out: Path,
    n: int,
    seed: int,
    *,
    seconds: float = 2.0,
    scale: float = 1.0,
    quirks: bool = False,
    labels: Labels = "reader",
    advance: Advance = silent,
) -> None:
    """Write `n` phantoms of cohort `seed` in the layout of that name.

    Arguments:
        seconds: length of the clips; half sequences of CAMUS last from ED to ES.
        scale: side of the CAMUS pictures against the published ones.
        quirks: plant those of `QUIRKS`.
        labels: of CAMUS alone: EF as the reader reports it, or as the published volume rule has it.
        advance: called with the number of patients done.

    Raises:
        InvalidCohort: the folder already holds a data set.
        InvalidConfig: a number is out of its range.
    """
    match layout:
        case "echonet-dynamic":
            write_echonet_dynamic(out, n, seed, seconds, advance, quirks=quirks)
        case "echonet-pediatric":
            write_echonet_pediatric(out, n, seed, seconds, advance, quirks=quirks)
        case "camus":
            write_camus(out, n, seed, advance, quirks=quirks, scale=scale, labels=labels)
        case "camus-mhd":
            write_camus_mhd(out, n, seed, advance, quirks=quirks, scale=scale, labels=labels)
        case "mimic-iv-echo":
            write_mimic_iv_echo(out, n, seed, seconds, advance, quirks=quirks)


__all__ = [
    "FILE_LIST",
    "QUIRKS",
    "Layout",
    "file_name",
    "write_avi",
    "write_camus",
    "write_camus_mhd",
    "write_echonet_dynamic",
    "write_echonet_pediatric",
    "write_layout",
    "write_mimic_iv_echo",
]
