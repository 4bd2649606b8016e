"""Where the modules of earlier versions are now: an import of an old path fails with the new one named."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    **{
        f"mcsdr.{name}": f"mcsdr.posterior.{name}"
        for name in ("modes", "monotone", "normal", "pooling", "recalibration")
    },
    **{f"mcsdr.{name}": f"mcsdr.clips.{name}" for name in ("attributes", "beats", "protocol")},
    **{f"mcsdr.{name}": f"mcsdr.abstention.{name}" for name in ("familiarity", "gates")},
    **{
        f"mcsdr.{name}": f"mcsdr.training.{name}"
        for name in ("cache", "checkpoint", "feed", "objective", "settings", "tokens")
    },
    **{
        f"mcsdr.{name}": f"mcsdr.evaluation.{name}"
        for name in ("asking", "calibration", "comparison", "gating", "measures", "reproduction")
    },
    **{f"mcsdr.{name}": f"mcsdr.prediction.{name}" for name in ("batch", "rows")},
    "mcsdr.workers": "mcsdr.files.workers",
    "mcsdr.heads": "mcsdr.nn.heads",
    "mcsdr.corruptions": "mcsdr.phantom.corruptions",
    "mcsdr.benchmark": "mcsdr.evaluation.evidence",
    "mcsdr.interop.official": "mcsdr.training.weights.official",
    "mcsdr.interop.torch_checkpoint": "mcsdr.training.weights.torch_checkpoint",
    "mcsdr.interop.weights": "mcsdr.training.weights.published",
}


class Finder(MetaPathFinder):
    """The last finder to be asked: it finds nothing, and says where a moved module is."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for every name but a moved one.

        Raises:
            ImportError: the module has moved.
        """
        for old, new in MOVED.items():
            if fullname == old or fullname.startswith(f"{old}."):
                raise ImportError(f"{fullname} is now {new}{fullname.removeprefix(old)}", name=fullname)
        return None
