"""Attributes as numbers: natural units to a row of floats, NaN where unknown, standardised by training statistics.

Sex becomes −1 (F) or +1 (M). The statistics are fitted once, on the training split, and travel with the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from mcsdr.study import Attributes, Notice

SEX = {"F": -1.0, "M": 1.0}


def attribute_row(attributes: Attributes, names: Sequence[str]) -> list[float]:
    """The named attributes in natural units, NaN where unknown."""
    values = attributes.known()
    row = []
    for name in names:
        value = values.get(name, float("nan"))
        row.append(SEX[value] if isinstance(value, str) else float(value))
    return row


HELD = 4.0  # SDs from the mean: beyond it a value is called unseen where the ends of what was seen were not kept
UNITS = {"age_years": ("age", "years"), "weight_kg": ("weight", "kg"), "height_cm": ("height", "cm")}


class AttributeStatistics(BaseModel):
    """Mean and SD of each attribute over the training split, and the least and the greatest, where they were kept.

    Arguments:
        limit_sd: what lies further from the mean, in SDs, is taken as if it lay there; None holds nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    names: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    limit_sd: float | None = 4.0
    least: tuple[float, ...] = ()
    greatest: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if not len(self.names) == len(self.mean) == len(self.sd) or any(sd <= 0 for sd in self.sd):
            raise ValueError("every attribute has one mean and one SD above 0")
        return self

    @classmethod
    def fit(cls, names: Sequence[str], rows: NDArray[np.float64], limit_sd: float | None = 4.0) -> AttributeStatistics:
        """From rows [N, A] with NaN where unknown; an attribute that nobody has gets mean 0 and SD 1."""
        known = ~np.isnan(rows)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, rows, 0).sum(0) / count
        sd = np.sqrt(np.where(known, (rows - mean) ** 2, 0).sum(0) / count)
        sd = np.where(sd > 0, sd, 1.0)
        least = np.where(known.any(0), np.where(known, rows, np.inf).min(0, initial=np.inf), mean)
        greatest = np.where(known.any(0), np.where(known, rows, -np.inf).max(0, initial=-np.inf), mean)
        ends = {"least": tuple(least.tolist()), "greatest": tuple(greatest.tolist())}
        return cls(names=tuple(names), mean=tuple(mean.tolist()), sd=tuple(sd.tolist()), limit_sd=limit_sd, **ends)

    def seen(self, name: str) -> tuple[float, float]:
        """The least and the greatest value that the model has learnt from; HELD SDs either way where not kept."""
        at = self.names.index(name)
        if self.least:
            return self.least[at], self.greatest[at]
        return self.mean[at] - HELD * self.sd[at], self.mean[at] + HELD * self.sd[at]

    def unseen(self, attributes: Attributes) -> Iterator[Notice]:
        """A notice for each attribute outside what the model has learnt from, or beyond which it takes all for one."""
        values = attributes.known()
        for name, (word, unit) in UNITS.items():
            value = values.get(name)
            if name not in self.names or not isinstance(value, int | float):
                continue
            low, high = self._told_apart(name)
            if not low <= value <= high:
                text = (
                    f"The {word} of {value:g} {unit} lies outside what this model has learnt from, {low:.0f} to "
                    f"{high:.0f} {unit}."
                )
                yield Notice("attribute-outside-training", text)

    def _told_apart(self, name: str) -> tuple[float, float]:
        """What `seen` is, as far as values are not held: beyond, two patients are one to the model."""
        (low, high), at = self.seen(name), self.names.index(name)
        if self.limit_sd is None:
            return low, high
        reach = self.limit_sd * self.sd[at]
        return max(low, self.mean[at] - reach), min(high, self.mean[at] + reach)

    def standardise(self, rows: NDArray[np.float64]) -> NDArray[np.float32]:
        """Rows [N, A] to mean 0 and SD 1, held within ±limit_sd; NaN stays NaN."""
        standard: NDArray[np.float64] = (rows - np.array(self.mean)) / np.array(self.sd)
        held = standard if self.limit_sd is None else standard.clip(-self.limit_sd, self.limit_sd)
        return held.astype(np.float32)
