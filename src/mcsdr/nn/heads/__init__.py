"""Rival heads behind one interface: condition tokens in, a posterior's quantiles out.

To add one, write a class of the form of `Head` and name it in `HEADS`; a training file with `network.kind = "head"` and
`network.head` set to that name then trains it as any other network.
"""

from __future__ import annotations

from mcsdr.nn.heads.card import PriorMeanDiffusion
from mcsdr.nn.heads.head import Head
from mcsdr.nn.heads.histogram import Histogram
from mcsdr.nn.heads.mixture import MixtureDensity
from mcsdr.nn.heads.parametric import Beta, Gaussian, LogitNormal, PointRegression
from mcsdr.nn.heads.quantile import ImplicitQuantile, QuantileTable
from mcsdr.nn.heads.spline_flow import SplineFlow

HEADS: dict[str, type[Head]] = {
    "mse": PointRegression,
    "gaussian": Gaussian,
    "logit-normal": LogitNormal,
    "beta": Beta,
    "mdn": MixtureDensity,
    "quantiles": QuantileTable,
    "histogram": Histogram,
    "flow": SplineFlow,
    "iqn": ImplicitQuantile,
    "card": PriorMeanDiffusion,
}

__all__ = ["HEADS", "Head"]
