"""What a model is worth: a cohort asked, measured and compared; and what is fitted on its answers.

    run             a cohort goes in, a table comes out
    measures        what is measured;  comparison: models side by side;  reproduction: the paper's experiment
    asking          every study under every pattern of what may be known
    calibration     fits what posteriors are recalibrated by;  gating: which clips are refused
    evidence/       what `mcsdr benchmark` measures: known posteriors, rivals, realism, robustness, refusals

A new measure is one line of `measures`, from one function in `mcsdr.metrics`.
"""

from mcsdr.evaluation.run import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
