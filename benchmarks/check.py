"""Does `mcsdr check` find every fault among 10,000 rows, how fast, and in how much memory?

Writes a folder in EchoNet-Dynamic's layout: N synthetic clips, a comment after the end of each making its bytes its
own, and 100 planted faults of 13 kinds in the table and in the files. The folder is checked twice, the second time
from the journal. Printed: findings due and made (a clip found again in another split is due at both its rows), clean
rows named, clips a second, memory.

    python benchmarks/check.py [--n 10000] [--faults 100] [--workers 2]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.datasets.check import Findings, check_cohort
from mcsdr.datasets.entries import leakage_left_to_the_caller
from mcsdr.files import write_table
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.layouts import FILE_LIST, write_avi

FPS = 50
IN_TABLE = {
    "ef-out-of-range": {"EF": "150", "ESV": ""},
    "ef-not-finite": {"EF": "inf"},
    "ef-missing": {"EF": ""},
    "ef-not-a-number": {"EF": "sixty"},
    "esv-above-edv": {"ESV": "110"},
    "volume-out-of-range": {"EDV": "-5"},
    "ef-volumes-disagree": {"EF": "35"},
    "frame-count-disagrees": {"NumberOfFrames": "7"},
    "frame-time-disagrees": {"FPS": "25"},
}
IN_FILE = ("missing-file", "unreadable-file", "unreadable-file (cut)", "same-clip-in-two-splits")


def plant(root: Path, n: int, faults: int) -> set[tuple[str, str]]:
    """Write the data set; returns (study, code) of what is wrong with it."""
    (root / "Videos").mkdir()
    source = root / "source.avi"
    frames = PhantomCohort(1, seed=0, sampling_hz=None)[0].clips[0].frames
    write_avi(source, frames, FPS)
    clip = source.read_bytes()
    places = random.Random(0).sample(range(1, n), faults)
    kinds = [*IN_TABLE, *IN_FILE]
    planted = {place: kinds[k % len(kinds)] for k, place in enumerate(places)}
    rows, expected = [], set()
    twin = next(i for i in range(n) if i not in planted and i % 10 < 8)  # whose bytes turn up again in another split
    for i in range(n):
        name, kind = f"0X{i:016X}", planted.get(i, "")
        split = ("TRAIN",) * 8 + ("VAL", "TEST")
        cells = {"FileName": name, "EF": "60", "ESV": "40", "EDV": "100", "FPS": f"{FPS}", "Split": split[i % 10]}
        cells |= {"FrameHeight": "112", "FrameWidth": "112", "NumberOfFrames": f"{len(frames)}"}
        content = clip + name.encode()
        if kind == "same-clip-in-two-splits":
            cells["Split"], content = "TEST", clip + f"0X{twin:016X}".encode()
            expected.add((f"0X{twin:016X}", kind))
        elif kind.startswith("unreadable"):
            content = clip[: len(clip) // 2] + name.encode() if "cut" in kind else random.Random(i).randbytes(20_000)
        if kind != "missing-file":
            (root / "Videos" / f"{name}.avi").write_bytes(content)
        rows.append({**cells, **IN_TABLE.get(kind, {})})
        if kind:
            expected.add((name, kind.removesuffix(" (cut)")))
    write_table(root / "FileList.csv", FILE_LIST, ([row[column] for column in FILE_LIST] for row in rows))
    source.unlink()
    return expected


def memory_mib(name: str) -> float:
    """A line of this process's status, such as VmRSS or VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def timed_check(root: Path, workers: int) -> tuple[Findings, float]:
    started = time.perf_counter()
    with leakage_left_to_the_caller():
        cohort = open_cohort(CohortSpec.parse(str(root)))
    found = check_cohort(cohort, journal=root / "journal.jsonl", workers=workers)
    return found, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        expected = plant(root, options.n, options.faults)
        before_mib = memory_mib("VmRSS")
        found, seconds = timed_check(root, options.workers)
        again, seconds_again = timed_check(root, options.workers)
    named = {(finding.study_id, finding.code) for finding in found.rows}
    clean = {study for study, _ in named} - {study for study, _ in expected}
    print(f"{options.n} rows, {options.faults} planted faults of {len(IN_TABLE) + len(IN_FILE)} kinds")
    print(f"made {len(named & expected)} of {len(expected)} findings due; clean rows named: {len(clean)}")
    print(f"also said of faulty rows: {dict(Counter(code for _, code in named - expected))}")
    print(f"{options.n / seconds:.0f} clips a second with {options.workers} workers, {seconds:.1f} s in all")
    print(f"again, from the journal: {seconds_again:.1f} s, the same findings: {again.rows == found.rows}")
    print(f"memory {before_mib:.0f} MiB before, {memory_mib('VmRSS'):.0f} after, {memory_mib('VmHWM'):.0f} peak")


if __name__ == "__main__":
    main()
