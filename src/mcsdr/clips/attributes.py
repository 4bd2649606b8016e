"""Attributes as numbers: natural units to a row of floats, NaN where unknown, standardised by training statistics.

Sex becomes −1 (F) or +1 (M). The statistics are fitted once, on the training split, and travel with the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

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
    """Mean and SD of each attribute over the training split."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    names: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if not len(self.names) == len(self.mean) == len(self.sd) or any(sd <= 0 for sd in self.sd):
            raise ValueError("every attribute has one mean and one SD above 0")
        return self

    @classmethod
    def fit(cls, names: Sequence[str], rows: NDArray[np.float64]) -> AttributeStatistics:
        """From rows [N, A] with NaN where unknown; an attribute that nobody has gets mean 0 and SD 1."""
        known = ~np.isnan(rows)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, rows, 0).sum(0) / count
        sd = np.sqrt(np.where(known, (rows - mean) ** 2, 0).sum(0) / count)
        sd = np.where(sd > 0, sd, 1.0)
        return cls(names=tuple(names), mean=tuple(mean.tolist()), sd=tuple(sd.tolist()))

    def standardise(self, rows: NDArray[np.float64]) -> NDArray[np.float32]:
        """Rows [N, A] to mean 0 and SD 1, held within ±4 SD; NaN stays NaN."""
        standard: NDArray[np.float64] = (rows - np.array(self.mean)) / np.array(self.sd)
        return standard.clip(-4, 4).astype(np.float32)
