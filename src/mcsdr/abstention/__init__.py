"""When not to answer: `gates` asks of a clip and its posterior, `familiarity` of the encoder's tokens.

To add a reason to abstain, let one function of `gates` yield one more `Abstention` at its place in the order. What a
model refuses by its looks is learnt by `mcsdr gate` (`mcsdr.evaluation.gating`).
"""

from mcsdr.abstention.gates import Abstention, checked_threshold, fired

__all__ = ["Abstention", "checked_threshold", "fired"]
