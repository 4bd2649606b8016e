"""The cases of docs/reliability.md that take longer than a test may, each with its figures.

    python benchmarks/reliability.py                          every part at its full scale: hours on 2 cores
    python benchmarks/reliability.py --share 0.01 --part fuzz --part node

    bombs     small files and requests that want to become large, thrown at a service; its memory
    fuzz      2,000 DICOM and 400 video mutants through the service's child
    node      240 mutants by C-STORE, then a good study
    soak      2,000 uploads, a fifth of them malformed; memory, open files; /health under 100 clients
    killing   kill -9 at 20 moments of a training, a batch and a node; what stands in the end
    disk      trainings, batches and a node without room; what stands when there is room again
    model     every byte of a model.json flipped once
    reports   1,000 structured reports written and read back
    names     1,000 clips with names planted in their headers; what comes out holds none of them
    offline   every way in, where there is no network
    proxy     the service behind nginx with TLS
    trickle   the service beside 100 connections of a byte a second
    same      one clip answered 100 times; 64 clips one by one and together, on one thread and on two
    child     what it costs to read in a child, and that the answers are equal

All clips are SYNTHETIC phantoms and drawings. Exit status 1 if a part finds what must not be.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "io"), str(ROOT / "tests" / "interop"), str(ROOT / "benchmarks")]

from behind_proxy import proxy  # noqa: E402
from equal_answers import child, same  # noqa: E402
from mcsdr.serve.silence import keep_silent  # noqa: E402
from peers import GOOD_S, silent_peers, trickle, trickling_peers  # noqa: E402
from planted_names import names  # noqa: E402
from processes import MCSDR, Peak, answers, free_port, noding, served, small_clips, stored, wait_until  # noqa: E402
from surroundings import SMALL, disk, offline  # noqa: E402

HANG_S = 10.0
PEERS = 40  # more than a node has places
Found = Iterator[tuple[str, bool]]  # a line, and whether it is as it must be


def times(count: int, share: float) -> int:
    """A number of tries at a share of the full scale, at least one."""
    return max(1, round(count * share))


# --- bombs -----------------------------------------------------------------------------------------------------------


def bombs(share: float, folder: Path) -> Found:
    """A service under bombs: what each becomes, how long it takes, how much the service grows."""
    import psutil

    from bomb_files import ordinary, written

    with served(("--line", "4", "--reports", str(folder / "reports"))) as (base, server):
        process = psutil.Process(server.pid)
        for name, sent in written(share).items():
            told, grown, _ = _thrown(base, process, sent)
            yield f"{name}: {told}, service + {grown} MiB", grown < 256
        told, grown, most = _thrown(base, process, ("/api/v1/clips", ordinary(share), {}))
        yield f"1,000 frames of 800 x 600: {told}, service + {grown} MiB, child {most} MiB", grown < 256 and most < 1024
        yield "alive afterwards", answers(base)


def _thrown(base: str, process: Any, sent: tuple[str, bytes, dict[str, str]]) -> tuple[str, int, int]:
    """What became of a body, and MiB: how much the service grew, and the most that any child of its had."""
    from soak import call

    before, started = process.memory_info().rss, time.perf_counter()
    peak, children = Peak(process), Peak(process, of_children=True)
    status, said, _ = call(base, "POST", *sent)
    while status == 202 and said.get("state") not in ("done", "failed"):
        time.sleep(0.1)
        said = call(base, "GET", f"/api/v1/jobs/{said['id']}")[1]
    took, result = time.perf_counter() - started, said.get("result") or said
    why = (result.get("error") or result.get("abstained") or {}).get("code", "answered")
    return f"{status} {why} in {took:.1f} s", (peak.ended() - before) >> 20, children.ended() >> 20


# --- fuzz ------------------------------------------------------------------------------------------------------------


def fuzz(share: float, folder: Path) -> Found:
    """Mutants through the service's child: typed errors, nothing that dies or hangs."""
    from test_dicom_fuzz import MUTATIONS as OF_DICOM
    from test_dicom_fuzz import originals
    from test_video_fuzz import CODECS, fan_loop, write_video
    from test_video_fuzz import MUTATIONS as OF_VIDEO

    dicom = list(originals())
    loop = fan_loop(24, 64, 64)
    videos = [write_video(folder / name, loop, codec=codec).read_bytes() for name, codec in CODECS.items()]
    yield from _fuzzed("DICOM", times(2000, share), dicom, OF_DICOM, folder / "mutant")
    yield from _fuzzed("video", times(400, share), videos, OF_VIDEO, folder / "mutant")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    yield f"most memory of a child: {most} MiB", most < 1024


