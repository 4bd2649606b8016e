"""What people see of an answer: a page (`html`), sheets to file (`pdf`), figures (`figures`), a summary (`terminal`).

All of them say the same words, which stand here once. A belief is shown as a headline, as 50 dots and as probabilities
with their inequality, never as a bare mean; dots, categories and colours are the posterior's own
(`mcsdr.posterior.dots`, `mcsdr.posterior.categories`).

A report takes anything shaped like an `Answer` or a `Refusal`; it knows nothing of how the two came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mcsdr import DISCLAIMER
from mcsdr.clips.outline import CavityOutline
from mcsdr.errors import McsdrError
from mcsdr.posterior import Posterior
from mcsdr.posterior.categories import band_percents
from mcsdr.study import Study

Array = NDArray[np.float64]

LIMIT_SOURCE = "ASE/EACVI 2015"
CATEGORY_SOURCE = "ESC 2021"
HOW_TO_READ = (
    "P(EF ≤ 40 %) = 30 % means: of 100 such clips in the population that the model was calibrated on, 30 had a "
    "reported EF of at most 40 %. Reported EF is itself uncertain: two readers of the same clip commonly differ by "
    "6 to 7 points, and the 90 % interval is that of a report."
)


@runtime_checkable
class Answer(Protocol):
    """What a report takes of an answered input."""

    @property
    def path(self) -> str: ...
    @property
    def study(self) -> Study: ...
    @property
    def belief(self) -> Posterior: ...
    @property
    def seconds(self) -> Mapping[str, float]: ...
    @property
    def outlines(self) -> Sequence[CavityOutline]: ...
    def record(self) -> dict[str, Any]: ...


class Refusal(Protocol):
    """What a report takes of an input that could not be answered."""

    @property
    def path(self) -> str: ...
    @property
    def error(self) -> McsdrError: ...
    @property
    def input_sha256(self) -> str | None: ...
    def record(self) -> dict[str, Any]: ...


class Band(NamedTuple):
    """One band of a society, from `low` to `high` in EF %; its inequality says which ends belong to it."""

    name: str
    inequality: str
    low: float
    high: float


# Lang et al., J Am Soc Echocardiogr 28:1 (2015), by sex; Harkness et al., Echo Res Pract 7:G1 (2020); their whole
# numbers as `mcsdr.posterior.categories` cuts them.
SOCIETIES: dict[str, dict[str | None, tuple[Band, ...]]] = {
    LIMIT_SOURCE: {
        sex: (
            Band("severely reduced", "EF ≤ 30 %", 0, 30),
            Band("moderately reduced", "30 < EF ≤ 40 %", 30, 40),
            Band("mildly reduced", f"40 < EF < {normal} %", 40, normal),
            Band("normal", f"EF ≥ {normal} %", normal, 100),
        )
        for sex, normal in (("M", 52), ("F", 54))
    },
    "BSE 2020": {
        None: (
            Band("severely impaired", "EF ≤ 35 %", 0, 35),
            Band("impaired", "35 < EF < 50 %", 35, 50),
            Band("borderline low", "50 ≤ EF < 55 %", 50, 55),
            Band("normal", "EF ≥ 55 %", 55, 100),
        )
    },
}


CUT_NOTE = "EF is continuous: ≤ and < give the same probability."


def bands_of(society: str, sex: str | None) -> tuple[Band, ...]:
    """The bands of a society for a sex; empty where they depend on a sex that is unknown."""
    of_sex = SOCIETIES[society]
    return of_sex.get(None) or of_sex.get(sex) or ()


def band_shares(posterior: Posterior, society: str, sex: str | None) -> list[tuple[Band, str]]:
    """The bands of a society, each with its probability in whole per cent; they sum to 100."""
    bands = bands_of(society, sex)
    shares = band_percents([float(posterior.cdf(band.high)) for band in bands[:-1]]) if bands else []
    return list(zip(bands, shares, strict=True))


# --- words -----------------------------------------------------------------------------------------------------------


def headline(record: Mapping[str, Any]) -> str:
    """The answer in one or two sentences."""
    low, high = record["interval_90"]
    belief = f"with a probability of 90 % a reader would report {low:.0f} to {high:.0f} %."
    two_peaked = [sentence for code, sentence in _said(record) if code == "two-peaked"]
    if two_peaked:
        return f"{two_peaked[0]} {belief[0].upper()}{belief[1:]}"
    if _is_of_draws(record):
        return f"The plain mean of the draws is EF {record['mean']:.0f} %, and {belief}"
    return f"The median reading is EF {record['median']:.0f} %, and {belief}"


def _is_of_draws(record: Mapping[str, Any]) -> bool:
    """Whether iid draws answered, of which the plain mean is told, as the MCSDR paper does."""
    return (record.get("sampler") or {}).get("point") == "mean"


def heart_line(record: Mapping[str, Any]) -> str | None:
    """The interval of the heart's own EF in one sentence; None where the readers' error is not known."""
    heart = record.get("heart")
    if not heart:
        return None
    low, high = heart["interval_90"]
    return (
        f"The heart's own EF lies, with a probability of 90 %, between {low:.0f} and {high:.0f} %: a reader's error of "
        f"SD {heart['reader_sd']:g} is taken out."
    )


def looks_line(record: Mapping[str, Any]) -> str | None:
    """By how much looks at the clip disagree, in one sentence; None where there was one."""
    spread, rank = record.get("look_spread"), record.get("look_spread_percentile")
    if spread is None:
        return None
    said = f"Read also in a mirror and last frame first, the clip's readings differ by {spread:.1f} points (SD)"
    if rank is None:
        return f"{said}; how usual that is was not measured."
    return f"{said}; less in {rank:.0f} of 100 clips that the model should answer."


def analysed(record: Mapping[str, Any]) -> str:
    """When the answer was made."""
    return str(record.get("analysed") or "at a time that was not recorded").replace("T", " ").replace("Z", " UTC")


def analysed_line(record: Mapping[str, Any]) -> str:
    """When the answer was made, and the label that it was given."""
    label = record.get("label")
    return f"Analysed {analysed(record)}" + (f"; label: {printable(label)}" if label else "")


READER_LINES = ("Reader's own EF, %", "Name", "Signature", "Date")  # to be filled in by hand


def is_two_peaked(record: Mapping[str, Any]) -> bool:
    """Whether two readings fit, so that neither the median nor the mean stands for the belief."""
    return any(code == "two-peaked" for code, _ in _said(record))


def _said(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Code and sentence of the abstention, if any, and of the notices."""
    why = record["abstained"]
    first = [] if why is None else [(why["code"], why["reason"])]
    return first + [(notice["code"], notice["text"]) for notice in record["notices"]]


