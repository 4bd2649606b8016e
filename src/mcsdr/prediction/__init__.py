"""From files to answers, the only such path.

    answers    one by one, in order; one bad file never costs another its answer
    batch      thousands into one table, which goes on where it was stopped
    priors     a population by its name or from a table
    rows       an answer as the cells of a table

A new way in calls `predict` or `answer_file`; what an answer holds is `mcsdr.model.answer`'s to say.
"""

from mcsdr.prediction.answers import Failure, answer_file, predict

__all__ = ["Failure", "answer_file", "predict"]
