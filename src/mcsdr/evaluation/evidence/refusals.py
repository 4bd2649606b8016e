"""Is what should be refused refused, and nothing else?

Clips of every family of impostors (`mcsdr.phantom.impostors`) and of cohorts that the model is to answer are asked just
as `mcsdr predict` asks them, through all gates of `mcsdr.abstention.gates`. A refusal counts with the code of the first
gate that fired. The bars are those of the clinic: 99 % of what must be refused, at most 2 % of what the model has
learnt to read, called another view and for whatever reason. Two figures are told of impostors: of the families that the
model's gate was fitted on, and of those that neither gate nor encoder has seen, which is what a clip nobody thought
of must expect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mcsdr import DEFAULT_MODEL
from mcsdr.abstention.gates import ANOTHER_VIEW
from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.errors import McsdrError
from mcsdr.evaluation.calibration import marks_of
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table, met
from mcsdr.model import Model, load
from mcsdr.phantom.impostors import FAMILIES, ImpostorCohort
from mcsdr.study import Study, View

OWN = ("phantom:500:71:varied", "phantom:500:72")  # what the model is to answer; no model has learnt from these seeds
SEED = 73  # of the impostors
LEAST_REFUSED, MOST_REFUSED = 0.99, 0.02
EVERYTHING = (*FAMILIES, View.PSAX.value, View.PLAX.value)
NEVER_SHOWN = " (never shown)"
HEADER = ("clips", "asked", "refused %", "by which gates, %")


def run(
    *,
    model: str = DEFAULT_MODEL,
    cohorts: Sequence[str] = OWN,
    each: int = 100,
    seed: int = SEED,
    families: Sequence[str] | None = None,
    say: Say = print,
) -> Report:
    """Ask a model what it should refuse and what it should not.

    Arguments:
        model: a bundled model's name or a folder.
        cohorts: that it is to answer, as `CohortSpec.parse` reads them.
        each: impostors of each family.
        seed: of the impostors.
        families: of impostors, all, held out or not, and the other views unless given.
        say: told how far it is.
    """
    estimator, specs = load(model), [CohortSpec.parse(cohort) for cohort in cohorts]
    own = {spec.describe(): codes(estimator, open_cohort(spec), say, spec.describe()) for spec in specs}
    strange = {
        family: codes(estimator, ImpostorCohort(each, seed, (family,)), say, family)
        for family in ImpostorCohort(0, seed, families or EVERYTHING).families
    }
    shown = {family for family in strange if family in families_shown(estimator)}
    rows = [row(name, found) for name, found in own.items()]
    rows += [row(name if name in shown else f"{name}{NEVER_SHOWN}", found) for name, found in strange.items()]
    met_by: list[list[Cell]] = []
    for name, wanted in (("impostors of families shown", True), ("impostors of families never shown", False)):
        those = [code for family, found in strange.items() if (family in shown) is wanted for code in found]
        if those:
            rows.append(row(f"all {name}", those))
            met_by.append(
                [f"{name}: refused ≥ 99 %", f"{100 * share(those):.1f} %", met(share(those) >= LEAST_REFUSED)]
            )
    met_by += [
        [f"{what} ≤ 2 % of {name}", f"{100 * of:.1f} %", met(of <= MOST_REFUSED)]
        for name, found in own.items()
        for what, of in (("called another view", share_of(ANOTHER_VIEW, found)), ("refused", share(found)))
    ]
    targets = Table("Targets", ("target", "measured", ""), met_by)
    notes = [
        "Gates in the order in which they are asked; a clip counts for the first that fired. Shown: the gate was "
        "fitted on clips of this family, and the encoder may have learnt from some; never shown: neither has seen one."
    ]
    about = {
        "model": estimator.card.name,
        "sha256": estimator.sha256,
        "cohorts": list(cohorts),
        "impostors of each family": each,
        "seed": seed,
    }
    marks = [mark for spec in specs for mark in marks_of(estimator.card, spec)]
    return Report("refusals", [targets, Table("Refused", HEADER, rows, notes, digits=1)], about, marks=marks)


def families_shown(model: Model) -> set[str]:
    """The families that the model's gate was fitted on, as its card has them; none where it has no gate."""
    return set(model.card.figures.get("gate", {}).get("impostors", {}))


def codes(model: Model, cohort: Sequence[Study], say: Say, name: str) -> list[str | None]:
    """Of every study the code of the gate that refuses it, or of the reader's error; None where it is answered."""
    found: list[str | None] = []
    for index in range(len(cohort)):
        try:
            why = model(cohort[index]).abstained
            found.append(why.code if why else None)
        except McsdrError as error:
            found.append(error.code)
    say(f"{name}: {100 * share(found):.1f} % of {len(found)} refused")
    return found


def share(found: Sequence[str | None]) -> float:
    """Refused, of all."""
    return sum(code is not None for code in found) / len(found)


def share_of(code: str, found: Sequence[str | None]) -> float:
    """Refused with this code, of all."""
    return found.count(code) / len(found)


def row(name: str, found: Sequence[str | None]) -> list[Cell]:
    """One row of the table."""
    refused = [code for code in found if code is not None]
    by = ", ".join(f"{code} {100 * n / len(found):.1f}" for code, n in Counter(refused).most_common())
    return [name, len(found), 100 * share(found), by or "–"]
