"""The whole posterior of left-ventricular ejection fraction from an echocardiogram.

    >>> import mcsdr
    >>> model = mcsdr.load()
    >>> study = mcsdr.read_study("clip.dcm", age=63, sex="F")
    >>> posterior = model(study)
    >>> posterior
    Posterior(EF 59 %, 90 % 47–71)
    >>> round(posterior.prob_below(50), 2)
    0.1

Research use only; not for diagnosis.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

__version__ = version("mcsdr")
DEFAULT_MODEL = "phantom-a4c-varied"  # the bundled model that answers unless another is named
DISCLAIMER = "Research use only; not for diagnosis. A clinician reads the images."

_HOME = {
    "Attributes": "mcsdr.study",
    "Clip": "mcsdr.study",
    "Model": "mcsdr.model",
    "Posterior": "mcsdr.posterior",
    "Study": "mcsdr.study",
    "View": "mcsdr.study",
    "load": "mcsdr.model",
    "read_study": "mcsdr.io",
}
__all__ = ["DEFAULT_MODEL", "DISCLAIMER", "__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from mcsdr.io import read_study
    from mcsdr.model import Model, load
    from mcsdr.posterior import Posterior
    from mcsdr.study import Attributes, Clip, Study, View


def __getattr__(name: str) -> Any:
    # torch takes a second to import; a command that only prints its help must not wait for it.
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mcsdr' has no attribute {name!r}")
