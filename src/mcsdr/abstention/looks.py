"""Whether the looks at a clip agree: how far apart their medians lie on clips that the model is to answer.

A heart has the same ejection fraction seen in a mirror or with its last frame first. `mcsdr.model.beliefs` says by how
much the looks at a clip disagree; here it is held against the same number of clips that the model reads well, on which
it was measured (`mcsdr gate`). Above the 99th percentile of those the answer stands on what the picture's orientation
happens to be, and the model abstains.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, model_validator

from mcsdr.errors import InvalidCohort

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
LIMIT = 0.99
LEAST_CLIPS = 50


class LookSpread(BaseModel):
    """The spread of looks at clips that the model is to answer.

    Arguments:
        quantiles: of the spread in EF points, at `LEVELS`.
        clips: how many were measured.
        cohort: of what.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantiles: tuple[float, ...]
    clips: int
    cohort: str

    @model_validator(mode="after")
    def _ascends(self) -> LookSpread:
        if len(self.quantiles) != len(LEVELS) or not np.isfinite(self.quantiles).all():
            raise ValueError(f"the spread of looks has {len(LEVELS)} finite quantiles")
        if (np.diff(self.quantiles) < 0).any() or self.quantiles[0] < 0:
            raise ValueError("the quantiles of the spread of looks must ascend from 0")
        return self

    @classmethod
    def fit(cls, spread: ArrayLike, cohort: str) -> LookSpread:
        """From the spread of each of many clips.

        Raises:
            InvalidCohort: fewer than LEAST_CLIPS.
        """
        known = np.asarray(spread, dtype=np.float64)
        known = known[np.isfinite(known)]
        if len(known) < LEAST_CLIPS:
            raise InvalidCohort(
                f"the looks at {len(known)} clips are too few to say how far they may differ.",
                next_step=f"Give {LEAST_CLIPS} clips or more; 500 are a good number.",
            )
        quantiles = np.quantile(known, LEVELS).round(4)
        return cls(quantiles=tuple(quantiles.tolist()), clips=len(known), cohort=cohort)

    @property
    def limit(self) -> float:
        """The spread in EF points above which the model abstains."""
        return self.quantiles[LEVELS.index(LIMIT)]

    def percentile(self, spread: float) -> float:
        """The share of those clips, in per cent, whose looks differ less; between 0 and 99 of what lies within."""
        within = float(np.interp(spread, (0.0, *self.quantiles), (0.0, *LEVELS)))
        return 100 * (within if spread <= self.limit else 1.0)
