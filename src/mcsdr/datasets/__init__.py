"""Cohorts by name: a description goes in, a sequence of studies comes out.

To add a data set, write one file with a class that yields studies, and name it in `open_cohort`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mcsdr.datasets.echonet_dynamic import EchoNetDynamic
from mcsdr.errors import InvalidCohort, InvalidConfig
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import Study


class CohortSpec(BaseModel):
    """Which studies: phantoms by number and seed, or a folder in a data set's own layout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["phantom", "echonet-dynamic"]
    n: int | None = Field(None, gt=0)
    seed: int | None = Field(None, ge=0)
    root: Path | None = None
    split: Literal["train", "val", "test"] | None = None

    @classmethod
    def parse(cls, text: str, split: str | None = None) -> CohortSpec:
        """From the command line: "phantom:N:SEED" or a folder."""
        if text.startswith("phantom:"):
            try:
                _, n, seed = text.split(":")
                return cls(kind="phantom", n=int(n), seed=int(seed))
            except ValueError as error:
                raise InvalidConfig(f"{text!r} is not phantom:N:SEED.", next_step="Write phantom:1000:7.") from error
        return cls.model_validate({"kind": "echonet-dynamic", "root": text, "split": split})

    def describe(self) -> str:
        """One phrase for a table or a card."""
        if self.kind == "phantom":
            return f"{self.n} synthetic phantoms, seed {self.seed}"
        return f"{self.kind} {self.split or 'all splits'}"


def open_cohort(spec: CohortSpec) -> Sequence[Study]:
    """The studies of a cohort, each read when it is asked for.

    Raises:
        InvalidCohort: the folder is not as its layout says.
        InvalidConfig: the description lacks what its kind needs.
    """
    match spec:
        case CohortSpec(kind="phantom", n=int(n), seed=int(seed)):
            return PhantomCohort(n, seed, split=spec.split)
        case CohortSpec(kind="echonet-dynamic", root=Path() as root):
            return EchoNetDynamic(root, spec.split)
    raise InvalidConfig(f"a {spec.kind} cohort needs {'n and seed' if spec.kind == 'phantom' else 'root'}.")


__all__ = ["CohortSpec", "EchoNetDynamic", "InvalidCohort", "PhantomCohort", "open_cohort"]
