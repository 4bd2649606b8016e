"""What a model says of one study: the posterior, and all that must be said with it or in its place.

    study --encode--> Encoded --conclude--> Answer          (the first half in encoding.py)

This is the only such path. `model(study)` takes it, and so do the command line, the batch, the service and the DICOM
node, which is why they give the same numbers and abstain for the same reasons. Of a clip that is longer than one window
all beats are read. Attributes may change after `encode`, and nothing is encoded again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast, overload

from mcsdr.abstention import gates
from mcsdr.abstention.gates import Abstention
from mcsdr.clips import store
from mcsdr.clips.outline import CavityOutline
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import Abstained
from mcsdr.model.encoding import Encoded
from mcsdr.model.outline import outline_of
from mcsdr.model.record import record_of, row_of
from mcsdr.posterior import Posterior
from mcsdr.posterior.categories import percent
from mcsdr.posterior.deconvolution import heart_of
from mcsdr.posterior.modes import Mode
from mcsdr.posterior.population import Population, reweighted
from mcsdr.posterior.questions import Several
from mcsdr.posterior.table import Array
from mcsdr.study import Attributes, Notice, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mcsdr.model.model import Model


@dataclass(frozen=True)
class BeatAnswer:
    """What one beat alone says: when it starts, in seconds after the clip's first frame, and its posterior."""

    start_s: float
    posterior: Posterior