def _fuzzed(kind: str, count: int, seeds: list[bytes], mutations: tuple[Any, ...], path: Path) -> Found:
    import psutil

    from mcsdr.io.sandbox import Reader

    reader, codes, slowest = Reader(), Counter[str](), (0.0, "")
    warm = psutil.Process().children()[0]
    died: list[str] = []
    for number in range(count):
        mutation, original = mutations[number % len(mutations)], seeds[number // len(mutations) % len(seeds)]
        rng = np.random.default_rng([number, len(mutations)])
        content = bytearray(original) if kind == "DICOM" else original
        changed = mutation(content, rng)
        path.write_bytes(content if changed is None else changed)
        before = warm.cpu_times()
        read = reader.read(path, {}, lambda clip: lambda index, frame: None)
        after = warm.cpu_times()
        took = after.children_user + after.children_system - before.children_user - before.children_system
        slowest = max(slowest, (took, f"{mutation.__name__} {number}"))
        codes["read" if read.error is None else read.error.code] += 1
        if read.error is not None and ("broke off" in read.error.cause or "stopped" in read.error.cause):
            died.append(f"{mutation.__name__} {number}")
    reader.close()
    told = ", ".join(f"{code} {n}" for code, n in codes.most_common())
    yield f"{count} {kind} mutants: {told}", codes.total() == count
    yield f"children that died or were stopped: {len(died)} {died[:5] or ''}", not died
    yield f"slowest: {slowest[0]:.1f} s of processor time, {slowest[1]}", slowest[0] < HANG_S


# --- node ------------------------------------------------------------------------------------------------------------


def node(share: float, folder: Path) -> Found:
    """Mutants by C-STORE, then a good study: whether it is answered, and how soon."""
    from test_dicom_fuzz import MUTATIONS, originals

    port, count, rng = free_port(), times(240, share), np.random.default_rng(0)
    with noding(folder / "node", port):
        codes = Counter[str]()
        seeds = [of_a_study(original) for original in originals()]
        for number in range(count):
            original = seeds[number % len(seeds)]
            content = bytearray(original)
            MUTATIONS[number % len(MUTATIONS)](content, rng)
            head = 132 + 12 + int.from_bytes(original[140:144], "little")  # what says how it is sent stays true
            (folder / "mutant.dcm").write_bytes(original[:head] + bytes(content[head:]))
            codes[stored(folder / "mutant.dcm", port)] += 1
        yield f"{count} mutants: {', '.join(f'{code} {n}' for code, n in codes.most_common())}", True
        wait_until(lambda: not any((folder / "node" / "inbox").iterdir()), 20 * count)
        outbox, peers = folder / "node" / "outbox", f"{PEERS} peers"
        for beside, kept in (
            (f"{peers} that say nothing", silent_peers(port, PEERS)),
            (f"{peers} of its own address that let a byte a second trickle", trickling_peers(port, PEERS, "127.0.0.1")),
            (f"{peers} of another address that do, and come again", trickling_peers(port, PEERS, "127.0.0.2")),
        ):
            before, good = set(outbox.glob("*.dcm")), good_study(folder / "good.dcm")
            with kept:
                started = time.perf_counter()
                status = stored(good, port)
            answered = wait_until(lambda before=before: set(outbox.glob("*.dcm")) - before, 120)
            took = time.perf_counter() - started
            said = f"beside {beside}: {status}, its report after {took:.1f} s"
            yield f"a good study after them, {said}", answered and took < GOOD_S
        aside = len(list((folder / "node" / "quarantine").iterdir()))
        yield f"set aside: {aside}; reports: {len(list(outbox.glob('*.dcm')))}", True


def of_a_study(content: bytes) -> bytes:
    """A file that says which study and series it is of."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    dataset, file = dcmread(io.BytesIO(content)), io.BytesIO()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def good_study(path: Path) -> Path:
    """A clip of a study of its own, that the model answers or abstains from."""
    from pydicom import dcmread
    from pydicom.data import get_testdata_file
    from pydicom.uid import generate_uid

    dataset = dcmread(str(get_testdata_file("examples_ybr_color.dcm")))
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = generate_uid(), generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path)
    return path


# --- soak ------------------------------------------------------------------------------------------------------------


def soak(share: float, folder: Path) -> Found:
    """`benchmarks/soak.py`, at 2,000 uploads."""
    command = [sys.executable, str(ROOT / "benchmarks" / "soak.py"), "--uploads", str(times(2000, share))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            yield line.rstrip(), not line.endswith("under 1: no\n")
    yield f"exit status {run.returncode}", run.returncode == 0


# --- killing ---------------------------------------------------------------------------------------------------------


def killing(share: float, folder: Path) -> Found:
    """kill -9 at random moments; what stands in the end is what stands without."""
    kills = times(20, share)
    clips = folder / "clips"
    small_clips(clips, 6)
    yield from _killed("batch", kills, folder, lambda out: ("batch", str(clips), str(out / "table.csv")), "table.csv")
    small = folder / "small.toml"
    small.write_text(SMALL)
    weights = "model/model.safetensors"
    yield from _killed("training", kills, folder, lambda out: ("train", str(small), "--out", str(out)), weights)
    yield from _killed_node(kills, folder)


def _killed(what: str, kills: int, folder: Path, words: Callable[[Path], tuple[str, ...]], result: str) -> Found:
    whole, torn = folder / f"{what}-whole", folder / f"{what}-torn"
    for place in (whole, torn):
        place.mkdir()
    started = time.perf_counter()
    _ran(words(whole), None)
    usual_s, chance, same = time.perf_counter() - started, random.Random(what), []
    for moment in [chance.uniform(0.05, 1.0) * usual_s for _ in range(kills)] + [None]:
        while _ran(words(torn), moment):  # to its end, before it could be killed
            same.append((torn / result).exists() and (torn / result).read_bytes() == (whole / result).read_bytes())
            if moment is None:
                break
            shutil.rmtree(torn)
            torn.mkdir()
    fine = all(same) and bool(same)
    yield f"{what}: {kills} kills in {len(same)} runs, {result} as of a run without a kill in each: {fine}", fine
    left = [file.name for file in torn.rglob(".*") if file.is_file()]
    yield f"{what}: partial files and locks left: {left}", not left


def _ran(words: tuple[str, ...], seconds: float | None) -> bool:
    """Run a command, and kill it after so many; whether it came to its end."""
    run = subprocess.Popen([*MCSDR, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(seconds)
    ended = run.poll() is not None
    run.kill()
    run.wait()
    return ended


def _killed_node(kills: int, folder: Path) -> Found:
    from pydicom import dcmread

    home, sources = folder / "killed-node", []
    chance = random.Random("node")
    for _ in range(kills):
        port = free_port()
        with noding(home, port):
            good = good_study(folder / "good.dcm")
            if stored(good, port) == "0x0000":
                sources.append(dcmread(good, stop_before_pixels=True).SOPInstanceUID)
            time.sleep(chance.uniform(0, 5))
    with noding(home, free_port()):
        wait_until(lambda: not any((home / "inbox").iterdir()), 60 * kills)
    reports = [dcmread(report) for report in (home / "outbox").glob("*.dcm")]
    told = Counter(_source(report) for report in reports)
    fine = sorted(told) == sorted(sources) and set(told.values()) <= {1}
    yield f"node: {kills} kills, {len(sources)} clips taken, {len(told)} reported, each once: {fine}", fine


def _source(report: Any) -> str:
    from mcsdr.interop.structured_report import read_back

    return str(read_back(report)["source"])


# --- model and reports -----------------------------------------------------------------------------------------------


def model(share: float, folder: Path) -> Found:
    """Every byte of a model.json flipped once; each must be refused by name."""
    import mcsdr
    from mcsdr.errors import McsdrError
    from mcsdr.files import shipped

    copy = folder / "model"
    shutil.copytree(shipped.models()[mcsdr.DEFAULT_MODEL], copy)
    whole = (copy / "model.json").read_bytes()
    places = np.unique(np.linspace(0, len(whole) - 1, times(len(whole), share)).round().astype(int)).tolist()
    chance, codes, accepted = random.Random(0), Counter[str](), []
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        (copy / "model.json").write_bytes(changed)
        try:
            mcsdr.load(copy)
            accepted.append(place)
        except McsdrError as error:
            codes[error.code] += 1
        except Exception as error:
            codes[f"untyped {type(error).__name__}"] += 1
    yield f"{len(places)} of {len(whole)} bytes flipped: {dict(codes)}", not any("untyped" in code for code in codes)
    yield f"accepted as if nothing were: {len(accepted)}, first at {accepted[:3]}", not accepted


def reports(share: float, folder: Path) -> Found:
    """Structured reports written, read by pydicom, and read back."""
    from pydicom import dcmread
    from records import answer, clip_header

    from mcsdr.interop.structured_report import read_back, structured_report, to_bytes

    count, other = times(1000, share), 0
    for seed in range(count):
        record = answer(seed)
        read = read_back(dcmread(io.BytesIO(to_bytes(structured_report(record, clip_header())))))
        same = all(read[name] == record[name] for name in ("median", "mean", "sd"))
        other += not (same and read["interval_90"] == list(record["interval_90"]))
        other += sorted(read["prob"].values()) != sorted(record["prob"].values())
    yield f"{count} reports: {other} with another value", other == 0


PARTS = {
    part.__name__: part
    for part in (bombs, fuzz, node, soak, killing, disk, model, reports, names, offline, proxy, trickle, same, child)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the full scale")
    parser.add_argument("--part", action="append", choices=PARTS, help="all unless given")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    keep_silent()  # the sender's libraries warn of what the mutants say
    sound = True
    print("SYNTHETIC phantoms and drawings.", flush=True)
    for name in options.part or PARTS:
        started = time.perf_counter()
        print(f"== {name}, {options.share:g} of the full scale", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for line, fine in PARTS[name](options.share, Path(folder)):
                print(f"{'  ' if fine else '! '}{line}", flush=True)
                sound = sound and fine
        print(f"   {time.perf_counter() - started:.0f} s", flush=True)
    sys.exit(not sound)


if __name__ == "__main__":
    main()
