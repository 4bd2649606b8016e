"""What a model is, in words and figures; printed wherever the model is named."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

import mcsdr


class Card(BaseModel):
    """A model's name, what it has learnt from, and what was measured of it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    training_data: str
    synthetic: bool  # trained on phantoms only: said wherever its output appears
    adults_only: bool = True
    config: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    calibration: str = ""  # on what its posteriors were recalibrated; empty where they were not
    calibration_synthetic: bool = False
    changes: list[dict[str, Any]] = []  # of settings while it was trained: from which step, and each before and after

    @property
    def notice(self) -> str:
        """The sentence that goes with every output."""
        origin = "Trained on synthetic phantoms only, on no patient. " if self.synthetic else ""
        calibrated = "Recalibrated on synthetic phantoms. " if self.calibration_synthetic else ""
        return origin + calibrated + mcsdr.DISCLAIMER
