"""The engine on tables of numbers: rows x with labels y in, posteriors p(y | x) out.

    â(x)       point estimate of ℓ = logit(y/100): K networks, network k never sees fold k of the training rows
    s          root mean square of ℓ − â out of fold: an honest scale, since no row's own label went into its â
    w          = (ℓ − â − s a)/(s b), with a and b of the location-scale head on tokens of (x, â)
    p(w | x)   the velocity field of the score network on the same tokens; K of them, on the same folds
    s_i = G⁻¹(ℓ_i) out of fold, G the table z → ℓ of the network that never saw row i: normal where calibrated
    h(z)       the quantile of the s_i at level Φ(z): what is left of miscalibration is taken out

Labels stand for per cent of a range three times their own, and fill its middle third, so that the bounded target and
`Posterior` work as they are.

Tails. Between its knots h is read off the sorted s_i; beyond them it goes on at z exp(τ (z² − z₀²)₊/2) in place of z,
Tukey's h distribution, whose density falls as a power: τ = 0 is the normal tail, and a score of s costs about
log(s)/τ nats where a normal one costs s²/2. τ is of greatest likelihood on the s_i and one row more, half at 8 and half
at −8, so that few rows do not promise light tails. Nodes out to ±6 carry it into the table.

Averaging. The posterior of a new x averages the K tables G_k(h(z)), each as wide as the errors of one network. With
d² the variance between the K networks at x and σ² that of their tables, averaging takes (1 − 1/K) d² out of the error
(exactly: the mean of (y − f_k)² less (y − f̄)² is (1 − 1/K) d²), so the averaged table is narrowed about its median by

    sqrt(1 − (1 − 1/K) ρ),      ρ = E[d²/σ²]

one ρ for all x: K networks tell the d² of one row badly, and narrow most where they are most wrong. ρ is of rows that
no network saw; the training rows were seen by all but one. Seeing a row draws a network towards its label by some share
λ: of the K − 1 that saw it, the variance is w = (1 − λ)² d² and the mean square residual t = (1 − λ)² o, with o that of
the one that did not. Hence ρ = E[w/σ²] E[o/σ²]/E[t/σ²], as if λ were the same for all rows.

References: Han, Zheng, Zhou 2022, "CARD" (diffusion around a point estimate); Wolpert 1992, "Stacked generalization";
Gorishniy, Rubachev, Babenko 2022, "On embeddings for numerical features in tabular deep learning" (periodic features);
Krogh and Vedelsby 1995, "Neural network ensembles, cross validation, and active learning" (what averaging removes);
Hoaglin 1985, "Summarizing shape numerically: the g-and-h distributions".
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mcsdr.diffusion.denoiser import Pairs, draw_pairs
from mcsdr.errors import TrainingDiverged
from mcsdr.evaluation.evidence.table_network import PointEnsemble, TableNetwork, TableSettings
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.monotone import MonotoneCubic
from mcsdr.posterior.normal import normal_cdf, normal_quantile

Array = NDArray[np.float64]
KNOTS = normal_quantile([0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975])  # of h, its tails apart
NODES = np.sort(np.concatenate([quantile_nodes(), [-6, -5, -4, -3.2, 3.2, 4, 5, 6]]))  # of the answer
MIDDLE = int(np.argmin(np.abs(NODES)))
CENTRAL = np.abs(NODES) < 2  # those of equal mass, and the median
TAIL_FROM = 1.64  # z₀
TAILS = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15)  # candidates for τ
OUTLIER = 8.0  # τ is told from the scores and, as a prior, half a row at either of these
OUTLYING = 6.0  # standardised columns are held within this


class Averaged:
    """An optimiser under a cosine schedule, with an average over about the last 40 of its steps' weights.

    Training can be looked at by `best`: the averaged weights of the check with the least error are the ones kept.
    """

    def __init__(self, network: nn.Module, lr: float, steps: int, settings: TableSettings) -> None:
        self.network, self.lr, self.steps = network, lr, steps
        self.every = max(1, steps // settings.checks)
        self.weights: list[Tensor] = list(network.parameters())
        self.average = [p.detach().clone() for p in self.weights]
        self.optimiser = torch.optim.AdamW(
            self.weights, lr=lr, weight_decay=settings.decay, betas=(0.9, 0.98), fused=True
        )
        self.least, self.kept = math.inf, self.average

    def step(self, loss: Tensor, index: int) -> bool:
        """One step; whether it is time for a check."""
        warm = min(1.0, (index + 1) / (0.05 * self.steps))
        self.optimiser.param_groups[0]["lr"] = self.lr * warm * 0.5 * (1 + math.cos(math.pi * index / self.steps))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.weights, max(1 / (index + 2), 40 / max(self.steps, 400)))
        return (index + 1) % self.every == 0

    def swap(self) -> None:
        """Exchange the weights and their average."""
        for p, mean in zip(self.weights, self.average, strict=True):
            p.data, mean.data = mean.data, p.data

    def keep(self, error: float) -> None:
        """Remember the weights now in the network if their error is the least so far."""
        if not math.isfinite(error):
            raise TrainingDiverged("The out-of-fold error is no longer a number.")
        if error < self.least:
            self.least, self.kept = error, [p.detach().clone() for p in self.weights]

    def restore(self) -> None:
        """Put the kept weights into the network."""
        for p, kept in zip(self.weights, self.kept, strict=True):
            p.data = kept


def steps_for(rows: int, rule: tuple[float, int, int]) -> int:
    """clip(c·sqrt(n), least, most)."""
    c, least, most = rule
    return int(min(max(c * math.sqrt(rows), least), most))


def batches(rows: list[Tensor], size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Without end, rows [K, B] of K members, each in passes over its own rows in random order."""
    length = min(len(own) for own in rows)
    size = min(size, length)
    while True:
        shuffled = torch.stack([own[torch.randperm(len(own), generator=generator)[:length]] for own in rows])
        for start in range(0, length - size + 1, size):
            yield shuffled[:, start : start + size]


