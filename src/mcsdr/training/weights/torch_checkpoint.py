"""Tensors out of a checkpoint that somebody else wrote, without running anything it says.

A `.pt` or `.pth` file is a pickle, a program that builds objects. It is never run as one:

    1. torch reads it with `weights_only=True`, an interpreter that knows tensors and plain containers and refuses every
       other name. Names of mere bookkeeping (`BOOKKEEPING`) are answered with an object that does nothing.
    2. That interpreter has been got round before, so it works in a child process with an empty environment, a folder of
       its own and limits on memory, processor time and output. The child writes tensors, as safetensors, and nothing
       else; this process reads these alone.

The child is this module run as a script: `python -m mcsdr.training.weights.torch_checkpoint CHECKPOINT OUT`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor

from mcsdr.errors import InvalidModel, MissingFile

Checkpoint = dict[str, dict[str, Tensor]]

WALL_S, PROCESSOR_S = 600, 120
SPARE_BYTES = 512 * 2**20  # for reading a file, besides four times its size
OLDEST_TORCH = (2, 6)  # before, `weights_only=True` could be made to run code
REFUSED = 3  # the child's exit status when it says why on standard error
NEXT_STEP = "Save the weights alone, torch.save(model.state_dict(), path) or as safetensors, and give that file."
# Training scripts store their options and scores beside the weights; these types hold them.
BOOKKEEPING = (
    "argparse.Namespace",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.dtypes.Float32DType",
    "numpy.dtypes.Float64DType",
)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The named tensors of a torch checkpoint or a safetensors file, by section.

    A section is a dictionary of tensors within the checkpoint, such as "model_state_dict"; tensors that stand in no
    section, as in a bare state dict and in safetensors, are in the section "". What is no tensor is left out, and so is
    what lies deeper, such as an optimiser's state.

    Arguments:
        path: `.safetensors`, or anything `torch.save` writes. It may come from anybody.

    Raises:
        MissingFile: there is no such file.
        InvalidModel: it cannot be read within the limits, holds no named tensor, or holds objects that are no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile("no such file.", path=path)
    if path.suffix == ".safetensors":
        return {"": _load(path, path)}
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        raise InvalidModel(f"torch {torch.__version__} cannot read it safely.", path=path, next_step="Update torch.")
    with tempfile.TemporaryDirectory(prefix="mcsdr-") as folder:
        out = Path(folder) / "tensors.safetensors"
        _run_child(path, out)
        checkpoint: Checkpoint = {}
        for key, tensor in _load(out, path).items():
            section, name = json.loads(key)
            checkpoint.setdefault(section, {})[name] = tensor
        return checkpoint


def _load(file: Path, path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_tensors(file.read_bytes())
    except (OSError, SafetensorError) as error:
        raise InvalidModel(f"it is no safetensors file: {error}", path=path, next_step=NEXT_STEP) from error
    return tensors


def _run_child(path: Path, out: Path) -> None:
    """Let the child write the tensors of `path` to `out`."""
    command = [sys.executable, "-P", "-W", "ignore", "-m", __spec__.name, str(path.resolve()), str(out)]
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=out.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidModel(f"reading it took more than {WALL_S} s.", path=path, next_step=NEXT_STEP) from error
    if done.returncode == 0:
        return
    # What the child says may repeat what the file says: one line of printable text, not too long.
    said = "".join(c if c.isprintable() else " " for c in done.stderr.decode(errors="replace"))[-300:].strip()
    if done.returncode == REFUSED:
        cause = said
    elif done.returncode == -getattr(signal, "SIGXCPU", 0):
        cause = f"reading it took more than {PROCESSOR_S} s of processor time."
    else:
        cause = f"reading it broke off (status {done.returncode})."
    raise InvalidModel(cause, path=path, next_step=NEXT_STEP)


def sections(path: str | Path) -> Checkpoint:
    """What the child does: the named tensors of a torch file, by section.

    Raises:
        ValueError: the cause, in a sentence.
    """
    try:
        with torch.serialization.safe_globals([(_Nothing, name) for name in BOOKKEEPING]):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(_cause(error)) from error
    if not isinstance(loaded, Mapping):
        raise ValueError("it holds no named tensors.")
    found = {"": _tensors(loaded)}
    found |= {name: _tensors(part) for name, part in loaded.items() if isinstance(name, str) and isinstance(part, dict)}
    found = {name: part for name, part in found.items() if part}
    if not found:
        raise ValueError("it holds no named tensors.")
    size = sum(t.numel() * t.element_size() for part in found.values() for t in part.values())
    if size > 2 * Path(path).stat().st_size + 2**20:  # a tensor of stride 0 may be larger than any memory
        raise ValueError(f"it says that its tensors take {size:,} bytes, many times what it holds.")
    return found


def _cause(error: Exception) -> str:
    """Why torch did not read a file, without its advice to read it unsafely."""
    text = str(error)
    if refused := re.search(r"GLOBAL ([\w.]+)", text):
        return f"it holds {refused[1]}, which is no tensor; opened carelessly it may run code."
    if said := re.search(r"WeightsUnpickler error: (.+)", text):
        text = said[1]
    elif "weights_only" in text:
        text = ""
    return f"torch cannot read it: {text.splitlines()[0] if text else type(error).__name__}"


def _tensors(part: Mapping[object, object]) -> dict[str, Tensor]:
    return {name: t.detach() for name, t in part.items() if isinstance(name, str) and isinstance(t, Tensor)}


class _Nothing:
    """Stands for an object that is not wanted: it takes anything and keeps nothing."""

    def __new__(cls, *_: object) -> _Nothing:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _limit(file_bytes: int) -> None:
    """Hold this process to what reading such a file takes; where the system knows no limits, time alone is bounded."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    room = 4 * file_bytes + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _child(path: Path, out: Path) -> None:
    _limit(path.stat().st_size)
    try:
        found = sections(path)
        # Copies, since safetensors takes no two names of one memory.
        named = {json.dumps([s, name]): t.contiguous().clone() for s, part in found.items() for name, t in part.items()}
        save_file(named, out)
    except (ValueError, RuntimeError, SafetensorError, MemoryError, OSError) as error:
        print(error if isinstance(error, ValueError) else f"its tensors cannot be taken out: {error}", file=sys.stderr)
        sys.exit(REFUSED)


if __name__ == "__main__":
    _child(Path(sys.argv[1]), Path(sys.argv[2]))
