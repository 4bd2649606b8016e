"""`mcsdr benchmark`: what this project claims, measured again; one small file per benchmark.

A size that is not given is the benchmark's own, so that the plain command repeats the published tables.
"""

from __future__ import annotations

from cyclopts import App

benchmark = App(name="benchmark")
COMMANDS = {
    "posterior": "Posteriors that are known: closed-form ones through every sampler, and phantoms that hide something.",
    "heads": "Ours against every head that a reviewer will ask for, on the same tokens of SYNTHETIC phantoms.",
    "uci": "Real tables, no video: the UCI regression suite with its standard splits, against published figures.",
    "missing": "Missing modalities on SYNTHETIC phantoms: all 32 subsets, at random, shuffled, against what is known.",
    "realism": "SYNTHETIC phantoms held against real pictures: where each measure of a real clip falls among theirs.",
    "robustness": "echo-C: 14 corruptions at 5 severities, and changes that must not change the answer.",
    "scale": "How many phantoms are enough: the same number of steps on cohorts of growing size, SYNTHETIC.",
    "refusals": "What a model refuses: SYNTHETIC impostors, which it should, and phantoms that it should answer.",
}
for command, summary in COMMANDS.items():
    benchmark.command(f"mcsdr.cli.benchmark.{command}:{command}", name=command, help=summary)
