"""Load on `mcsdr serve`: thousands of uploads, many malformed, from several clients at once, and a health check.

    python benchmarks/soak.py --uploads 2000 --clients 8 --malformed 0.2 --health-clients 100

Each upload is one of a few small SYNTHETIC phantoms, sent under a name and an age of its own, or damaged bytes.
Printed: answers that belong to another upload (there must be none), memory and open files of the server after each
hundred, files left in its folder, and how long /health takes while many clients wait.

Memory is looked at when nothing waits, and its slope b taken from when the answers that are kept have reached their
number, with the threads and libraries that come in by then: before that it grows, as it must. What a C library takes
from the system and gives back comes in steps of megabytes, so b is the median of the slopes between any two marks
(Theil and Sen), with an interval of 95 %; it takes some thousand uploads until that is narrower than 1 KiB.

What the process has of the system is one thing, what of it is in use another: glibc is asked for the second within the
service (mallinfo2), and Python for its objects. What something keeps grows in both; what lies scattered over more pages
in the first alone.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import queue
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from scipy.stats import theilslopes

from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.layouts.video import write_avi
from mcsdr.serve.desk import KEPT_JOBS
from processes import answers, wait_until

CLIPS, KINDS = 5, ("cut", "flipped", "random", "empty", "words")
LOOK_S = 0.2  # between two looks at a job
WAVE = 100  # uploads between two marks
WARM = 2 * KEPT_JOBS  # uploads after which the slope is taken
MOST_KIB = 1.0  # for each upload
LOOKING = """
import ctypes, signal, sys

NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"  # of malloc.h


class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES.split()]


def look(*_):
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Info
    info = library.mallinfo2()
    with open({path!r}, "w") as file:
        file.write(f"{info.uordblks + info.hblkhd} {sys.getallocatedblocks()}\\n")


signal.signal(signal.SIGUSR2, look)
"""


class Mark(NamedTuple):
    """Of a service at rest: uploads so far, KiB that it has of the system, KiB in use, Python's blocks, open files."""

    done: int
    resident_kib: float
    used_kib: float
    blocks: int
    files: int


@dataclass
class Seen:
    """What the clients saw."""

    states: Counter[str] = field(default_factory=Counter)
    swapped: list[str] = field(default_factory=list)
    medians: dict[tuple[int, int], set[float]] = field(default_factory=dict)
    done: int = 0


def call(
    base: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, float]:
    """Status, answer, and when to come again."""
    request = urllib.request.Request(base + path, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=300) as response:
            return response.status, json.loads(response.read() or b"{}"), 0.0
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}"), float(error.headers.get("retry-after") or 1)


