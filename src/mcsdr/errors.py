"""Every error this package raises on purpose: a code, a cause and a next step.

    McsdrError
    ├── InputError          the file or its description cannot be used
    │   ├── MissingFile         no such file or folder
    │   ├── UnreadableFile      present, but damaged or not what its name says
    │   ├── UnsupportedFormat   readable, but not a format this package reads
    │   ├── MismatchedSource    a result, and a clip that it cannot be of
    │   └── InvalidAttributes   age, sex, weight or height out of range
    ├── RefusedClip         readable, but ejection fraction must not be estimated from it
    │   ├── NotBMode            colour Doppler, M-mode, spectral Doppler
    │   ├── SeveralLoops        several moving pictures on one screen
    │   ├── SingleFrame         a still image
    │   ├── EmptyPicture        black or of one grey, and large
    │   ├── ClipTooShort        under half a second
    │   └── NoFrameTime         nothing says how fast the heart moves
    ├── Identifiable        a copy of a clip could still tell who the patient is
    ├── UnwritableFile      an output cannot be written: no room, no permission
    ├── OutputInUse         another process writes to this folder or table
    ├── InvalidConfig       a setting is unknown or out of range
    ├── InvalidCohort       a data set's folder or table is not as its layout says
    │   ├── BadRow              one row of it cannot be used
    │   ├── TooManyBadRows      more rows than allowed cannot be used
    │   └── PatientInTwoSplits  what is tested on would have been learnt from
    ├── ChangedRun          a table was begun with another model, other settings or other inputs
    ├── LostWorker          a process that answered clips, or learnt beside this one, died
    ├── OutOfMemory         a batch does not fit
    ├── DamagedCache        a file that was kept is not what was written
    ├── TrainingStopped     a training was asked to end, and its checkpoint is on disk
    ├── MissingExtra        a library that only some commands need is not installed
    ├── CannotListen        a port is taken, or an address is not this machine's
    ├── NoGain              an adaptation does not help
    ├── TrainingDiverged    the loss is no longer a number
    └── InvalidModel        a model folder is missing a part, or a part was changed

`str(error)` is one paragraph fit for a terminal; `error.record()` is the same as a dictionary.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

# Libraries that only some parts need, and the extra of the package that brings each.
EXTRAS = {
    "fastapi": "serve",
    "uvicorn": "serve",
    "pynetdicom": "dicom",
    "dicomweb_client": "dicom",
    "zuko": "bench",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " Did you mean X?" of the known word that is most like it; nothing where none is."""
    like = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {like[0]}?" if like else ""


class McsdrError(Exception):
    """An error with a machine-readable code, a cause, a next step and, where there is one, a file."""

    code = "error"
    exit_status = 2  # of the command that it ends
    next_step = "Run the command again with --help, or report this with the full message."

    def __init__(self, cause: str, *, path: str | Path | None = None, next_step: str | None = None) -> None:
        self.cause = cause
        self.path = None if path is None else str(path)
        self.next_step = next_step or type(self).next_step
        super().__init__(cause)

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.cause} [{self.code}] {self.next_step}"

    def record(self) -> dict[str, str | None]:
        """The error as plain data: code, cause, next_step, path."""
        return {"code": self.code, "cause": self.cause, "next_step": self.next_step, "path": self.path}


class InputError(McsdrError):
    """The file or its description cannot be used."""

    code = "input"


class MissingFile(InputError):
    """No such file or folder."""

    code = "missing-file"
    next_step = "Check the path for spelling, and that the drive is mounted."


class UnreadableFile(InputError):
    """The file exists but is damaged, or is not what its name says."""

    code = "unreadable-file"
    next_step = "Export or copy the clip again from its source, and check that a video player opens it."


class UnsupportedFormat(InputError):
    """The file is readable, but not in a format this package reads."""

    code = "unsupported-format"
    next_step = "Give an video (AVI, MP4, MOV, MKV, …), multi-frame ultrasound DICOM, NIfTI, MetaImage or NRRD file."


class MismatchedSource(InputError):
    """A result and a DICOM clip that do not belong together."""

    code = "mismatched-source"
    next_step = "Give the DICOM clip that this result was made from."


class InvalidAttributes(InputError):
    """An attribute of the patient is out of its range."""

    code = "invalid-attributes"
    next_step = "Correct the value and its unit (years, kg, cm; sex F or M), or leave it out."


class RefusedClip(McsdrError):
    """The clip is readable, but ejection fraction must not be estimated from it."""

    code = "refused"


class NotBMode(RefusedClip):
    """Colour Doppler, M-mode or spectral Doppler."""

    code = "not-b-mode"
    next_step = "Choose a grey-scale (B-mode) apical four-chamber clip of the same study."


class SeveralLoops(RefusedClip):
    """Bi-plane, dual, quad or stress screen: several moving pictures, and nothing says which of them to read."""

    code = "several-loops"
    next_step = "Export the apical four-chamber loop alone, or cut the video to its part of the screen."


class SingleFrame(RefusedClip):
    """A still image."""

    code = "single-frame"
    next_step = "Choose the multi-frame clip that the still was taken from."


