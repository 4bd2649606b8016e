"""`mcsdr benchmark`: what this project claims, measured again; one small file per benchmark.

A size that is not given is the benchmark's own, so that the plain command repeats the published tables.
"""

from __future__ import annotations

from collections.abc import Callable

from cyclopts import App

from mcsdr.cli.benchmark.adaptation import adaptation
from mcsdr.cli.benchmark.features import features
from mcsdr.cli.benchmark.heads import heads
from mcsdr.cli.benchmark.missing import missing
from mcsdr.cli.benchmark.population import population
from mcsdr.cli.benchmark.posterior import posterior
from mcsdr.cli.benchmark.realism import realism
from mcsdr.cli.benchmark.refusals import refusals
from mcsdr.cli.benchmark.robustness import robustness
from mcsdr.cli.benchmark.scale import scale
from mcsdr.cli.benchmark.trajectories import trajectories
from mcsdr.cli.benchmark.uci import uci
from mcsdr.cli.benchmark.worth import worth

EXAMPLES: dict[Callable[..., None], str] = {
    posterior: "posterior --part exactness --quick",
    heads: "heads --rival mdn --quick",
    uci: "uci /data/UCI --dataset yacht",
    missing: "missing --quick",
    realism: "realism --clip clip.dcm --quick",
    robustness: "robustness --quick",
    scale: "scale --quick",
    refusals: "refusals --quick",
    population: "population --quick",
    adaptation: "adaptation --quick",
    worth: "worth --quick",
    features: "features DATA --table bundled=features.csv",
    trajectories: "trajectories --quick",
}

benchmark = App(
    name="benchmark", help="Measure again what this project claims: known posteriors, rivals, real tables, robustness."
)
for command, example in EXAMPLES.items():
    benchmark.command(command, help_epilogue=f"Example: `mcsdr benchmark {example}`")
