"""Adapt a model to a site: from 20 to 500 labelled studies, its location-scale read-out alone is refitted.

What a site does otherwise (another machine, another way to trace) shifts readings by little, and by what the network
sees of a clip anyway. So nothing is trained: with ℓ = logit(y/100), m the median of the shipped posterior on that scale
and s half its distance between Φ⁻¹(±1), the correction is linear in what the read-out's last layer is given, φ
(standardised over the site, none by less than the median SD; mean over looks and windows),

    Δ(x) = δ₀ + δ·φ(x),      (δ₀, δ) = argmin Σ_i ((ℓ_i − m_i − Δ(x_i))/s_i)² + λ₀ δ₀² + λ ‖δ‖²

a ridge that is shrunk towards the shipped weights, δ = 0. λ is chosen by cross-validation over LAMBDAS, of which the
last leaves only the offset, and to leave all as it is: the most shrunk that is no worse than the best by more than the
standard error of their difference. It is added to the read-out's weights: every posterior
moves by Δ on the scale ℓ, exactly, looks, windows and calibration included. The width is then re-estimated from the
out-of-fold normal scores z of the labels, c² = (PRIOR + Σ z_i²)/(PRIOR + n), and b(x) becomes c·b(x).

Whether it helps is told by nested cross-validation: in each outer fold λ, δ and c come from the other folds alone.
Where the mean gain in CRPS is not above its own standard error over patients, the adaptation is refused.

References: Hoerl and Kennard 1970 (ridge); Varma and Simon 2006, "Bias in error estimation when using cross-validation
for model selection" (why nested).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcsdr.datasets import CohortSpec, is_synthetic
from mcsdr.errors import InvalidConfig, NoGain
from mcsdr.evaluation.asking import encoded, opened
from mcsdr.evaluation.calibration import refuse_seen
from mcsdr.metrics.scores import StudyScores
from mcsdr.model import Model, VideoTokens
from mcsdr.nn.layers import between
from mcsdr.nn.network import PosteriorNetwork
from mcsdr.posterior import Posterior
from mcsdr.posterior.monotone import MonotoneCubic
from mcsdr.posterior.pooling import pooled
from mcsdr.posterior.recalibration import scores_of
from mcsdr.posterior.scale import logit
from mcsdr.study import Study

Array = NDArray[np.float64]

LEAST_PATIENTS = 20
FOLDS = 5
LAMBDAS = (3.0, 10.0, 30.0, 100.0, 300.0, 1e6)
OFFSET_SD = 0.4  # 1/√λ₀: on the scale ℓ, 10 EF points in the middle
PRIOR = 20.0  # studies that speak for the shipped width
WIDTHS = (0.6, 1.8)  # of c
EDGE = 0.5  # EF %: labels are held this far from 0 and 100


@dataclass(frozen=True)
class Site:
    """What a model makes of a site's clips, one row a clip.

    Attributes:
        clips: posteriors, recalibrated, [C].
        centre: a of the location-scale head, mean over looks and windows, [C].
        hidden: what the read-out's last layer is given, likewise, [C, H].
        ef: the study's reported EF in %, [C].
        owner: of which study, ascending from 0, [C]; patients: whose, [C].
    """

    clips: Posterior
    centre: Array
    hidden: Array
    ef: Array
    owner: NDArray[np.int64]
    patients: NDArray[Any]

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.ef)

    def select(self, rows: NDArray[np.bool_]) -> Site:
        """The clips of these rows; of a study all or none."""
        at = np.flatnonzero(rows)
        owner = np.unique(self.owner[at], return_inverse=True)[1].astype(np.int64)
        parts = (self.centre[at], self.hidden[at], self.ef[at], owner, self.patients[at])
        return Site(self.clips[at], *parts)

    @property
    def labels(self) -> Array:
        """Of each study, [B]."""
        return np.asarray(self.ef[np.unique(self.owner, return_index=True)[1]])

    @property
    def studies(self) -> Posterior:
        """The posterior of each study, [B]."""
        return pooled(self.clips, self.owner)


@dataclass(frozen=True)
class Correction:
    """δ₀, δ, and c of a site, with the μ and SD that φ was standardised by."""

    offset: float
    weights: Array  # [H]
    mean: Array
    sd: Array
    width: float
    ridge: float  # λ; infinite where the shipped read-out is left as it is

    def shift(self, site: Site) -> Array:
        """Δ on the scale ℓ, [C]."""
        return np.asarray(self.offset + (site.hidden - self.mean) / self.sd @ self.weights)

    def apply(self, site: Site) -> Site:
        """The same clips as the adapted model answers them."""
        centre = site.centre + self.shift(site)
        latent = centre[:, None] + self.width * (site.clips.latent - site.centre[:, None])
        return replace(site, clips=replace(site.clips, latent=latent, trajectories=None), centre=centre)


class Figures(NamedTuple):
    """Of a site's studies: MAE of the median and CRPS in EF points, coverage and width of the 90 % interval."""

    mae: float
    crps: float
    coverage: float
    width: float