def clips() -> list[bytes]:
    """A few small AVI files."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for index, study in enumerate(PhantomCohort(CLIPS, 91)):
            path = Path(folder) / f"{index}.avi"
            write_avi(path, study.clips[0].frames, 25)
            files.append(path.read_bytes())
    return files


def damaged(content: bytes, kind: str, rng: random.Random) -> bytes:
    """A file as it must not be."""
    match kind:
        case "cut":
            return content[: rng.randrange(20, len(content) // 2)]
        case "flipped":
            spoilt = bytearray(content)
            for _ in range(200):
                spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            return bytes(spoilt)
        case "random":
            return rng.randbytes(5000)
        case "empty":
            return b""
        case _:
            return b"no clip at all"


def is_bad(number: int, malformed: float) -> bool:
    """Whether an upload is damaged: in turn, so that at every mark as many of one kind are kept."""
    turn = number // CLIPS + number % CLIPS
    return int((turn + 1) * malformed) > int(turn * malformed)


def client(
    base: str, todo: queue.Queue[int], files: list[bytes], malformed: float, seen: Seen, lock: threading.Lock
) -> None:
    """Send uploads until there are none left, and look at each answer."""
    while True:
        try:
            number = todo.get_nowait()
        except queue.Empty:
            return
        rng = random.Random(number)
        bad, which, age = is_bad(number, malformed), number % CLIPS, 20 + number % 60
        body = damaged(files[which], rng.choice(KINDS), rng) if bad else files[which]
        name = f"upload-{number}.avi"
        while True:
            try:
                status, said, wait_s = call(base, "POST", f"/api/v1/clips?name={name}&age={age}", body)
            except (ConnectionError, urllib.error.URLError):  # hung up on before the answer was read
                if not answers(base):
                    raise
                status, wait_s = 408, 1.0
            if status not in (408, 429):
                break
            if status == 408:  # slower than others, on a machine that has much to do
                with lock:
                    seen.states["sent again"] += 1
            time.sleep(min(wait_s, 1.0) * rng.uniform(0.2, 1))
        job = said
        while job.get("state") not in ("done", "failed"):
            time.sleep(LOOK_S)
            job = call(base, "GET", f"/api/v1/jobs/{said['id']}")[1]
            if "error" in job:
                break
        with lock:
            seen.done += 1
            seen.states[job.get("state", "forgotten")] += 1
            result = job.get("result") or {}
            if result and result["file"] != name:
                seen.swapped.append(name)
            if job.get("state") == "done" and not bad and result["median"] is not None:
                if result["attributes"]["age_years"] != age:
                    seen.swapped.append(name)
                seen.medians.setdefault((which, age), set()).add(result["median"])


def health(base: str, clients: int) -> list[float]:
    """Milliseconds of /health while this many clients wait for the events of jobs, and the line is kept full."""
    content, jobs, stop = clips()[0], [""] * 8, threading.Event()

    def feed() -> None:
        for place in itertools.cycle(range(len(jobs))):
            if stop.is_set():
                return
            status, said, _ = call(base, "POST", "/api/v1/clips?name=waiting.avi", content)
            if status == 202:
                jobs[place] = said["id"]
            else:
                time.sleep(0.2)

    def wait(place: int) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):  # forgotten meanwhile
                urllib.request.urlopen(f"{base}/api/v1/jobs/{jobs[place]}/events", timeout=30).read()
            time.sleep(1)

    threads = [threading.Thread(target=feed, daemon=True)]
    threads += [threading.Thread(target=wait, args=(i % len(jobs),), daemon=True) for i in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    times = []
    for _ in range(100):
        started = time.perf_counter()
        call(base, "GET", "/health")
        times.append(1000 * (time.perf_counter() - started))
        time.sleep(0.02)
    stop.set()
    return times


def waits(base: str, clip: Path) -> None:
    """Seconds from sending a clip to its answer, and from another age to another answer, on a server that is warm."""
    answers, changes = [], []
    for _ in range(6):
        started = time.perf_counter()
        job = call(base, "POST", "/api/v1/clips", clip.read_bytes())[1]
        with urllib.request.urlopen(f"{base}/api/v1/jobs/{job['id']}/events") as events:
            events.read()
        call(base, "GET", f"/api/v1/jobs/{job['id']}/view")
        answers.append(time.perf_counter() - started)
        for age in (30, 60, 90):
            started = time.perf_counter()
            request = urllib.request.Request(
                f"{base}/api/v1/jobs/{job['id']}",
                data=json.dumps({"age": age}).encode(),
                method="PATCH",
                headers={"content-type": "application/json"},
            )
            urllib.request.urlopen(request).read()
            call(base, "GET", f"/api/v1/jobs/{job['id']}/view")
            changes.append(time.perf_counter() - started)
    print(f"clip to answer: median {statistics.median(answers[1:]):.2f} s, worst {max(answers[1:]):.2f} s; "
          f"another age: median {statistics.median(changes):.2f} s, worst {max(changes):.2f} s")  # fmt: skip


def soaked(
    base: str, process: psutil.Process, told: Path, uploads: int, clients: int, malformed: float, seen: Seen
) -> Iterator[Mark]:
    """Send the uploads from so many clients, wave after wave; a mark when each is answered."""
    files, lock = clips(), threading.Lock()
    for start in range(0, uploads, WAVE):
        todo = queue.Queue[int]()
        for number in range(start, min(start + WAVE, uploads)):
            todo.put(number)
        threads = [
            threading.Thread(target=client, args=(base, todo, files, malformed, seen, lock)) for _ in range(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(1)  # the last answer's memory is given back after it is told
        resident, open_files = process.memory_info().rss / 1024, process.num_fds()
        mark = Mark(seen.done, resident, *looked(process, told), open_files)
        print(
            f"after {mark.done:5d} uploads: {resident / 1024:6.1f} MiB, in use {mark.used_kib:7.0f} KiB and "
            f"{mark.blocks} blocks of Python's, {open_files} open files",
            flush=True,
        )
        yield mark


def looked(process: psutil.Process, told: Path) -> tuple[float, int]:
    """KiB and Python's blocks that are in use in the service."""
    told.unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR2)
    if not wait_until(lambda: told.exists() and told.read_text().endswith("\n"), 60):
        raise TimeoutError("the service does not say what is in use")
    used, blocks = told.read_text().split()
    return int(used) / 1024, int(blocks)


