"""What a few labelled studies of a site are worth: `mcsdr.evaluation.adaptation` on phantoms of another kind.

A site is a kind of phantoms that the model has not learnt from: held-out families of appearance, or other people. Its
clips are encoded once. So many of them are chosen at random as labelled, several times over, the read-out is refitted
on them, and others of the site are answered: MAE, CRPS, coverage and width of the 90 % interval, before and after, and
in how many draws nested cross-validation refuses to adapt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.evaluation.adaptation import Figures, Site, fit, gather, nested, scores_and_figures
from mcsdr.evaluation.calibration import refuse_seen
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table
from mcsdr.model import load

MODEL = "phantom-a4c"  # it has learnt from plain phantoms
SITES = ("shifted-val", "shifted-test", "camus")
SIZES = (20, 50, 200)
SEED = 83  # of the sites; no model has learnt from it
HEADER = ("site", "labelled", "MAE", "CRPS", "coverage 90 %", "width", "refused %")


def run(
    *,
    model: str = MODEL,
    sites: Sequence[str] = SITES,
    sizes: Sequence[int] = SIZES,
    test: int = 200,
    draws: int = 10,
    say: Say = print,
) -> Report:
    """Adapt to each site with so many labelled studies, and tabulate.

    Arguments:
        model: a bundled model's name or a folder.
        sites: kinds of phantoms, as `CohortSpec.parse` reads them behind phantom:N:SEED.
        sizes: labelled studies.
        test: other studies of the site to measure on.
        draws: random choices of the labelled studies.
        say: told how far it is.
    """
    estimator, rows = load(model), list[list[Cell]]()
    for name in sites:
        spec = CohortSpec.parse(f"phantom:{max(sizes) + test}:{SEED}:{name}")
        refuse_seen(estimator.card, spec)
        say(f"{name}: {max(sizes) + test} phantoms are rendered and encoded")
        site = gather(estimator, open_cohort(spec))
        held = np.arange(len(site)) >= max(sizes)
        asked = site.select(held)
        rows.append([name, "0, as shipped", *_figures(asked), None])
        for size in sizes:
            rows.append([name, f"{size}", *_after(site, asked, ~held, size, draws)])
    notes = [
        f"{estimator.card.name}, which has learnt from {estimator.card.training_data}. Measured on {test} other "
        f"phantoms of each site; means over {draws} random choices of the labelled studies. Readings have an SD of 4 "
        "points, so that no MAE lies below 3.2.",
        "Refused: choices in which nested cross-validation finds no gain above its standard error; they count as "
        "adapted here.",
    ]
    about = {"model": estimator.card.name, "sha256": estimator.sha256, "seed": SEED, "test": test, "draws": draws}
    return Report("adaptation", [Table("Adapted to a site", HEADER, rows, notes, digits=2)], about)


def _after(site: Site, asked: Site, free: np.ndarray, size: int, draws: int) -> list[Cell]:
    """Mean figures over the draws, and how many of them would have been refused, in per cent."""
    pool, found, refused = np.flatnonzero(free), list[Figures](), 0
    for draw in range(draws):
        chosen = np.zeros(len(site), dtype=bool)
        chosen[np.random.default_rng([SEED, size, draw]).choice(pool, size, replace=False)] = True
        labelled = site.select(chosen)
        gain, error = nested(labelled)[2:]
        refused += gain <= error
        found.append(_figures(fit(labelled).apply(asked)))
    means = np.array(found).mean(axis=0)
    return [*(float(mean) for mean in means), 100 * refused / draws]


def _figures(site: Site) -> Figures:
    return scores_and_figures([site.studies], [site.labels])[1]
