"""The whole posterior of left-ventricular ejection fraction from an echocardiogram.

    >>> import mcsdr
    >>> from pydicom.data import get_testdata_file
    >>> model = mcsdr.load()
    >>> study = mcsdr.read_study(get_testdata_file("examples_ybr_color.dcm"), age=63, sex="F")
    >>> answer = model(study)
    >>> 40 < answer.median < 70, 0 <= answer.prob_below(40) <= 1
    (True, True)
    >>> low, high = answer.interval(0.9)

`read_study` reads a file, or several of one examination, into a `Study`. `load` gives a `Model`, and calling it on a
study an `Answer`: what `mcsdr predict` says on the command line, with the same numbers and the same reasons to abstain.
`predict` takes files, folders and studies, and gives an answer or a typed failure for each.

Research use only; not for diagnosis.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
DEFAULT_MODEL = "phantom-a4c-varied"  # the bundled model that answers unless another is named
DISCLAIMER = "Research use only; not for diagnosis. A clinician reads the images."

_HOME = {
    "Answer": "mcsdr.model",
    "Answers": "mcsdr.model",
    "Attributes": "mcsdr.study",
    "Clip": "mcsdr.study",
    "Model": "mcsdr.model",
    "Posterior": "mcsdr.posterior",
    "Study": "mcsdr.study",
    "View": "mcsdr.study",
    "load": "mcsdr.model",
    "predict": "mcsdr.prediction",
    "read_study": "mcsdr.io",
}
__all__ = [
    "DEFAULT_MODEL",
    "DISCLAIMER",
    "Answer",
    "Answers",
    "Attributes",
    "Clip",
    "Model",
    "Posterior",
    "Study",
    "View",
    "__version__",
    "load",
    "predict",
    "read_study",
]

if TYPE_CHECKING:
    from mcsdr.io import read_study
    from mcsdr.model import Answer, Answers, Model, load
    from mcsdr.posterior import Posterior
    from mcsdr.prediction import predict
    from mcsdr.study import Attributes, Clip, Study, View

# Where the modules of earlier versions are now.
_MOVED = {
    **dict.fromkeys(("modes", "monotone", "normal", "pooling", "recalibration"), "posterior"),
    **dict.fromkeys(("attributes", "beats", "protocol"), "clips"),
    **dict.fromkeys(("familiarity", "gates"), "abstention"),
    **dict.fromkeys(("cache", "checkpoint", "feed", "objective", "settings", "tokens"), "training"),
    **dict.fromkeys(("asking", "calibration", "comparison", "gating", "measures", "reproduction"), "evaluation"),
    **dict.fromkeys(("batch", "rows"), "prediction"),
    **dict.fromkeys(("interop.official", "interop.torch_checkpoint"), "training.weights"),
    **{"workers": "files", "heads": "nn", "corruptions": "phantom"},
}
_RENAMED = {"benchmark": "evaluation.evidence", "interop.weights": "training.weights.published"}


class _Moved:
    """The last finder of modules to be asked: it finds none, and names the new place of one that has moved."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> None:
        """None for all but a moved module.

        Raises:
            ImportError: the module has moved.
        """
        places = {old: f"{room}.{old.rpartition('.')[2]}" for old, room in _MOVED.items()} | _RENAMED
        for old, new in places.items():
            if f"{fullname}.".startswith(f"mcsdr.{old}."):
                rest = fullname.removeprefix(f"mcsdr.{old}")
                raise ImportError(f"{fullname} is now mcsdr.{new}{rest}", name=fullname)


sys.meta_path.append(_Moved)


def __getattr__(name: str) -> Any:
    # torch takes a second to import; a command that only prints its help must not wait for it.
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mcsdr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
