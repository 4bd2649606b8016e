"""The estimator: a study goes in, an answer comes out.

    model           Model: a network with what its training fixed
    answer          what it says of a study: the posterior, or why there is none; the only path to it
    encoding        a study's windows as the network's tokens
    flow            from tokens and attributes to the sampler's states
    record          an answer as plain data, and as a row of a table
    video_tokens    encoded clips, kept while attributes change
    card            what a model is, in words
    storage         a model on disk

Whatever has to do with when not to answer lives in `mcsdr.abstention`; networks live in `mcsdr.nn`.
"""

from mcsdr.model.answer import Answer, Answers, BeatAnswer, conclude
from mcsdr.model.card import Card
from mcsdr.model.encoding import Encoded, encode
from mcsdr.model.flow import Flow
from mcsdr.model.model import Model
from mcsdr.model.storage import find, load
from mcsdr.model.video_tokens import VideoTokens

__all__ = [
    "Answer",
    "Answers",
    "BeatAnswer",
    "Card",
    "Encoded",
    "Flow",
    "Model",
    "VideoTokens",
    "conclude",
    "encode",
    "find",
    "load",
]
