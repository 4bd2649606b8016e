"""The records that travel through the package: Study, Clip, Attributes, View; and Cohort, many studies.

    records    the frozen records, with units in their names
    clock      the times of frames, freed of a container's rounding
    inline     pictures that stand within a page

A record holds plain arrays and numbers. What is to travel with a clip or a study is one more field here.
"""

from mcsdr.study.clock import CLOCK_S, even_step, even_times
from mcsdr.study.inline import inline_png
from mcsdr.study.records import (
    ADULT_YEARS,
    QUALITIES,
    SEXES,
    Attributes,
    Clip,
    Cohort,
    Crop,
    KnownPosterior,
    Notice,
    Study,
    View,
    sex_letter,
)

__all__ = [
    "ADULT_YEARS",
    "CLOCK_S",
    "QUALITIES",
    "SEXES",
    "Attributes",
    "Clip",
    "Cohort",
    "Crop",
    "KnownPosterior",
    "Notice",
    "Study",
    "View",
    "even_step",
    "even_times",
    "inline_png",
    "sex_letter",
]