def fit_points(
    x: Tensor,
    ell: Tensor,
    fold: Tensor,
    spread: float,
    dropout: float,
    steps: int,
    settings: TableSettings,
    seed: int,
) -> tuple[PointEnsemble, Tensor, float]:
    """K networks of ℓ standardised [n], each without its fold; out-of-fold estimates [n], their mean square error."""
    torch.manual_seed(seed)
    generator, K = torch.Generator().manual_seed(seed), settings.folds
    network = PointEnsemble(x.shape[1], spread, dropout, settings)
    training = Averaged(network, settings.point_lr, steps, settings)
    source = batches([torch.nonzero(fold != k)[:, 0] for k in range(K)], settings.point_batch, generator)
    for index in range(steps):
        rows = next(source)
        loss = K * F.mse_loss(network.train()(x[rows]), ell[rows])
        if training.step(loss, index):
            training.swap()
            training.keep(float(F.mse_loss(out_of_fold(network, x, fold), ell)))
            training.swap()
    training.restore()
    return network, out_of_fold(network, x, fold), training.least


@torch.no_grad()
def all_members(network: PointEnsemble, x: Tensor) -> Tensor:
    """Every member's estimate of every row, [K, n]."""
    K = network.out.bias.shape[0]
    return torch.cat([network.eval()(part.expand(K, -1, -1)) for part in torch.split(x, 2048)], dim=1)


def out_of_fold(network: PointEnsemble, x: Tensor, fold: Tensor) -> Tensor:
    """For each row the estimate of the member that never saw it, [n]."""
    return all_members(network, x).gather(0, fold[None])[0]


def fit_densities(
    x: Tensor,
    point: Tensor,
    y_percent: Tensor,
    fold: Tensor,
    networks: nn.ModuleList,
    settings: TableSettings,
    seed: int,
) -> None:
    """Train the K networks on out-of-fold residuals, each without its fold; x [n, d + 1] with the estimate inside."""
    generator, K = torch.Generator().manual_seed(seed), settings.folds
    steps = steps_for(len(x), settings.density_steps)
    training = Averaged(networks, settings.density_lr, steps, settings)
    source = batches([torch.nonzero(fold != k)[:, 0] for k in range(K)], settings.density_batch, generator)
    left_out = [torch.nonzero(fold == k)[:1000, 0] for k in range(K)]
    fixed = [draw_pairs((len(rows), 4), generator) for rows in left_out]

    def loss(rows: list[Tensor], pairs: list[Pairs]) -> Tensor:
        terms = [
            torch.stack(network.loss(x[own], point[own], y_percent[own], noise)).sum()
            for network, own, noise in zip(networks, rows, pairs, strict=True)
            if isinstance(network, TableNetwork)
        ]
        return torch.stack(terms).sum()

    for index in range(steps):
        rows = list(next(source))
        networks.train()
        if training.step(loss(rows, [draw_pairs((len(own), settings.pairs), generator) for own in rows]), index):
            training.swap()
            networks.eval()
            with torch.no_grad():
                training.keep(float(loss(left_out, fixed)))
            training.swap()
    training.restore()
    networks.eval()


