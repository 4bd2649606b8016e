"""The wheel alone, in an empty environment and an empty folder: every command tried as a new user would.

    python benchmarks/wheel.py [--folder out/wheel]

The wheel is built and installed with nothing but what it depends on, and every command is run outside the checkout:
its help, a real clip, what ships with the package, and what needs an extra, which must be named in one sentence. Then
the extras are installed, and the two services are started and asked. Exit status 1 if anything is not as it should be.
It takes three to five minutes and 1.2 GB, most of it torch.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]
REAL_CLIP = "from pydicom.data import get_testdata_file as f; print(f('examples_ybr_color.dcm'))"


class Try(NamedTuple):
    """One command: its words, the exit status that it should leave with, and what it should say."""

    words: str
    status: int
    says: str


# Words of the shell; CLIP is the real clip that comes with pydicom.
PLAIN = (
    Try(
        "predict CLIP --age 63 --sex F --threshold 40 --report clip.html --csv clip.csv",
        0,
        "The report is in clip.html.",
    ),
    Try("predict CLIP --report clip.pdf", 0, "The report is in clip.pdf."),
    Try("predict CLIP --json", 0, '"median"'),
    Try("predict exams", 1, "2 clips: 1 answered"),
    Try("batch exams answers.csv", 1, "2 rows in answers.csv: 1 answered"),
    Try("predict CLIP --model phantom-a4", 2, "Did you mean phantom-a4c?"),
    Try("info", 0, "phantom-a4c-varied, "),
    Try("info --list", 0, "phantom-a4c-varied (the default)"),
    Try("train --list", 0, "phantom\n"),
    Try("train phantom --help", 0, "Example: mcsdr train phantom"),
    Try("train phantm", 2, "Did you mean phantom?"),
    Try("train phantom --optim.lrr 1", 2, "Did you mean optim.lr?"),
    Try("train ours-camus", 2, "--data.train.root FOLDER"),
    Try(
        "train phantom --data.train.n 8 --data.val.n 4 --optim.epochs 1 --optim.batch 4 --out tiny", 0, "Best model in"
    ),
    Try("evaluate tiny/model phantom:6:9 --out evaluation", 0, "Written to evaluation"),
    Try("simulate cohort --n 4 --seconds 0.8", 0, "4 synthetic patients"),
    Try("simulate cohort --n 4", 2, "Choose another folder."),
    Try("check cohort", 0, "Nothing is wrong"),
    Try("calibrate phantom-a4c-varied phantom:200:5:varied", 2, "another seed"),
    Try("gate phantom-a4c phantom:20:1 phantom:20:13 --out gated", 2, "was trained on"),
    Try("reproduce camus --root nowhere", 2, "nowhere"),
    Try("deidentify CLIP copy.dcm", 0, "-> copy.dcm"),
    Try("fhir answers.json", 0, '"resourceType": "Observation"'),
    Try("sr answers.json CLIP report.dcm", 0, "SOP Instance UID"),
    Try("import-official clip.html --dataset camus --out official", 2, "[invalid-model]"),
    Try("benchmark posterior --part exactness --quick", 0, "Written to out/benchmark/posterior-quick"),
    Try("serve", 2, "Run: pip install 'mcsdr[serve]'"),
    Try("node box", 2, "Run: pip install 'mcsdr[dicom]'"),
    Try("benchmark heads --quick", 2, "Run: pip install 'mcsdr[bench]'"),
)


def main(folder: Path) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    place = folder / "elsewhere"
    (place / "exams").mkdir(parents=True)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, CHECKOUT])
    (wheel,) = folder.glob("*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    run([sys.executable, "-m", "venv", folder / "venv"])
    binaries = folder / "venv" / "bin"
    install(binaries, str(wheel))
    clip = run([binaries / "python", "-c", REAL_CLIP], place).stdout.strip()
    shutil.copy(clip, place / "exams" / "clip.dcm")
    (place / "exams" / "torn.avi").write_text("no video")
    (place / "answers.json").write_text(run([binaries / "mcsdr", "predict", clip, "--json"], place).stdout)
    results = [tried(binaries, place, one, clip) for one in (*helps(binaries, place), *PLAIN)]
    install(binaries, f"{wheel}[serve,dicom,bench]")
    results += [serves(binaries, place), listens(binaries, place)]
    print(f"{sum(results)} of {len(results)} as they should be")
    return 0 if all(results) else 1


def run(words: list[str | Path], place: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), cwd=place, capture_output=True, text=True, check=True, env=bare())


def bare() -> dict[str, str]:
    """The environment without what would let the checkout in; one thread, for a busy machine's sake."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return outside | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}


