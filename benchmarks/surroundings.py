"""Cases of docs/reliability.md about what is around the programs: no network, no room.

For benchmarks/reliability.py; each runs inside namespaces of its own, where nothing can be reached and a file system as
small as one likes can be mounted: `unshare -rnm python benchmarks/surroundings.py offline FOLDER 1`.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from processes import MCSDR, free_port, noding, ran, served, small_clips, stored, wait_until

ROOT = Path(__file__).resolve().parents[1]
Found = Iterator[tuple[str, bool]]  # a line, and whether it is as it must be

SMALL = """
[run]
name = "small"
seed = 0
checkpoint_every = 1
[data]
train = { kind = "phantom", n = 24, seed = 1 }
val = { kind = "phantom", n = 8, seed = 2 }
[network]
channels = [8, 8, 8]
width = 16
heads = 2
score_depth = 1
[optim]
epochs = 3
batch = 4
"""


def offline(share: float, folder: Path) -> Found:
    """Every way in, where there is no network but this machine's own; each look-up and each address is heard."""
    yield from _apart("offline", share, folder)


def disk(share: float, folder: Path) -> Found:
    """A training, a batch and a node on file systems that fill up or may not be written; what stands afterwards."""
    yield from _apart("disk", share, folder)


def _apart(part: str, share: float, folder: Path) -> Found:
    command = [
        "unshare",
        "--map-root-user",
        "--net",
        "--mount",
        sys.executable,
        __file__,
        part,
        str(folder),
        str(share),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    yield from ((line, fine) for line, fine in lines)
    yield f"exit status {done.returncode}", done.returncode == 0 and bool(lines)


HEARING = """
import sys

OURS = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", None)
LOOKED_UP = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


def hear(event, given):
    if event in LOOKED_UP:
        host = given[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(given[1], tuple):
        host = given[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in OURS:
        with open({path!r}, "a") as file:
            file.write(f"{event} {host}\\n")


sys.addaudithook(hear)
"""


def _offline(share: float, folder: Path) -> Found:
    from pydicom.data import get_testdata_file

    from soak import call

    heard = folder / "heard"
    (folder / "sitecustomize.py").write_text(HEARING.replace("{path!r}", repr(str(heard))))
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    subprocess.run(
        [sys.executable, "-c", "import socket; socket.gethostbyname('example.org')"], stderr=subprocess.DEVNULL
    )
    yield "the ear hears a look-up", heard.exists() and "example.org" in heard.read_text()
    heard.unlink(missing_ok=True)
    with socket.socket() as one:
        one.settimeout(5)
        yield "nothing can be reached: 192.0.2.1", one.connect_ex(("192.0.2.1", 80)) != 0
    _raise_loopback()
    clip, clips, small = str(get_testdata_file("examples_ybr_color.dcm")), folder / "clips", folder / "small.toml"
    small_clips(clips, 3)
    small.write_text(SMALL)
    commands = {
        "predict": ("predict", clip, "--report", str(folder / "report.html")),
        "batch": ("batch", str(clips), str(folder / "table.csv"), "--workers", "2"),
        "train": ("train", str(small), "--out", str(folder / "run")),
        "info": ("info",),
        "deidentify": ("deidentify", clip, str(folder / "copy.dcm")),
    }
    for name, words in commands.items():
        done = ran(words)
        yield f"{name}: exit {done.returncode} {done.stderr[-200:] if done.returncode else ''}", done.returncode == 0
    with served(("--line", "4")) as (base, _):
        status, job, _ = call(base, "POST", "/api/v1/clips", Path(clip).read_bytes())
        while job.get("state") not in ("done", "failed"):
            time.sleep(0.1)
            job = call(base, "GET", f"/api/v1/jobs/{job['id']}")[1]
        yield f"serve: {status}, {job['state']}", job["state"] == "done"
    home, port = folder / "node", free_port()
    with noding(home, port):
        status = stored(Path(clip), port)
        reported = wait_until(lambda: any((home / "outbox").glob("*.dcm")), 120)
        yield f"node: {status}, a report: {reported}", reported
    asked = heard.read_text().splitlines() if heard.exists() else []
    yield f"look-ups and addresses beyond this machine: {len(asked)} {asked[:5] or ''}", not asked


def _raise_loopback() -> None:
    """127.0.0.1 of a new network namespace, which is born down."""
    with socket.socket() as one:
        fcntl.ioctl(one, 0x8914, struct.pack("16sh22x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running


def _mounted(place: Path, size: int) -> Path:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    return place


def _remounted(place: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True)


def _told(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a command failed with an error of its own kind and nothing else."""
    return done.returncode not in (0, 1) and "[unwritable-file]" in done.stderr and "Traceback" not in done.stderr


def _disk(share: float, folder: Path) -> Found:
    _raise_loopback()
    yield from _full_node(folder)
    yield from _full_training(max(2, round(10 * share)), folder)
    yield from _read_only_training(folder)
    yield from _full_batch(max(1, round(5 * share)), folder)


def _full_training(count: int, folder: Path) -> Found:
    from mcsdr.training.checkpoint import newest_checkpoint

    small, whole = folder / "small.toml", folder / "whole"
    small.write_text(SMALL)
    ran(("train", str(small), "--out", str(whole)))
    size = sum(file.stat().st_size for file in whole.rglob("*") if file.is_file())
    told, loads, same = [], [], []
    for number in range(count):
        place = _mounted(folder / f"full-{number}", round((number + 0.5) / count * size) // 4096 * 4096 + 4096)
        words = ("train", str(small), "--out", str(place / "run"))
        told.append(_told(ran(words)))
        if (place / "run").exists():
            loads.append(newest_checkpoint(place / "run")[1] is None)
        _remounted(place, "size=1g")
        same.append(ran(words).returncode == 0 and _same_model(whole, place / "run"))
        subprocess.run(["umount", str(place)], check=True)
    yield f"{count} trainings without room, of {size >> 10} KiB: told {sum(told)}", all(told)
    yield f"their newest checkpoint is whole: {sum(loads)} of {len(loads)}", all(loads)
    yield f"with room again, the model of a training that nothing disturbed: {sum(same)} of {count}", all(same)


def _same_model(whole: Path, other: Path) -> bool:
    name = "model/model.safetensors"
    return (whole / name).read_bytes() == (other / name).read_bytes()


def _read_only_training(folder: Path) -> Found:
    place = _mounted(folder / "read-only", 1 << 30)
    words = ("train", str(folder / "small.toml"), "--out", str(place / "run"))
    running = subprocess.Popen([*MCSDR, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: (place / "run" / "last.safetensors").exists(), 300)
    running.send_signal(signal.SIGTERM)
    running.wait()
    before = (place / "run" / "last.safetensors").read_bytes()
    _remounted(place, "ro")
    done = ran(words)
    yield f"a training that may not write: exit {done.returncode}, told: {_told(done)}", _told(done)
    _remounted(place, "rw")
    kept = (place / "run" / "last.safetensors").read_bytes() == before
    same = ran(words).returncode == 0 and _same_model(folder / "whole", place / "run")
    yield f"its checkpoint as it was: {kept}; resumed to the same model: {same}", kept and same


def _full_batch(count: int, folder: Path) -> Found:
    damaged = folder / "damaged.avi"
    damaged.write_bytes(b"no clip")
    listed = folder / "list.csv"
    listed.write_text("file,id\n" + "".join(f"damaged.avi,{number}\n" for number in range(2000)))
    ran(("batch", str(listed), str(folder / "whole.csv")))
    whole = (folder / "whole.csv").read_bytes()
    told, same = [], []
    for number in range(count):
        place = _mounted(folder / f"batch-{number}", round((number + 0.5) / count * len(whole)) // 4096 * 4096 + 8192)
        words = ("batch", str(listed), str(place / "out.csv"))
        told.append(_told(ran(words)))
        _remounted(place, "size=1g")
        ran(words)
        same.append((place / "out.csv").read_bytes() == whole)
    yield f"{count} batches without room, of {len(whole) >> 10} KiB: told {sum(told)}", all(told)
    yield f"with room again, the table of a batch that nothing disturbed: {sum(same)} of {count}", all(same)


def _full_node(folder: Path) -> Found:
    from reliability import good_study

    clips = [good_study(folder / f"good-{number}.dcm") for number in range(6)]
    place, port = _mounted(folder / "full-node", 3 * clips[0].stat().st_size), free_port()
    with noding(place / "node", port) as process:
        codes = [stored(clip, port) for clip in clips]
        full = [code for code in codes if code != "0x0000"]
        refused = bool(full) and all(code == "no status" or code.startswith("0xa7") for code in full)
        yield f"a node without room: {dict(Counter(codes))}", refused and process.poll() is None
        _remounted(place, "size=1g")
        codes.append(stored(good_study(folder / "good.dcm"), port))
        taken = codes.count("0x0000")
        reports = wait_until(lambda: len(list((place / "node" / "outbox").glob("*.dcm"))) == taken, 180)
        yield f"with room again: {codes[-1]}; a report of each that was taken, {taken}: {reports}", reports


def main() -> None:
    part, folder, share = sys.argv[1:]
    sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / room) for room in ("io", "interop"))]
    found = {"offline": _offline, "disk": _disk}[part](float(share), Path(folder))
    for line in found:
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
