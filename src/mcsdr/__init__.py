"""The whole posterior of left-ventricular ejection fraction from an echocardiogram.

    >>> import mcsdr
    >>> model = mcsdr.load()
    >>> posterior = model(mcsdr.read_study("clip.dcm", age_years=63, sex="F"))
    >>> posterior.median, posterior.interval(0.9), posterior.prob_below(40)

Research use only; not for diagnosis.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    __version__: str
    from mcsdr.io import read_study
    from mcsdr.model import Model, load
    from mcsdr.posterior import Posterior
    from mcsdr.study import Attributes, Clip, Study, View


def __getattr__(name: str) -> Any:
    # torch takes a second to import; a command that only prints its help must not wait for it.
    if name == "__version__":
        from importlib.metadata import version  # reads the installed package's description: most of the import's time

        return version("mcsdr")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mcsdr' has no attribute {name!r}")
