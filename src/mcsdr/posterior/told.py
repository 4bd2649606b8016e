"""What is told of a belief: its few numbers, in one line, as plain data.

Where two readings fit (`mcsdr.posterior.modes`) neither the median nor the mean stands for the belief, so that its
peaks are told in the median's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from mcsdr import DISCLAIMER

if TYPE_CHECKING:
    from mcsdr.posterior.modes import Mode
    from mcsdr.posterior.table import Posterior, Value

LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)  # of the quantiles that are told


class Told(NamedTuple):
    """The numbers of one belief that a line or a drawing writes, in EF %.

    What stands for the belief is its median; of iid draws their plain mean, as in the MCSDR paper.
    """

    centre: float
    ninety: tuple[float, float]
    fifty: tuple[float, float]
    peaks: tuple[float, ...]  # where two readings or more fit; empty where one does
    name: str = "Median"  # of the centre

    @classmethod
    def of(cls, posterior: Posterior) -> Told:
        """Of the posterior of one study."""
        (low, high), (lower, upper) = posterior.interval(0.9), posterior.interval(0.5)
        modes = cast("list[Mode]", posterior.modes())
        peaks = tuple(mode.location for mode in modes) if len(modes) > 1 else ()
        centre, name = (posterior.median, "Median") if posterior.raw is None else (posterior.mean, "Mean of draws")
        return cls(float(centre), (float(low), float(high)), (float(lower), float(upper)), peaks, name)

    @property
    def reading(self) -> str:
        """The centre in whole per cent, or the peaks."""
        return " or ".join(f"{peak:.0f}" for peak in self.peaks or (self.centre,))

    @property
    def sentence(self) -> str:
        """The belief in one line."""
        low, high = self.ninety
        middle = f"Two readings fit, {self.reading} %" if self.peaks else f"{self.name} {self.reading} %"
        return f"{middle}; 90 % interval of a report {low:.0f} to {high:.0f} %"


def in_short(posterior: Posterior) -> str:
    """What `repr` says, between its brackets."""
    if posterior.single:
        told = Told.of(posterior)
        return f"EF {told.reading} %, 90 % {told.ninety[0]:.0f}–{told.ninety[1]:.0f}"
    medians = np.asarray(posterior.median)
    match len(medians):
        case 0:
            return "0 studies"
        case 1:
            return f"1 study, median {medians[0]:.0f} %"
        case studies:
            return f"{studies} studies, medians {medians.min():.0f}–{medians.max():.0f} %"


def as_plain_data(posterior: Posterior) -> dict[str, Any]:
    """See `Posterior.to_dict`."""
    low, high = posterior.interval(0.9)
    return {
        "median": _plain(posterior.median),
        "mean": _plain(posterior.mean),
        "sd": _plain(posterior.sd),
        "interval_90": _plain(np.stack([low, high], axis=-1)),
        "quantiles": {f"{level:g}": _plain(posterior.quantile(level)) for level in LEVELS},
        "modes": _plain_modes([posterior[place] for place in range(len(posterior))], posterior.single),
        "disclaimer": DISCLAIMER,
    }


def _plain(value: Value) -> Any:
    """NumPy's numbers as Python's own, so that JSON takes them."""
    return np.asarray(value).tolist()


def _plain_modes(posteriors: list[Posterior], single: bool) -> Any:
    each = [
        [{"ef": mode.location, "mass": mode.mass} for mode in cast("list[Mode]", one.modes())] for one in posteriors
    ]
    return each[0] if single else each