def slope(marks: list[Mark], what: str) -> str:
    """What a kind of memory does once it is warm, in words."""
    warm = [mark for mark in marks if mark.done >= WARM]
    if len(warm) < 3:
        return f"slope: too few uploads to tell, {WARM + 2 * WAVE} at least"
    found = theilslopes([getattr(mark, what) for mark in warm], [mark.done for mark in warm])
    told = "not told" if found.low_slope <= MOST_KIB < found.high_slope else "yes" if found.slope < MOST_KIB else "no"
    each = f"{found.slope:+.2f} KiB for each (95 %: {found.low_slope:+.2f} to {found.high_slope:+.2f})"
    return f"{what} from {warm[0].done} uploads on: {each}; under {MOST_KIB:g}: {told}"


@contextlib.contextmanager
def looking() -> Iterator[tuple[Path, dict[str, str]]]:
    """A file in which a service writes what is in use when it is sent SIGUSR2, and the environment to start it in."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        (Path(folder) / "sitecustomize.py").write_text(LOOKING.replace("{path!r}", repr(str(told))))
        paths = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        yield told, {**os.environ, "PYTHONPATH": paths}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--malformed", type=float, default=0.2)
    parser.add_argument("--health-clients", type=int, default=100)
    parser.add_argument("--clip", type=Path, help="a readable file; tells how long its answer takes")
    options = parser.parse_args()
    command = [sys.executable, "-m", "mcsdr", "serve", "--port", "0", "--line", "8"]
    with looking() as (told, environment):
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        soak(server, told, options)


def soak(server: subprocess.Popen[str], told: Path, options: argparse.Namespace) -> None:
    """All of it, on a service that is ended afterwards."""
    assert server.stdout is not None
    base = server.stdout.readline().split()[3].rstrip("/")
    process = psutil.Process(server.pid)
    seen = Seen()
    try:
        wait_until(lambda: answers(base), 300)
        if options.clip is not None:
            waits(base, options.clip)
        print("SYNTHETIC phantoms.", flush=True)
        marks = list(soaked(base, process, told, options.uploads, options.clients, options.malformed, seen))
        print(", ".join(f"{state}: {count}" for state, count in seen.states.most_common()))
        print(slope(marks, "resident_kib"))
        print(slope(marks, "used_kib"))
        print(f"answers of another upload: {len(seen.swapped)}")
        print(f"clips with more than one median for one age: {sum(len(m) > 1 for m in seen.medians.values())}")
        left = [
            file
            for folder in Path(tempfile.gettempdir()).glob(f"mcsdr-desk-{server.pid}-*")
            for file in folder.iterdir()
        ]
        print(f"files left in the server's folder: {len(left)}")
        times = health(base, options.health_clients)
        print(f"/health under {options.health_clients} clients: median {statistics.median(times):.0f} ms, "
              f"99th percentile {sorted(times)[98]:.0f} ms, worst {max(times):.0f} ms")  # fmt: skip
    finally:
        server.terminate()
        server.wait(timeout=60)
    print(f"folders left after it ended: {len(list(Path(tempfile.gettempdir()).glob(f'mcsdr-desk-{server.pid}-*')))}")


if __name__ == "__main__":
    main()
