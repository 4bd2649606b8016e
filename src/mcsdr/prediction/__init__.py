"""From files to answers, the only such path.

answers    one by one, in order; one bad file never costs another its answer
batch      thousands into one table, which goes on where it was stopped
rows       an answer as the cells of a table
"""

from mcsdr.prediction.answers import (
    BELIEFS,
    LEVELS,
    LOWER_LIMIT,
    BeatAnswer,
    Encoded,
    Failure,
    Prediction,
    answer,
    answer_file,
    conclude,
    encode,
    input_sha256,
    predict,
    provenance,
)

__all__ = [
    "BELIEFS",
    "LEVELS",
    "LOWER_LIMIT",
    "BeatAnswer",
    "Encoded",
    "Failure",
    "Prediction",
    "answer",
    "answer_file",
    "conclude",
    "encode",
    "input_sha256",
    "predict",
    "provenance",
]
