"""The estimator: a study goes in, a posterior comes out."""

from mcsdr.model.model import Card, Flow, Model, VideoTokens, find, load

__all__ = ["Card", "Flow", "Model", "VideoTokens", "find", "load"]
