"""The engine on tables of numbers: rows x with labels y in, posteriors p(y | x) out.

    â(x)       point estimate of ℓ = logit(y/100): K networks, network k never sees fold k of the training rows
    s          root mean square of ℓ − â out of fold: an honest scale, since no row's own label went into its â
    w          = (ℓ − â − s a)/(s b), with a and b of the location-scale head on tokens of (x, â)
    p(w | x)   the velocity field of the score network on the same tokens; K of them, on the same folds
    h(z)       normal quantiles to those of the out-of-fold PITs: what is left of miscalibration is taken out

Labels stand for per cent of a range three times their own, and fill its middle third, so that the bounded target and
`Posterior` work as they are. The posterior of a new x averages the K quantile tables. Each of these is as wide as the
errors of one network; averaging takes (1 − 1/K) d² out of the error's variance, d² the variance between the K networks
at x, and so the averaged table is narrowed by sqrt(1 − κ (1 − 1/K) d²/σ²), σ² its variance;
κ = 1 in theory, less where d² is told from few networks.

References: Han, Zheng, Zhou 2022, "CARD" (diffusion around a point estimate); Wolpert 1992, "Stacked generalization";
Gorishniy, Rubachev, Babenko 2022, "On embeddings for numerical features in tabular deep learning" (periodic features).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mcsdr.benchmark.table_network import PointEnsemble, TableNetwork, TableSettings
from mcsdr.diffusion.denoiser import Pairs, draw_pairs
from mcsdr.errors import TrainingDiverged
from mcsdr.monotone import MonotoneCubic
from mcsdr.normal import normal_cdf, normal_quantile
from mcsdr.posterior import Posterior, quantile_nodes

Array = NDArray[np.float64]
KNOTS = normal_quantile([0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975])  # of the recalibration map
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


def recalibration(pit: Array, prior_rows: int) -> MonotoneCubic:
    """h: z → the quantile at level Φ(z) of z_i = Φ⁻¹(PIT_i), drawn to the identity by `prior_rows` rows."""
    z = np.sort(normal_quantile(np.clip(pit, 1e-4, 1 - 1e-4)))
    found = np.quantile(z, normal_cdf(KNOTS))
    h = KNOTS + len(z) / (len(z) + prior_rows) * (found - KNOTS)
    return MonotoneCubic.fit(KNOTS[None], np.maximum.accumulate(h + 1e-3 * np.arange(len(h)))[None])


def averaged(members: list[Posterior], h: MonotoneCubic, narrowing: float = 1.0) -> Posterior:
    """Average the recalibrated quantile tables of ℓ, narrowed by what averaging takes out of the error."""
    z, K = quantile_nodes(), len(members)
    levels = np.clip(normal_cdf(h(z[None])[0][0]), 1e-7, 1 - 1e-7)
    y = np.stack([member.quantile(levels) for member in members]) / 100
    tables = np.log(y) - np.log1p(-y)
    table, middle = tables.mean(axis=0), len(z) // 2
    centre = table[:, middle : middle + 1]
    between = tables[:, :, middle].var(axis=0, ddof=1)
    # Equal-mass nodes lack a little of the variance; the two outer nodes, beyond them, are left out.
    own = table[:, 1:-1].var(axis=1) / np.var(z[1:-1])
    factor = np.sqrt(np.maximum(1 - narrowing * (1 - 1 / K) * between / own, 0.25))
    return Posterior.from_nodes(z, 100 / (1 + np.exp(-(centre + factor[:, None] * (table - centre)))))


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
        y_percent = torch.from_numpy(self.percent(y)).float()
        ell = torch.from_numpy(np.log(self.percent(y)) - np.log(100 - self.percent(y)))
        self.ell_mean, self.ell_sd = float(ell.mean()), float(ell.std())
        columns, standard = self.columns(x), ((ell - self.ell_mean) / self.ell_sd).float()
        generator = torch.Generator().manual_seed(seed)
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
        scale = math.sqrt(error) * self.ell_sd
        torch.manual_seed(seed + 1)
        self.networks = nn.ModuleList(TableNetwork(columns.shape[1], scale, self.spread, s) for _ in range(s.folds))
        point, seen = self.ell_mean + self.ell_sd * out, torch.cat([columns, out[:, None]], dim=1)
        fit_densities(seen, point, y_percent, fold, self.networks, s, seed)
        self.out_of_fold_rmse = scale
        self.h = self._recalibrated(seen, point, y_percent.double().numpy(), fold)

    def percent(self, y: Array) -> Array:
        """100·(y − (min − R))/3R, R the range of the training labels."""
        return np.asarray(100 * (y - self.low + self.range) / (3 * self.range), dtype=np.float64)

    def original(self, y_percent: Array) -> Array:
        """The inverse of `percent`."""
        return np.asarray(self.low - self.range + 3 * self.range * y_percent / 100, dtype=np.float64)

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
        return averaged(self.members(x), self.h, self.settings.narrowing)

    @torch.no_grad()
    def _recalibrated(self, seen: Tensor, point: Tensor, y_percent: Array, fold: Tensor) -> MonotoneCubic:
        pit = []
        for k, network in enumerate(self.networks):
            assert isinstance(network, TableNetwork)
            rows = torch.nonzero(fold == k)[: self.settings.calibration_rows // self.settings.folds, 0]
            pit.append(network.posterior(seen[rows], point[rows]).pit(y_percent[rows.numpy()]))
        return recalibration(np.concatenate(pit), self.settings.prior_rows)
