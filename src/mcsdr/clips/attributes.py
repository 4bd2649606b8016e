"""Attributes as numbers: natural units to a row of floats, NaN where unknown, standardised by training statistics.

Sex becomes −1 (F) or +1 (M). The statistics are fitted once, on the training split, and travel with the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mcsdr.study import Attributes

SEX = {"F": -1.0, "M": 1.0}


def attribute_row(attributes: Attributes, names: Sequence[str]) -> list[float]:
    """The named attributes in natural units, NaN where unknown."""
    values = attributes.known()
    row = []
    for name in names:
        value = values.get(name, float("nan"))
        row.append(SEX[value] if isinstance(value, str) else float(value))
    return row


class AttributeStatistics(BaseModel):
    """Mean and SD of each attribute over the training split, and how many SDs beyond it are told; None: all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    limit_sd: float | None = 4.0

    @classmethod
    def fit(cls, names: Sequence[str], rows: NDArray[np.float64], limit_sd: float | None = 4.0) -> AttributeStatistics:
        """From rows [N, A] with NaN where unknown; an attribute that nobody has gets mean 0 and SD 1."""
        known = ~np.isnan(rows)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, rows, 0).sum(0) / count
        sd = np.sqrt(np.where(known, (rows - mean) ** 2, 0).sum(0) / count)
        sd = np.where(sd > 0, sd, 1.0)
        return cls(names=tuple(names), mean=tuple(mean.tolist()), sd=tuple(sd.tolist()), limit_sd=limit_sd)

    def standardise(self, rows: NDArray[np.float64]) -> NDArray[np.float32]:
        """Rows [N, A] to mean 0 and SD 1, held within ±limit_sd; NaN stays NaN."""
        standard: NDArray[np.float64] = (rows - np.array(self.mean)) / np.array(self.sd)
        held = standard if self.limit_sd is None else standard.clip(-self.limit_sd, self.limit_sd)
        return held.astype(np.float32)
