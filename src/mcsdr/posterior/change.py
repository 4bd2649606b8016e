"""How much ejection fraction changed between two exams of one patient."""

from __future__ import annotations

import numpy as np

from mcsdr.posterior.table import Posterior


def prob_change(before: Posterior, after: Posterior, at_most: float) -> float:
    """P(EF after − EF before ≤ at_most) of two exams of one patient, `at_most` in EF points, −10 for a fall of ten.

    The two posteriors are taken as independent, each of one study: ∫ F_after(y + at_most) dF_before(y), over 2,000
    equally likely y. What both exams share (a reader's habit, the same prior) makes them less independent than that.
    """
    levels = (np.arange(2000) + 0.5) / 2000
    return float(np.mean(after.cdf(before.quantile(levels) + at_most)))
