"""`mcsdr benchmark`: what this project claims, measured again; one small file per benchmark.

A size that is not given is the benchmark's own, so that the plain command repeats the published tables.
"""

from __future__ import annotations

from cyclopts import App

from mcsdr.cli.benchmark.heads import heads
from mcsdr.cli.benchmark.missing import missing
from mcsdr.cli.benchmark.posterior import posterior
from mcsdr.cli.benchmark.realism import realism
from mcsdr.cli.benchmark.refusals import refusals
from mcsdr.cli.benchmark.robustness import robustness
from mcsdr.cli.benchmark.scale import scale
from mcsdr.cli.benchmark.uci import uci

benchmark = App(name="benchmark")
for command in (posterior, heads, uci, missing, realism, robustness, scale, refusals):
    benchmark.command(command)