def scores_of(member: Posterior, ell: Array) -> Array:
    """s_i = G⁻¹(ℓ_i) in each row's table, [n]; on the straight tails of the table too, where Φ(s) is 0 or 1."""
    return MonotoneCubic.fit(member.z, member.latent).inverse(ell[:, None])[:, 0]


def stretched(z: Array, tau: float) -> tuple[Array, Array]:
    """z exp(τ (z² − z₀²)₊/2) and its derivative, both shaped as z."""
    beyond = np.abs(z) > TAIL_FROM
    growth = np.exp(0.5 * tau * np.where(beyond, z**2 - TAIL_FROM**2, 0.0))
    return z * growth, growth * (1 + tau * np.where(beyond, z**2, 0.0))


def tail_weight(scores: Array) -> float:
    """τ of greatest likelihood for scores [n] that are normal but for their tails, one of TAILS."""
    grid = np.linspace(-30, 30, 12_001)
    rows = np.concatenate([scores, [-OUTLIER, OUTLIER]])
    weight = np.concatenate([np.ones(len(scores)), [0.5, 0.5]])
    log_likelihood = []
    for tau in TAILS:
        z = np.interp(rows, stretched(grid, tau)[0], grid)
        log_likelihood.append(float(weight @ (-0.5 * z**2 - np.log(stretched(z, tau)[1]))))
    return TAILS[int(np.argmax(log_likelihood))]


def recalibration(scores: Array, prior_rows: int) -> MonotoneCubic:
    """h: z → the quantile of the scores [n] at level Φ(z), drawn to the identity by `prior_rows` rows, tails stretched.

    Returns:
        one table on NODES.
    """
    found = np.quantile(scores, normal_cdf(KNOTS))
    h = KNOTS + len(scores) / (len(scores) + prior_rows) * (found - KNOTS)
    inner = MonotoneCubic.fit(KNOTS[None], np.maximum.accumulate(h + 1e-3 * np.arange(len(h)))[None])
    tau = tail_weight(inner.inverse(scores[None])[0])
    return MonotoneCubic.fit(NODES[None], inner(stretched(NODES, tau)[0][None])[0])


def recalibrated(members: list[Posterior], h: MonotoneCubic) -> Array:
    """ℓ of every member at h(NODES), [K, n, N]."""
    z = h(NODES[None])[0]
    return np.stack([MonotoneCubic.fit(member.z, member.latent)(z)[0] for member in members])


def variance_of(table: Array) -> Array:
    """σ² of tables of ℓ [..., N] by their central nodes; equal-mass nodes lack a little of the variance."""
    found: Array = table[..., CENTRAL].var(axis=-1) / np.var(NODES[CENTRAL])
    return found


def disagreement(tables: Array, ell: Array, fold: Array) -> float:
    """ρ, the mean of d²/σ² over rows that no member has seen, from rows that all but one have seen.

    Arguments:
        tables: ℓ of all members [K, n, N].
        ell: labels [n].
        fold: the member that never saw the row, [n].
    """
    centre = tables[..., MIDDLE]
    seen = np.ma.array(centre, mask=np.arange(len(tables))[:, None] == fold)
    unseen, own = centre[fold, np.arange(len(fold))], variance_of(tables.mean(axis=0))
    w = np.mean(np.asarray(seen.var(axis=0, ddof=1)) / own)
    t = np.mean(np.asarray(((seen - ell) ** 2).mean(axis=0)) / own)
    o = np.mean((unseen - ell) ** 2 / own)
    return float(w * o / max(t, 1e-12 * o))


def averaged(tables: Array, rho: float) -> Posterior:
    """Average the members' tables of ℓ [K, n, N], narrowed by what averaging takes out of the error."""
    K, table = len(tables), tables.mean(axis=0)
    centre = table[:, MIDDLE, None]
    factor = math.sqrt(max(1 - (1 - 1 / K) * rho, 1 / K))
    return Posterior.from_nodes(NODES, 100 / (1 + np.exp(-(centre + factor * (table - centre)))))