@dataclass(frozen=True)
class Adapted:
    """An adapted model, and what nested cross-validation makes of it.

    Attributes:
        before, after: of the same studies, none answered by what was fitted on its patient.
        gain, gain_error: in CRPS, mean over patients and its standard error, EF points.
        correction: what was fitted on all.
        studies, patients: how many.
    """

    model: Model
    before: Figures
    after: Figures
    gain: float
    gain_error: float
    correction: Correction
    studies: int
    patients: int
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def adapt(
    model: Model,
    data: CohortSpec | Sequence[Study],
    *,
    cohort_name: str = "a site's own studies",
    synthetic: bool = False,
    seed: int = 0,
    batch: int = 16,
    max_bad: float = 0.02,
    advance: Callable[[int], None] = lambda done: None,
) -> Adapted:
    """Refit a model's read-out on a site's labelled studies.

    Arguments:
        model: one of this package's own networks.
        data: studies with `ef_percent`, or the description of a cohort, held against what the model has seen.
        cohort_name, synthetic: of studies, what to call them and whether they are phantoms.
        seed: of the folds.
        batch, max_bad, advance: as for `mcsdr.evaluation.calibration.calibrate`.

    Raises:
        InvalidConfig: the model has seen these people, has no location-scale read-out, or they are too few.
        NoGain: it does not help.
        TooManyBadRows: more than max_bad of the studies cannot be answered.
    """
    _read_out(model)
    notes: list[str] = []
    spec = data if isinstance(data, CohortSpec) else None
    if spec is not None:
        notes += refuse_seen(model.card, spec)
        cohort_name, synthetic = spec.describe(), is_synthetic(spec)
    failures: list[tuple[str, str]] = []
    site = gather(model, opened(data), batch, max_bad, failures, advance)
    patients = len(np.unique(site.patients))
    if patients < LEAST_PATIENTS:
        raise InvalidConfig(
            f"{patients} patients are too few to adapt to.", next_step=f"Give {LEAST_PATIENTS} or more; 50 do well."
        )
    before, after, gain, error = nested(site, seed)
    if gain <= error:
        raise NoGain(
            f"adapting to {patients} patients changes the CRPS from {before.crps:.2f} to {after.crps:.2f} in nested "
            f"cross-validation, a gain of {gain:+.2f} ± {error:.2f}: it does not help."
        )
    correction = fit(site, seed)
    said = f"{len(site.labels)} studies of {cohort_name}"
    adapted = _with(model, correction, site, said, synthetic, spec)
    counts = (len(site.labels), patients)
    return Adapted(adapted, before, after, gain, error, correction, *counts, tuple(failures), tuple(notes))