def install(binaries: Path, what: str) -> None:
    started = time.monotonic()
    run([binaries / "python", "-m", "pip", "install", "--quiet", what])
    held = sum(file.stat().st_size for file in binaries.parent.rglob("*") if file.is_file() and not file.is_symlink())
    print(f"pip install {Path(what).name}: {time.monotonic() - started:.0f} s, {held / 1e6:.0f} MB in all")


def helps(binaries: Path, place: Path) -> Iterator[Try]:
    """The help of every command that the help names, and of every benchmark."""
    for parent in ("", "benchmark "):
        shown = run([binaries / "mcsdr", *parent.split(), "--help"], place).stdout
        yield Try(f"{parent}--help", 0, "Usage: mcsdr")
        for name in re.findall(r"^│ ([a-z][a-z-]+)  ", shown, re.MULTILINE):
            yield Try(f"{parent}{name} --help", 0, "Example: mcsdr")


def tried(binaries: Path, place: Path, one: Try, clip: str) -> bool:
    """Run one command, print what it did, and tell whether that is right."""
    words = [clip if word == "CLIP" else word for word in one.words.split()]
    started = time.monotonic()
    done = subprocess.run(
        [str(binaries / "mcsdr"), *words], cwd=place, capture_output=True, text=True, timeout=600, env=bare()
    )
    said = done.stdout + done.stderr
    right = done.returncode == one.status and one.says in said and "Traceback" not in said
    report(right, one.words, f"status {done.returncode}, {time.monotonic() - started:.1f} s")
    if not right:
        print(f"      expected status {one.status} and {one.says!r}; it said:\n{said[-2000:]}")
    elif done.returncode == 2:
        print(f"      {done.stderr.strip()}")
    return right


def report(right: bool, what: str, how: str) -> None:
    print(f"{'ok  ' if right else 'FAIL'}  mcsdr {what}: {how}", flush=True)


def serves(binaries: Path, place: Path) -> bool:
    """The page and the service's health, and what a second service on the same port says."""
    with started(binaries, place, "serve", "--port", "0") as service:
        line = service.stdout.readline()  # type: ignore[union-attr]
        port = re.search(r":(\d+)/", line)
        assert port is not None, line
        answers = [urllib.request.urlopen(f"http://127.0.0.1:{port[1]}{path}").status for path in ("/", "/health")]
        second = subprocess.run(
            [str(binaries / "mcsdr"), "serve", "--port", port[1]], capture_output=True, text=True, cwd=place, env=bare()
        )
        service.terminate()
    right = answers == [200, 200] and second.returncode == 2 and "is taken" in second.stderr
    report(right, "serve, with mcsdr[serve]", f"{line.strip()}; statuses {answers}\n      {second.stderr.strip()}")
    return right


def listens(binaries: Path, place: Path) -> bool:
    """The node takes connections."""
    with started(binaries, place, "node", "box", "--port", "0") as node:
        line = node.stdout.readline()  # type: ignore[union-attr]
        port = re.search(r":(\d+) ", line)
        assert port is not None, line
        socket.create_connection(("127.0.0.1", int(port[1])), timeout=10).close()
        node.terminate()
        ended = node.wait(30)
    report(ended == 0, "node box, with mcsdr[dicom]", f"{line.strip()}; ended with status {ended}")
    return ended == 0


@contextmanager
def started(binaries: Path, place: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A service that runs until the end of the block, however that comes."""
    with subprocess.Popen(
        [str(binaries / "mcsdr"), *words],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=bare(),
    ) as service:
        try:
            yield service
        finally:
            service.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "out" / "wheel", help="emptied first")
    sys.exit(main(parser.parse_args().folder.resolve()))