@dataclass(frozen=True, repr=False)
class Answer:
    """The answer to one study; it is asked as a `Posterior` is.

    Where the model abstains and nobody insisted, every question about the ejection fraction raises `Abstained`.

    Attributes:
        study: what was asked about.
        belief: the posterior, also where the model abstains; `posterior` is the one to rely on.
        model: what answered.
        sampler: how the posterior was sampled.
        notices: what the reader of the answer must know.
        seconds: how long it took: "encode", "sample" and, where files were read, "read".
        abstained: why the posterior should not be relied on, where it should not.
        anyway: whether the posterior is asked for all the same.
        beats: what each beat of a longer clip says by itself; empty where one window was read.
        threshold: the ejection fraction in per cent that was named, if any.
        failed: the code of every check that failed, in order; the first is that of `abstained`.
        look_spread: by how much looks at the clip (mirrored, last frame first) disagree, EF points; NaN of one look.
        prior: the population that the belief is told for, where one was stated in place of the training's.
        analysed_at: when it was concluded, in UTC.
        label: of the user's own, to stand in reports.
        outlined: of each clip where the model sees the cavity, where its frames are not in `study` to be asked.
    """

    study: Study
    belief: Posterior
    model: Model
    sampler: SamplerSettings
    notices: tuple[Notice, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    abstained: Abstention | None = None
    anyway: bool = False
    beats: tuple[BeatAnswer, ...] = ()
    threshold: float | None = None
    failed: tuple[str, ...] = ()
    look_spread: float = math.nan
    prior: Population | None = None
    analysed_at: datetime | None = None
    label: str = ""
    outlined: tuple[CavityOutline, ...] | None = None

    @property
    def path(self) -> str:
        """What the answer is of: the file that was read, else the study's name."""
        return self.study.file or self.study.study_id

    @property
    def input_sha256(self) -> str | None:
        """Of the file that was read; None where the study came from no file."""
        return self.study.input_sha256

    @property
    def withheld(self) -> bool:
        """Whether the posterior stays inside."""
        return self.abstained is not None and not self.anyway

    @property
    def posterior(self) -> Posterior:
        """The posterior of EF.

        Raises:
            Abstained: the model abstains, and nobody insisted.
        """
        if self.abstained is not None and not self.anyway:
            why = self.abstained
            step = f"{why.next_step} To see the posterior all the same, ask with anyway=True."
            raise Abstained(why.code, why.reason, path=self.path or None, next_step=step)
        return self.belief

    # --- asked as a posterior ----------------------------------------------------------------------------------------

    @property
    def median(self) -> float:
        """The median of EF in %."""
        return float(self.posterior.median)

    @property
    def mean(self) -> float:
        """The mean of EF in %."""
        return float(self.posterior.mean)

    @property
    def sd(self) -> float:
        """The standard deviation of EF in points."""
        return float(self.posterior.sd)

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """The central interval (lower, upper) in EF % that holds `level` of the probability."""
        low, high = self.posterior.interval(level)
        return float(low), float(high)

    @overload
    def quantile(self, q: float) -> float: ...
    @overload
    def quantile(self, q: Several) -> Array: ...
    def quantile(self, q: float | Several) -> float | Array:
        """`Posterior.quantile`."""
        return self.posterior.quantile(q)

    @overload
    def cdf(self, y: float) -> float: ...
    @overload
    def cdf(self, y: Several) -> Array: ...
    def cdf(self, y: float | Several) -> float | Array:
        """`Posterior.cdf`."""
        return self.posterior.cdf(y)

    @overload
    def prob_below(self, c: float) -> float: ...
    @overload
    def prob_below(self, c: Several) -> Array: ...
    def prob_below(self, c: float | Several) -> float | Array:
        """`Posterior.prob_below`."""
        return self.posterior.prob_below(c)

    def prob_between(self, lower: float, upper: float) -> float:
        """`Posterior.prob_between`."""
        return float(self.posterior.prob_between(lower, upper))

    @overload
    def density(self, grid: float) -> float: ...
    @overload
    def density(self, grid: Several) -> Array: ...
    def density(self, grid: float | Several) -> float | Array:
        """`Posterior.density`."""
        return self.posterior.density(grid)

    def modes(self, min_separation: float = 8.0, min_mass: float = 0.2) -> list[Mode]:
        """`Posterior.modes`."""
        return cast("list[Mode]", self.posterior.modes(min_separation, min_mass))

    def sample(self, n: int, seed: int = 0) -> Array:
        """`Posterior.sample`."""
        return self.posterior.sample(n, seed)

    def plot(self, ax: Axes | None = None) -> Axes:
        """`Posterior.plot`, with the threshold that was named."""
        return self.posterior.plot(ax, threshold=self.threshold)

    @cached_property
    def heart(self) -> Posterior | None:
        """The posterior of the heart's own EF, a reader's error taken out (`mcsdr.posterior.deconvolution`).

        None where the readers' SD is not known, the posterior is one of random draws, or it is withheld.
        """
        sd = self.model.card.readers_sd
        return None if sd is None or self.belief.draws or self.withheld else heart_of(self.belief, sd)

    @cached_property
    def outlines(self) -> tuple[CavityOutline, ...]:
        """Of each clip where the model sees the cavity, for people to look at; worked out when first asked for.

        Empty of a model that does not tell, and where no heart that it knows was seen.
        """
        if gates.NO_HEART.intersection(self.failed):
            return ()
        if self.outlined is not None or self.model.outline is None:
            return self.outlined or ()
        found = (outline_of(clip, store(clip, self.model.clip), self.model) for clip in self.study.clips)
        return tuple(outline for outline in found if outline is not None)

    # --- told --------------------------------------------------------------------------------------------------------

    def record(self) -> dict[str, Any]:
        """The answer as plain data, the same for every consumer; see `mcsdr.model.record`."""
        return record_of(self)

    def to_dict(self) -> dict[str, Any]:
        """The same as `record`."""
        return self.record()

    def row(self) -> dict[str, Any]:
        """The answer as one row of a table, of plain values under fixed names."""
        return row_of(self.record())

    def __repr__(self) -> str:
        name = f"{self.path}: " if self.path else ""
        if self.abstained is not None and not self.anyway:
            return f"Answer({name}none [{self.abstained.code}] {self.abstained.reason})"
        low, high = self.interval(0.9)
        marked = f", although it abstains [{self.abstained.code}]" if self.abstained else ""
        return f"Answer({name}EF {self.median:.0f} %, 90 % {low:.0f}–{high:.0f}{marked})"

    def _repr_html_(self) -> str:
        from mcsdr.report.notebook import answer_html

        return answer_html(self)


class Answers(tuple[Answer, ...]):
    """Several answers in their order, and failures among them where files were read.

    >>> Answers([]).table()
    []
    """

    __slots__ = ()

    def table(self) -> list[dict[str, Any]]:
        """One row of plain values each, of the same columns: `pandas.DataFrame(answers.table())`, or polars'."""
        return [answer.row() for answer in self]

    def __repr__(self) -> str:
        return f"Answers({', '.join(map(repr, self))})"

    def _repr_html_(self) -> str:
        from mcsdr.report.notebook import answers_html

        return answers_html(self)


def conclude(
    encoded: Encoded,
    model: Model,
    sampler: SamplerSettings | None = None,
    *,
    attributes: Attributes | None = None,
    threshold: float | None = None,
    anyway: bool = False,
    prior: Population | None = None,
    label: str = "",
) -> Answer:
    """From tokens to an answer.

    Arguments:
        sampler: another way of sampling than the model's own.
        attributes: in place of the study's own.
        threshold: an EF in per cent; abstain where the posterior does not tell on which side of it EF lies.
        anyway: give the posterior also where the model abstains; it is marked.
        prior: the population that the study comes from, in place of that which the model learnt from.
        label: of the user's own, to stand in reports.

    Raises:
        InvalidConfig: the threshold is no ejection fraction, or a population is stated for random draws.
        InvalidModel: a population is stated, and that which the model learnt from is not known.
    """
    gates.checked_threshold(threshold)
    study = encoded.study if attributes is None else replace(encoded.study, attributes=attributes)
    started = time.perf_counter()
    found = model.beliefs(encoded.video, model.attribute_rows([study]), sampler)
    belief, each = _as_in(prior, found.studies, model)[0], _as_in(prior, found.windows, model)
    seconds = {"encode": encoded.seconds, "sample": time.perf_counter() - started}
    spread = float(found.spread[0])
    why = list(
        gates.fired(
            study,
            belief,
            features=None if model.familiarity is None else model.features(encoded.video),
            familiarity=model.familiarity,
            adults_only=model.card.adults_only,
            threshold=threshold,
            pictures=encoded.against,
            spread=spread,
            spread_limit=None if model.look_spread is None else model.look_spread.limit,
        )
    )
    stated = _stated(prior, model)
    return Answer(
        study,
        belief,
        model,
        sampler or model.sampler,
        (*_notices(study, why, anyway, belief), *model.statistics.unseen(study.attributes), *stated),
        seconds,
        abstained=why[0] if why else None,
        anyway=anyway,
        beats=tuple(BeatAnswer(start, each[g]) for g, start in enumerate(encoded.starts_s) if start is not None),
        threshold=threshold,
        failed=tuple(dict.fromkeys(gate.code for gate in why)),
        look_spread=spread,
        prior=prior,
        analysed_at=datetime.now(UTC).replace(microsecond=0),
        label=label,
        outlined=encoded.outlines,
    )


def _as_in(prior: Population | None, posterior: Posterior, model: Model) -> Posterior:
    """The posteriors as they are in a stated population."""
    if prior is None:
        return posterior
    return reweighted(posterior, prior, model.population, model.card.readers_sd or 0.0)


def _stated(prior: Population | None, model: Model) -> Iterator[Notice]:
    """That the belief is told for another population than the model has learnt from."""
    if prior is not None:
        text = (
            f"Told for the population {prior.name!r}, where {percent(prior.prob_at_most(40))} have a reported EF of at "
            f"most 40 %, in place of the model's own ({percent(model.population.prob_at_most(40))})."
        )
        yield Notice("stated-population", text)


def _notices(study: Study, why: Sequence[Abstention], anyway: bool, posterior: Posterior) -> Iterator[Notice]:
    """The study's own, no video, draws that left the range, and what speaks against what is answered all the same."""
    yield from study.all_notices
    if not study.clips:
        yield Notice("no-video", "No clip was read: this is what is believed from the attributes alone.")
    if posterior.outside:
        text = (
            f"{100 * posterior.outside:.0f} % of the draws are not above 0 and below 100 %; their mean counts them all."
        )
        yield Notice("draws-outside", text)
    if anyway:
        known = {notice.code for notice in study.all_notices}
        yield from (Notice(gate.code, gate.reason) for gate in why if gate.code not in known)