def gather(
    model: Model,
    cohort: Sequence[Study],
    batch: int = 16,
    max_bad: float = 0.02,
    failures: list[tuple[str, str]] | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Site:
    """What the model makes of a cohort's clips, read by all their beats as `mcsdr predict` reads them."""
    lost = [] if failures is None else failures
    clips: list[Posterior] = []
    columns: list[tuple[Array, Array, Array, NDArray[np.int64], NDArray[Any]]] = []
    studies_so_far = 0
    for studies, videos in encoded(model, cohort, batch, lost, max_bad):
        rows = model.attribute_rows(studies)
        found, (centre, hidden) = model.beliefs(videos[-1], rows), head_of(model, videos[-1], rows)
        ef = np.array([study.ef_percent for study in studies], dtype=np.float64)
        who = np.array([s.patient_id or s.study_id or f"{studies_so_far + i}" for i, s in enumerate(studies)])
        clips.append(replace(found.clips, trajectories=None))
        columns.append((centre, hidden, ef[found.owner], studies_so_far + found.owner, who[found.owner]))
        studies_so_far += len(studies)
        advance(studies_so_far + len(lost))
    centre, hidden, ef, owner, who = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Site(Posterior.joined(clips), centre, hidden, ef, owner, who)


@torch.inference_mode()
def head_of(model: Model, video: VideoTokens, attributes: NDArray[Any]) -> tuple[Array, Array]:
    """a [C] and what the read-out's last layer is given, [C, H]: mean over the looks and windows of each clip."""
    network = _read_out(model)
    known = torch.from_numpy(attributes[video.owner]).to(model.device)
    head = network.location_scale
    pooled_condition = head.pool(network.condition(video.tokens, video.mask, known))
    hidden = head.out[:-1](pooled_condition)
    a = head.out[-1](hidden).float()[:, 0]
    of_looks = torch.cat([a[:, None], hidden.float()], dim=1).double().cpu().numpy()
    of_windows = _means(of_looks, video.window)
    of_clips = _means(of_windows, video.clip[video.plain])
    return of_clips[:, 0], of_clips[:, 1:]


def fit(site: Site, seed: int = 0) -> Correction:
    """λ by cross-validation over patients, δ on all, c from what is out of fold."""
    folds = _folds(site.patients, seed)
    candidates = (np.inf, *reversed(LAMBDAS))  # the most shrunk first
    losses = np.array([_out_of_fold(site, folds, ridge)[0] for ridge in candidates])
    worse = losses - losses[losses.mean(axis=1).argmin()]
    error = worse.std(axis=1) / np.sqrt(len(np.unique(site.patients)))
    ridge = candidates[int(np.argmax(worse.mean(axis=1) <= error))]
    scores = _out_of_fold(site, folds, ridge)[1]
    c = np.sqrt((PRIOR + (scores**2).sum()) / (PRIOR + len(scores)))
    return replace(_ridge(site, ridge), width=float(np.clip(c, *WIDTHS)))


def nested(site: Site, seed: int = 0) -> tuple[Figures, Figures, float, float]:
    """Before and after, and the gain in CRPS with its standard error over patients."""
    folds = _folds(site.patients, seed + 1)
    parts, truth, before = [], [], []
    whose: list[Any] = []
    for fold in np.unique(folds):
        held = site.select(folds == fold)
        correction = fit(site.select(folds != fold), seed)
        parts.append(correction.apply(held).studies)
        before.append(held.studies)
        truth.append(held.labels)
        whose.append(held.patients[np.unique(held.owner, return_index=True)[1]])
    ef = np.concatenate(truth)
    was, now = (scores_and_figures(posteriors, truth) for posteriors in (before, parts))
    patients = np.unique(np.concatenate(whose), return_inverse=True)[1]
    gains = np.bincount(patients, was[0] - now[0]) / np.bincount(patients)
    error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(ef) > 1 else np.inf
    return was[1], now[1], float(gains.mean()), error


def scores_and_figures(posteriors: Sequence[Posterior], truth: Sequence[Array]) -> tuple[Array, Figures]:
    """The CRPS of each study [B], and the figures of all."""
    scores = [StudyScores.of(p, y) for p, y in zip(posteriors, truth, strict=True)]
    errors = [np.abs(np.asarray(p.median) - y) for p, y in zip(posteriors, truth, strict=True)]
    crps, pit, width = (np.concatenate(column) for column in zip(*scores, strict=True))
    covered = float((np.abs(pit - 0.5) <= 0.45).mean())
    return crps, Figures(float(np.concatenate(errors).mean()), float(crps.mean()), covered, float(width.mean()))


def _out_of_fold(site: Site, folds: NDArray[np.intp], ridge: float) -> tuple[Array, Array]:
    """Squared standardised errors and normal scores of clips that were not fitted on, both [C]."""
    errors, scores = np.empty(len(site)), np.empty(len(site))
    for fold in np.unique(folds):
        held = site.select(folds == fold)
        moved = _ridge(site.select(folds != fold), ridge).apply(held)
        errors[folds == fold] = _residuals(moved)[0]
        scores[folds == fold] = np.clip(scores_of(moved.clips, held.ef), -4, 4)
    return errors**2, scores


def _residuals(site: Site) -> tuple[Array, Array]:
    """(ℓ − m)/s and s, both [C]; on the scale ℓ, which has no ends, however far Δ has moved a posterior."""
    y = np.clip(site.ef, EDGE, 100 - EDGE)
    table = MonotoneCubic.fit(site.clips.z, site.clips.latent)
    low, middle, high = table(np.array([[-1.0, 0.0, 1.0]]))[0].T
    s = 0.5 * (high - low)
    return (logit(y) - middle) / s, s


def _ridge(site: Site, ridge: float) -> Correction:
    """δ₀ and δ by the dual of the ridge: one equation for each clip."""
    mean, sd = site.hidden.mean(axis=0), _spread(site.hidden)
    none = Correction(0.0, np.zeros_like(mean), mean, sd, 1.0, ridge)
    if not np.isfinite(ridge):
        return none
    residual, s = _residuals(site)
    per_study = 1 / np.sqrt(np.bincount(site.owner)[site.owner])  # a study of many clips weighs as one of one
    one = (per_study / s)[:, None]
    features = one * (site.hidden - mean) / sd
    kernel = one @ one.T * OFFSET_SD**2 + features @ features.T / ridge
    alpha = np.linalg.solve(kernel + np.eye(len(site)), residual * per_study)
    return replace(none, offset=float(OFFSET_SD**2 * (one[:, 0] @ alpha)), weights=features.T @ alpha / ridge)


def _spread(hidden: Array) -> Array:
    """SD of each number of φ [H], the smaller half raised to the median: what hardly varies here may vary elsewhere."""
    sd = hidden.std(axis=0)
    return np.asarray(np.maximum(sd, max(float(np.median(sd)), 1e-6)))


def _folds(patients: NDArray[Any], seed: int) -> NDArray[np.intp]:
    names, index = np.unique(patients, return_inverse=True)
    dealt: NDArray[np.intp] = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[index]
    return dealt


def _means(values: Array, owner: NDArray[np.int64]) -> Array:
    """Of the rows of each owner, ascending from 0, [N, F]."""
    counts = np.bincount(owner)
    return np.asarray(np.add.reduceat(values, np.cumsum(counts) - counts, axis=0) / counts[:, None])


def _read_out(model: Model) -> PosteriorNetwork:
    if not isinstance(model.network, PosteriorNetwork):
        raise InvalidConfig(
            f"{model.card.name} has no location-scale read-out to adapt.",
            next_step="Adapt a model of this package's own network (network.kind = 'posterior').",
        )
    return model.network


def _with(
    model: Model, correction: Correction, site: Site, said: str, synthetic: bool, spec: CohortSpec | None
) -> Model:
    """The model with another read-out, and a card that says so."""
    adapted = copy(model)
    adapted._flows = {}
    network = deepcopy(_read_out(model))
    last = cast(nn.Linear, network.location_scale.out[-1])
    weights = torch.from_numpy(correction.weights / correction.sd)
    raw = site.hidden @ last.weight[1].double().cpu().numpy() + float(last.bias[1])
    with torch.no_grad():
        last.weight[0] += weights.to(last.weight)
        last.bias[0] += correction.offset - float(correction.mean @ weights.numpy())
        last.bias[1] += _raw_shift(raw, correction.width, network.location_scale.SCALE)
    adapted.network = network.requires_grad_(False)
    adapted.stored_population = None
    data = {**(model.card.config.get("data") or {})}
    data["adapted"] = None if spec is None else spec.model_dump(mode="json")
    all_synthetic = model.card.synthetic and synthetic
    adapted.card = model.card.model_copy(
        update={
            "synthetic": all_synthetic,
            "reader_sd": model.card.readers_sd if all_synthetic else None,
            "adapted": said,
            "config": {**model.card.config, "data": data},
        }
    )
    return adapted


def _raw_shift(raw: Array, width: float, scale: tuple[float, float]) -> float:
    """By how much the raw scale must rise for b to be `width` times as large on average (of ln b), by bisection."""

    def mean_log(shift: float) -> float:
        return float(between(torch.from_numpy(raw + shift), *scale).log().mean())

    target, low, high = mean_log(0.0) + np.log(width), -10.0, 10.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if mean_log(middle) < target else (low, middle)
    return 0.5 * (low + high)