class TabularPosterior:
    """p(y | x) of a table, fitted to its training rows; everything is chosen on these.

    Arguments:
        x: columns [n, d]; those that do not vary are left out.
        y: labels [n], in any unit.
        seed: of folds, weights and batches.
    """

    def __init__(self, x: Array, y: Array, settings: TableSettings | None = None, seed: int = 0) -> None:
        s = self.settings = settings or TableSettings()
        self.low, self.range = float(y.min()), float(y.max() - y.min())
        self.varying = np.ptp(x, axis=0) > 1e-9 * (1 + np.abs(x).max(axis=0))
        self.mean, self.sd = x[:, self.varying].mean(axis=0), x[:, self.varying].std(axis=0)
        generator = torch.Generator().manual_seed(seed)
        latent = self.latent(y)
        ell = torch.from_numpy(latent)
        self.ell_mean, self.ell_sd = float(ell.mean()), float(ell.std())
        columns, standard = self.columns(x), ((ell - self.ell_mean) / self.ell_sd).float()
        fold = (torch.arange(len(y)) % s.folds)[torch.randperm(len(y), generator=generator)]
        steps = steps_for(len(y), s.point_steps)
        pilot = max(1, int(s.pilot * steps))

        def tried(spread: float, dropout: float) -> float:
            return fit_points(columns, standard, fold, spread, dropout, pilot, s, seed)[2]

        errors = {spread: tried(spread, s.dropout) for spread in s.spreads}
        self.spread = min(errors, key=lambda spread: errors[spread])
        without = tried(self.spread, 0.0)
        self.dropout = s.dropout if without > s.no_dropout_at * errors[self.spread] else 0.0
        self.points, out, error = fit_points(columns, standard, fold, self.spread, self.dropout, steps, s, seed)
        self.out_of_fold_rmse = math.sqrt(error) * self.ell_sd
        torch.manual_seed(seed + 1)
        width, scale = columns.shape[1], self.out_of_fold_rmse
        self.networks = nn.ModuleList(TableNetwork(width, scale, self.spread, s) for _ in range(s.folds))
        point, seen = self.ell_mean + self.ell_sd * out, torch.cat([columns, out[:, None]], dim=1)
        fit_densities(seen, point, torch.from_numpy(self.percent(y)).float(), fold, self.networks, s, seed)
        self.h = self._recalibration(seen, point, latent, fold)
        some = torch.randperm(len(y), generator=generator)[: s.disagreement_rows].numpy()
        self.rho = disagreement(recalibrated(self.members(x[some]), self.h), latent[some], fold.numpy()[some])

    def percent(self, y: Array) -> Array:
        """100·(y − (min − R))/3R, R the range of the training labels."""
        return np.asarray(100 * (y - self.low + self.range) / (3 * self.range), dtype=np.float64)

    def original(self, y_percent: Array) -> Array:
        """The inverse of `percent`."""
        return np.asarray(self.low - self.range + 3 * self.range * y_percent / 100, dtype=np.float64)

    def latent(self, y: Array) -> Array:
        """ℓ of labels."""
        percent = self.percent(y)
        return np.asarray(np.log(percent) - np.log(100 - percent), dtype=np.float64)

    @property
    def unit(self) -> float:
        """What one per cent is in the unit of the labels, 3R/100."""
        return 3 * self.range / 100

    def columns(self, x: Array) -> Tensor:
        """Standardised columns that vary, [n, d'] float32."""
        return torch.from_numpy((x[:, self.varying] - self.mean) / self.sd).float().clamp(-OUTLYING, OUTLYING)

    @torch.no_grad()
    def members(self, x: Array) -> list[Posterior]:
        """The posteriors of the K networks, before recalibration."""
        columns = self.columns(x)
        found = []
        for network, out in zip(self.networks, all_members(self.points, columns), strict=True):
            assert isinstance(network, TableNetwork)
            seen = torch.cat([columns, out[:, None]], dim=1)
            found.append(network.posterior(seen, self.ell_mean + self.ell_sd * out))
        return found

    def __call__(self, x: Array) -> Posterior:
        """Posteriors of rows [B, d], on the scale of `percent`."""
        return averaged(recalibrated(self.members(x), self.h), self.rho)

    @torch.no_grad()
    def _recalibration(self, seen: Tensor, point: Tensor, ell: Array, fold: Tensor) -> MonotoneCubic:
        scores = []
        for k, network in enumerate(self.networks):
            assert isinstance(network, TableNetwork)
            rows = torch.nonzero(fold == k)[: self.settings.calibration_rows // self.settings.folds, 0]
            scores.append(scores_of(network.posterior(seen[rows], point[rows]), ell[rows.numpy()]))
        return recalibration(np.concatenate(scores), self.settings.prior_rows)
