"""What is kept of a finished job, in one piece of memory of its own.

An answer, its tokens, pictures and header are thousands of objects of all sizes. Kept as they are they lie wherever
there was room when they came, each holds the page that it lies on, and as answers come and go the pages that the
process has of the system grow, although what is in use does not. So they are written side by side into a mapping of
their own, which goes back to the system as a whole, and are made again when somebody asks, within some milliseconds.

Only this process reads what it has written here: a pickle, in which the model is named, not written.
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mcsdr.errors import McsdrError
from mcsdr.io.sandbox import Header
from mcsdr.model import Answer, Encoded, Model
from mcsdr.prediction import Failure
from mcsdr.serve.pictures import Marks, Sheet

MODEL = "model"


@dataclass(frozen=True)
class Revision:
    """One answer of a job, which never changes.

    Attributes:
        number: counted from 1; other attributes, another threshold or insistence make the next one.
        result: the answer, or why there is none.
        record: of the result.
    """

    number: int
    result: Answer | Failure
    record: dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """All that is kept of a finished job.

    Attributes:
        revision: the answer as it stands.
        header: what a report needs of a DICOM clip's.
        encoded, read_s: the study with its tokens, and the seconds that reading took; None of a failure.
        marks, sheet: frames of end-diastole and end-systole, of each clip; and all frames on one picture.
    """

    revision: Revision
    header: Header | None = None
    encoded: Encoded | None = None
    read_s: float = math.nan
    marks: Marks = field(default_factory=list)
    sheet: Sheet | None = None


def packed(kept: Kept, model: Model) -> mmap.mmap:
    """The same in a mapping of its own."""
    file = io.BytesIO()
    _Pickler(file, model).dump(kept)
    memory = mmap.mmap(-1, file.tell())
    memory.write(file.getbuffer())
    return memory


def unpacked(memory: mmap.mmap, model: Model) -> Kept:
    """What was packed, made again."""
    kept: Kept = _Unpickler(io.BytesIO(memory), model).load()
    return kept


class _Pickler(pickle.Pickler):
    """Names the model, writes once what an array shows over and over, and errors without what they were raised from."""

    def __init__(self, file: io.BytesIO, model: Model) -> None:
        super().__init__(file, protocol=5)
        self._model = model

    def persistent_id(self, thing: Any) -> str | None:
        return MODEL if thing is self._model else None

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, torch.Tensor):
            return _tensor, (thing.cpu().numpy(), str(thing.device))
        if isinstance(thing, np.ndarray) and thing.size and 0 in thing.strides:
            once = thing[tuple(slice(0, 1) if step == 0 else slice(None) for step in thing.strides)]
            return np.broadcast_to, (once.copy(), thing.shape)
        if isinstance(thing, McsdrError):
            return _error, (type(thing), thing.args, dict(vars(thing)))
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, model: Model) -> None:
        super().__init__(file)
        self._model = model

    def persistent_load(self, name: str) -> Model:
        return self._model


def _tensor(values: NDArray[Any], device: str) -> torch.Tensor:
    return torch.from_numpy(values).to(device)


def _error(kind: type[McsdrError], args: tuple[Any, ...], says: dict[str, Any]) -> McsdrError:
    error = kind.__new__(kind, *args)
    vars(error).update(says)
    return error
