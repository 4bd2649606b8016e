"""How models come to be: settings and a cohort → weights; or other people's weights → a model.

    loop          the training, read top to bottom;  checkpoint: what a killed run goes on from
    log           what a run says of itself;  stopping: how it ends before its end
    settings      every setting, from TOML and the command line
    cache, feed   clips on disk and the batches made of them
    sources       what a run begins with;  selection: the model that it leaves, and by which figures
    objective     the loss;  dense: targets at every pixel and instant
    tokens        an encoder's tokens, kept so that heads can be trained without it
    weights/      checkpoints of other projects

A new loss is one function of `objective`; a new setting one field of `settings`.
"""

from mcsdr.training.log import Silence, Watcher
from mcsdr.training.loop import learning_rate, train
from mcsdr.training.selection import validate
from mcsdr.training.sources import load_caches

__all__ = ["Silence", "Watcher", "learning_rate", "load_caches", "train", "validate"]