def is_withheld(record: Mapping[str, Any]) -> bool:
    """Whether the model abstained and nobody asked for its belief all the same."""
    return record["abstained"] is not None and record["median"] is None


def insisted(record: Mapping[str, Any]) -> str | None:
    """What stands above a belief that is shown although the model abstained; None for an ordinary answer."""
    why = record["abstained"]
    if why is None or record["median"] is None:
        return None
    return f"Shown because it was asked for; do not rely on it. {why['reason']} {why['next_step']} [{why['code']}]"


def beats_line(record: Mapping[str, Any]) -> str | None:
    """The beats of a longer clip in one sentence; None where one window was read."""
    beats = record["beats"]
    if not beats:
        return None
    medians = [beat["median"] for beat in beats]
    if len(medians) == 1:
        return f"One beat was read; its median is {medians[0]:.0f} %."
    ends = f"{min(medians):.0f} to {max(medians):.0f} %"
    return f"{len(medians)} beats were read; their medians are {ends}, SD {record['beat_spread']:.1f} points."


def reading(record: Mapping[str, Any]) -> str:
    """The median in EF %, of iid draws their plain mean, or the peaks where two readings fit."""
    if is_two_peaked(record):
        return " or ".join(f"{mode['ef']:.0f}" for mode in record["modes"])
    return f"{record['mean' if _is_of_draws(record) else 'median']:.0f}"


def further_notices(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """The notices that the headline does not already say."""
    return [notice for notice in record["notices"] if notice["code"] != "two-peaked"]


class Threshold(NamedTuple):
    """One cut-point: its inequality, what it means, and the probability, None where the sex is unknown."""

    inequality: str
    meaning: str
    probability: float | None


def thresholds(prob: Mapping[str, float], sex: str | None) -> list[Threshold]:
    """P(EF ≤ 30), P(EF ≤ 35) and P(EF below the limit of normal)."""
    rows = [
        Threshold("EF ≤ 30 %", "severely reduced", prob["<=30"]),
        Threshold("EF ≤ 35 %", "device-therapy cut-point", prob["<=35"]),
    ]
    normal = f"lower limit of normal, {LIMIT_SOURCE}"
    key = next((key for key in prob if key.startswith("<") and key not in ("<=30", "<=35", "<=40", "<50")), None)
    if key is None:
        return [*rows, Threshold("EF < limit", f"{normal}: sex unknown", None)]
    who = {"F": "women", "M": "men"}.get(sex or "", "this sex")
    return [*rows, Threshold(f"EF < {key[1:]} %", f"{normal}, {who}", prob[key])]


def disclaimers(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What must stand with the answers, each sentence set once; also where there is no answer."""
    return list(dict.fromkeys(record.get("disclaimer") or DISCLAIMER for record in records)) or [DISCLAIMER]


def display_names(paths: Sequence[str]) -> list[str]:
    """File names without their folders, which may name people; the folder's name only where two would be alike, and a
    number behind those that still are.

    What cannot be printed, such as a terminal's commands or a turn of the writing direction, becomes "\ufffd".
    """
    names = [PurePath(path).name or path for path in paths]
    told_apart = [
        name if names.count(name) == 1 else "/".join(PurePath(path).parts[-2:])
        for name, path in zip(names, paths, strict=True)
    ]
    alike = [name for name in dict.fromkeys(told_apart) if told_apart.count(name) > 1]
    numbered = [
        f"{name} ({told_apart[: place + 1].count(name)})" if name in alike else name
        for place, name in enumerate(told_apart)
    ]
    return [printable(name) for name in numbered]


def printable(text: str) -> str:
    """The text on one line, each character that cannot be printed replaced by "\ufffd"."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
