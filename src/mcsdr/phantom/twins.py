"""Twins: pairs of phantoms that differ in the ejection fraction alone, or agree in it alone.

    apart     one heart, one exam, one clip, everything alike but the ejection fraction: whatever the model says of the
              two, the difference comes from how much the ventricle ejects
    alike     one person and one ejection fraction under two hearts, exams and clips: whatever the model says of the two
              should be the same

They are for asking a model, and for losses of one's own: no loss of the package reads that two belong together. What
size and shape followed in the first of the pair (`life`), the second keeps.

    >>> cohort = TwinCohort(PhantomCohort(100, seed=1, appearance="varied"), "apart")
    >>> first, second = cohort[0], cohort[1]        # studies 2k and 2k + 1 are a pair
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import life, people
from mcsdr.phantom.cohort import Person, PhantomCohort, draw_varied_person
from mcsdr.study import Cohort, Study

Kind = Literal["apart", "alike"]
EF_RANGE = (10.0, 78.0)  # of the other twin's ejection fraction, drawn evenly
LEAST = 8.0  # points between the two


def twin(person: Person, ef_percent: float) -> Person:
    """The same person, heart, exam and clips with another ejection fraction.

    End-diastole stays as it is; the base descends as far as it did, where a ventricle that ejects so little can. The
    reader errs by as much as before.
    """
    rows = life.with_ef(person.parameters["descent"], ef_percent / 100)
    pictures = {
        view: replace(picture, parameters=picture.parameters | rows) for view, picture in person.pictures.items()
    }
    error = person.reading_percent - person.true_ef_percent
    return replace(
        person,
        true_ef_percent=ef_percent,
        reading_percent=float(np.clip(ef_percent + error, *people.READER_RANGE)),
        parameters=person.parameters | rows,
        pictures=pictures,
    )


class TwinCohort(Cohort):
    """The phantoms of a varied cohort, each followed by its twin: studies 2k and 2k + 1 are a pair.

    Arguments:
        cohort: the phantoms; a pair shares its patient.
        kind: "apart" in the ejection fraction, or "alike" in it.

    Raises:
        InvalidConfig: the phantoms are plain, or of several families.
    """

    def __init__(self, cohort: PhantomCohort, kind: Kind) -> None:
        if cohort.appearance == "plain" or cohort.appearance == "mixed":
            raise InvalidConfig(f"{cohort.appearance} phantoms have no twins.", next_step="Take varied ones.")
        self.cohort, self.kind, self.appearance = cohort, kind, cohort.appearance

    def __len__(self) -> int:
        return 2 * len(self.cohort)

    def person(self, index: int) -> Person:
        """The phantom of one study."""
        first = self.cohort.person(index // 2)
        if index % 2 == 0:
            return first
        rng = np.random.default_rng([self.cohort.seed, index // 2, *b"twin"])
        if self.kind == "apart":
            return twin(first, _another_ef(rng, first.true_ef_percent))
        seed = int(rng.integers(2**41, 2**42))  # beyond all that hands write
        other = draw_varied_person(
            *(seed, first.index, self.appearance, self.cohort.population),
            ef_percent=first.true_ef_percent,
            attributes=first.attributes,
        )
        return replace(other, reading_percent=first.reading_percent)

    def study(self, index: int) -> Study:
        """One study."""
        return self.batch([index])[0]

    def batch(self, indices: Sequence[int]) -> list[Study]:
        """The studies of the given indices, rendered together."""
        studies = self.cohort.studies([self.person(index) for index in indices])
        return [
            replace(one, study_id=f"{one.study_id}-twin") if index % 2 else one
            for index, one in zip(indices, studies, strict=True)
        ]


def _another_ef(rng: np.random.Generator, ef_percent: float) -> float:
    """Evenly drawn, but at least `LEAST` points from the first."""
    low, high = EF_RANGE
    gap = (max(low, ef_percent - LEAST), min(high, ef_percent + LEAST))
    u = low + rng.random() * (high - low - (gap[1] - gap[0]))
    return float(u if u < gap[0] else u + gap[1] - gap[0])