class EmptyPicture(RefusedClip):
    """A large clip that is black or of one grey; a small one is read, and abstained from by the same code."""

    code = "empty-picture"
    next_step = "Choose another clip, or cut out the heartbeats that are to be read."


class ClipTooShort(RefusedClip):
    """Less than half a second of video."""

    code = "clip-too-short"
    next_step = "Choose a clip that holds at least one heartbeat."


class NoFrameTime(RefusedClip):
    """Nothing in the file says how fast the frames follow each other."""

    code = "no-frame-time"
    next_step = "Give the frame rate: --frame-rate HZ on the command line, frame_rate_hz= in Python."


class Abstained(McsdrError):
    """The clip was read, but the model abstains: its posterior should not be relied on.

    `code` is the abstention's own, such as "wide-interval".
    """

    code = "abstained"

    def __init__(self, code: str, cause: str, *, path: str | Path | None = None, next_step: str | None = None) -> None:
        super().__init__(cause, path=path, next_step=next_step)
        self.code = code


class Identifiable(McsdrError):
    """A copy of the clip could still tell who the patient is, so none is written."""

    code = "identifiable"
    next_step = (
        "Blank the text in the picture with a tool that shows it to you, set Burned In Annotation to NO, try again."
    )


class UnwritableFile(McsdrError):
    """An output cannot be written; what stood there before is untouched."""

    code = "unwritable-file"
    next_step = "Make room or choose another place, and run the command again."


class OutputInUse(McsdrError):
    """Another process writes to this folder or table; nothing of it was touched."""

    code = "output-in-use"
    next_step = "Wait until that one has ended, end it, or name another output."


class InvalidConfig(McsdrError):
    """A setting is unknown, of the wrong type or out of range."""

    code = "invalid-config"
    next_step = "Correct it; the command's --help says what it may be."


class InvalidCohort(McsdrError):
    """A data set's folder or table is not as its layout says."""

    code = "invalid-cohort"
    next_step = "Point the command at the untouched folder of the data set."


class BadRow(InvalidCohort):
    """One row of a data set cannot be learnt from or measured on."""

    code = "bad-row"
    next_step = "Run `mcsdr check` on the folder; it lists every such row with its cause."


class TooManyBadRows(InvalidCohort):
    """More rows than the limit allows cannot be used."""

    code = "too-many-bad-rows"
    next_step = "Run `mcsdr check` on the folder, mend or remove the rows, or raise data.max_bad."


class PatientInTwoSplits(InvalidCohort):
    """A patient's studies stand in two splits: what is tested on would have been learnt from."""

    code = "patient-in-two-splits"
    next_step = "Give all studies of a patient the same split; `mcsdr check` names every such patient."


class ChangedRun(McsdrError):
    """A table was begun with another model, other settings or other inputs; no row is added to it."""

    code = "changed-run"
    next_step = "Begin anew with --restart, name another table, or go back to the settings that it was begun with."


class OutOfMemory(McsdrError):
    """A batch does not fit into memory."""

    code = "out-of-memory"
    next_step = "Lower optim.batch, clip.size or dropout.masks, or train on more processes; nothing of the run is lost."


class DamagedCache(McsdrError):
    """A file that was kept for later is not what was written: a disk or a copy went wrong."""

    code = "damaged-cache"
    next_step = "Remove the folder that it lies in: it is made again from the clips. Then check the disk."


class TrainingStopped(McsdrError):
    """A training was asked to end before its end."""

    code = "training-stopped"
    next_step = "Run the same command again: it goes on from there, to the bit."


class LostWorker(McsdrError):
    """A process that answered clips, or learnt beside this one, died."""

    code = "lost-worker"
    next_step = (
        "Run the command again with --workers 1: it goes on where it stopped, and ends at the clip that is to blame."
    )


class MissingExtra(McsdrError):
    """A library that only some parts need is not installed."""

    code = "missing-extra"

    @classmethod
    def of(cls, module: str) -> MissingExtra:
        """The error for a module of `EXTRAS`."""
        return cls(
            f"this needs {module}, which is not installed.", next_step=f"Run: pip install 'mcsdr[{EXTRAS[module]}]'"
        )


class CannotListen(McsdrError):
    """A port is taken, or an address is not this machine's."""

    code = "cannot-listen"
    next_step = "Choose another with --port (0 takes a free one), or end what listens there."


class TrainingDiverged(McsdrError):
    """The loss is no longer a number."""

    code = "training-diverged"
    next_step = "Lower optim.lr or optim.clip_norm, or set run.precision to 'no', and start from the last checkpoint."


class NoGain(McsdrError):
    """Adapting a model to these studies does not help, as far as they can tell; none is written."""

    code = "no-gain"
    next_step = "Use the model as it is, or give more labelled studies."


class InvalidModel(McsdrError):
    """A model folder lacks a part, or a part was changed since it was saved."""

    code = "invalid-model"
    next_step = "Save or copy the model again; every model folder holds model.safetensors and model.json."
