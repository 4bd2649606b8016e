"""Names, numbers and dates planted in headers, and where they may not come out again; for benchmarks/reliability.py."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from processes import free_port, noding, ran, served, stored, wait_until

Found = Iterator[tuple[str, bool]]  # a line, and whether it is as it must be
FORMS = ("view", "sheet", "result.json", "result.csv", "report.html", "report.pdf")
KINDS = {"batch": 0.6, "service": 0.3, "node": 0.1}


def names(share: float, folder: Path) -> Found:
    """1,000 clips with names, numbers and dates planted in their headers, half of them damaged, through every way in.

    What comes out (tables, lines, errors, pages, PDFs, names of files, what is left over) holds none of them. A DICOM
    report and a FHIR observation say whose they are, as they must, and are left out; so is what a node puts aside.
    """
    count, hits = max(10, round(1000 * share)), Counter[str]()
    clips = folder / "clips"
    clips.mkdir()
    for number in range(count):
        (clips / f"{number}.dcm").write_bytes(_planted(number))
    files = sorted(clips.iterdir(), key=lambda file: int(file.stem))
    place = folder / "tmp"
    place.mkdir()
    how = {"env": {**os.environ, "TMPDIR": str(place)}}
    begun = 0
    for kind, part in KINDS.items():
        ours = files[begun : begun + round(part * count)]
        begun += len(ours)
        became: Counter[str] = Counter()
        for where, said in PLACES[kind](ours, folder, how, became):
            hits.update({f"{where}: {word!r}": 1 for word in _words() if word in said})
        told = ", ".join(f"{what} {n}" for what, n in became.most_common())
        yield f"{len(ours)} by {kind}: {told}", became.total() >= len(ours)
    left = [file.name for file in place.rglob("*") if file.is_file()]
    yield f"files left in the folder for temporary ones: {left}", not left
    yield f"planted words found: {hits.total()} {dict(hits.most_common(5)) or ''}", not hits


def _words() -> tuple[bytes, ...]:
    from test_deidentify import PLANTED

    return PLANTED


def _planted(number: int) -> bytes:
    """A clip that says whose it is; every second one is damaged."""
    from generated_clips import fan_loop
    from test_deidentify import planted
    from test_dicom_fuzz import MUTATIONS

    clip, file = planted(fan_loop(18, 48, 64)), io.BytesIO()
    del clip.SequenceOfUltrasoundRegions
    clip.StudyInstanceUID += f".{number}"
    clip.SOPInstanceUID = clip.file_meta.MediaStorageSOPInstanceUID = f"{clip.StudyInstanceUID}.1"
    clip.save_as(file, enforce_file_format=True)
    content = bytearray(file.getvalue())
    if number % 2:
        MUTATIONS[number // 2 % len(MUTATIONS)](content, np.random.default_rng(number))
    return bytes(content)


Said = Iterator[tuple[str, bytes]]  # where, and what was said there


def _by_batch(files: list[Path], folder: Path, how: dict[str, Any], became: Counter[str]) -> Said:
    table = folder / "table.csv"
    listed = folder / "list.csv"
    listed.write_text("file\n" + "".join(f"{file}\n" for file in files))
    done = ran(("batch", str(listed), str(table)), **how)
    became["rows"] += len(table.read_text().splitlines()) - 1
    yield "batch, its lines", (done.stdout + done.stderr).encode()
    yield "batch, its table", table.read_bytes()
    yield "batch, beside its table", table.with_name("table.csv.run.json").read_bytes()
    for file in files[:4]:
        for form in ("html", "pdf"):
            done = ran(("predict", str(file), "--report", str(folder / f"report.{form}")), **how)
            yield f"predict, exit {done.returncode}", (done.stdout + done.stderr).encode()
        if (folder / "report.html").exists():
            yield "report.html", (folder / "report.html").read_bytes()
            yield "report.pdf", _words_of_pdf((folder / "report.pdf").read_bytes())


def _by_service(files: list[Path], folder: Path, how: dict[str, Any], became: Counter[str]) -> Said:
    from soak import call

    with (folder / "service.log").open("wb") as log, served(("--line", "4"), stderr=log, **how) as (base, server):
        for number, file in enumerate(files):
            status, job, _ = call(base, "POST", f"/api/v1/clips?name=clip-{number}", file.read_bytes())
            if status != 202:
                became[f"refused with {status}"] += 1
            while status == 202 and job.get("state") not in ("done", "failed"):
                time.sleep(0.05)
                job = call(base, "GET", f"/api/v1/jobs/{job['id']}")[1]
            if status == 202:
                became[job.get("state", "forgotten")] += 1
            yield "the service's answer", json.dumps(job, ensure_ascii=False).encode()
            if number % 10 < 2 and status == 202:
                for form in FORMS:
                    with contextlib.suppress(OSError):  # what failed has no picture
                        with urllib.request.urlopen(f"{base}/api/v1/jobs/{job['id']}/{form}", timeout=60) as response:
                            said = response.read()
                        yield f"the service's {form}", _words_of_pdf(said) if form == "report.pdf" else said
        server.send_signal(signal.SIGINT)
        yield "the service's lines", (server.stdout.read() if server.stdout else "").encode()
    yield "the service's standard error", (folder / "service.log").read_bytes()


def _by_node(files: list[Path], folder: Path, how: dict[str, Any], became: Counter[str]) -> Said:
    home, port = folder / "node", free_port()
    with (folder / "node.log").open("wb") as log, noding(home, port, stderr=log, **how) as process:
        for file in files:
            became[stored(file, port)] += 1
        wait_until(lambda: not any((home / "inbox").iterdir()), 20 * len(files))
        process.send_signal(signal.SIGINT)
        yield "the node's lines", (process.stdout.read() if process.stdout else "").encode()
    yield "the node's standard error", (folder / "node.log").read_bytes()
    yield "names in the node's folder", "\n".join(str(path.relative_to(home)) for path in home.rglob("*")).encode()
    for record in (home / "results").iterdir():
        yield "the node's records", record.read_bytes()


PLACES = {"batch": _by_batch, "service": _by_service, "node": _by_node}


def _words_of_pdf(content: bytes) -> bytes:
    """What a PDF says, on its pages and of itself."""
    from pypdf import PdfReader

    pdf = PdfReader(io.BytesIO(content))
    return "\n".join([str(pdf.metadata), *(page.extract_text() for page in pdf.pages)]).encode()
