"""Figures of a cohort: accuracy, calibration, agreement, what referral buys, and who is served how well.

Under calibration the PIT values u_i = F_i(y_i) are uniform, so that of n values the number in any set of probability p
is Binomial(n, p); the grey bands are its 2.5 to 97.5 % quantiles, each bin or level by itself. All other bands and bars
are 95 % bootstrap intervals over patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from mcsdr import DISCLAIMER
from mcsdr.metrics import agreement, calibration, point, selective
from mcsdr.metrics.bootstrap import cluster_bootstrap
from mcsdr.metrics.subgroups import EF_BANDS, LEAST_PATIENTS, NO_EVIDENCE, Subgroup
from mcsdr.posterior.axes import DASHED, INK, LINE, SOFT, set_title
from mcsdr.posterior.categories import BLUE, GREEN, ORANGE, SKY, VERMILION
from mcsdr.report.drawing import add_legend, binomial_band, one_panel, panels_beside, percent_axis, span

Array = NDArray[np.float64]


def predicted_against_true(
    predicted: ArrayLike,
    observed: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    point_name: str = "median",
    footer: str = DISCLAIMER,
) -> Figure:
    """Point estimates [B] against reported EF [B], each with its 90 % interval; all in EF %."""
    m, y, low, high = (np.asarray(x, dtype=np.float64) for x in (predicted, observed, lower, upper))
    inside = (low <= y) & (y <= high)
    figure, axes = one_panel(5.6, 5.9, footer)
    faint = float(np.clip(75 / len(y), 0.06, 0.5))
    for chosen, colour, name in ((inside, BLUE, "inside"), (~inside, VERMILION, "outside")):
        segments = np.stack([np.column_stack([y, low]), np.column_stack([y, high])], axis=1)[chosen]
        axes.add_collection(LineCollection(list(segments), colors=colour, linewidths=0.8, alpha=faint))
        label = f"reported EF {name} the 90 % interval ({100 * chosen.mean():.1f} %)"
        axes.scatter(y[chosen], m[chosen], s=13, color=colour, alpha=0.8, linewidths=0, zorder=3, label=label)
    ends = span(np.concatenate([m, y, low, high]))
    axes.plot(ends, ends, color=INK, linewidth=1, zorder=1)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="Reported ejection fraction (%)")
    axes.set_ylabel(f"{point_name.capitalize()} of the posterior (%), with 90 % interval")
    for cut in (40, 50):
        axes.axhline(cut, color=SOFT, linewidth=0.6, linestyle=DASHED, zorder=0)
        axes.axvline(cut, color=SOFT, linewidth=0.6, linestyle=DASHED, zorder=0)
    set_title(axes, f"MAE {point.mae(m, y):.2f} points over {len(y):,} studies")
    add_legend(axes, loc="upper left", markerscale=1.6)
    return figure


def pit_histogram(pit: ArrayLike, *, bins: int = 20, footer: str = DISCLAIMER) -> Figure:
    """How often the reported EF fell into each twentieth of its posterior; flat if calibrated."""
    u = np.asarray(pit, dtype=np.float64)
    share = np.histogram(u, bins=bins, range=(0, 1))[0] / len(u)
    low, high = (edge / len(u) for edge in binomial_band(len(u), np.array([1 / bins])))
    figure, axes = one_panel(6.2, 4.3, footer)
    edges = np.linspace(0, 1, bins + 1)
    axes.bar(edges[:-1], share, width=1 / bins, align="edge", color=SKY, edgecolor="white", linewidth=0.8)
    axes.axhspan(low[0], high[0], color=LINE, alpha=0.6, linewidth=0, zorder=0, label="95 % band of a uniform sample")
    for edge in (low[0], high[0]):
        axes.axhline(edge, color=INK, linewidth=0.9, linestyle=DASHED)
    axes.axhline(1 / bins, color=INK, linewidth=1.2)
    axes.set(xlim=(0, 1), ylim=(0, 1.3 * max(float(share.max()), float(high[0]))))
    axes.set(xlabel="PIT: share of the belief below the reported EF", ylabel="Share of studies")
    percent_axis(axes.yaxis)
    set_title(axes, f"PIT of {len(u):,} studies; KS distance {calibration.pit_ks(u):.3f}")
    add_legend(axes, loc="upper right")
    return figure


def reliability(pit: ArrayLike, *, footer: str = DISCLAIMER) -> Figure:
    """Observed against nominal coverage of the central intervals."""
    u = np.asarray(pit, dtype=np.float64)
    levels = np.linspace(0.01, 0.99, 99)
    observed = calibration.coverage(u, levels)
    low, high = (edge / len(u) for edge in binomial_band(len(u), levels))
    figure, axes = one_panel(5.2, 5.4, footer)
    axes.fill_between(levels, low, high, color=LINE, alpha=0.8, linewidth=0, label="95 % band if calibrated")
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1)
    axes.plot(levels, observed, color=BLUE, linewidth=2.2, label="observed")
    marked = np.array([0.5, 0.8, 0.9])
    covered = calibration.coverage(u, marked)
    axes.plot(marked, covered, "o", color=BLUE, markersize=6, markeredgecolor="white")
    rows = [f"{100 * level:.0f} % interval holds {100 * c:.1f} %" for level, c in zip(marked, covered, strict=True)]
    axes.text(0.97, 0.04, "\n".join(rows), ha="right", va="bottom", fontsize=9, color=INK, linespacing=1.5)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="Nominal coverage of the central interval", ylabel="Share of reported EF inside")
    percent_axis(axes.xaxis, axes.yaxis)
    set_title(axes, f"Reliability of {len(u):,} studies")
    add_legend(axes, loc="upper left")
    return figure


def risk_coverage(
    error: ArrayLike, sd: ArrayLike, patients: ArrayLike | None = None, *, footer: str = DISCLAIMER
) -> Figure:
    """The error on the studies that are kept when the least sure are passed on to a reader.

    Arguments:
        error: |point estimate − reported EF| in points, [B].
        sd: the posterior's SD by which studies are kept, [B].
        patients: patient of each study, [B]; each study by itself if left out.
    """
    e, s = np.asarray(error, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    groups = np.arange(len(e)) if patients is None else np.asarray(patients)
    shares = np.linspace(0.1, 1, 19)
    bands = [
        cluster_bootstrap(lambda e, s, kept=kept: selective.risk_at(e, s, kept), groups, e, s, resamples=200)
        for kept in shares
    ]
    model, oracle = selective.risk_coverage(e, s), selective.risk_coverage(e, e)
    figure, axes = one_panel(6.2, 4.6, footer)
    low, high = [band.lower for band in bands], [band.upper for band in bands]
    axes.fill_between(shares, low, high, color=SKY, alpha=0.3, linewidth=0, label="95 % bootstrap interval")
    shown = model.coverage >= 0.1 - 1e-9  # under a tenth of the studies the curve is noise
    axes.plot(model.coverage[shown], model.risk[shown], color=BLUE, linewidth=2.2, label="kept by the posterior's SD")
    best: dict[str, Any] = {"color": GREEN, "linewidth": 1.6, "linestyle": DASHED, "label": "kept by the error itself"}
    axes.plot(oracle.coverage, oracle.risk, **best)
    axes.axhline(e.mean(), color=SOFT, linewidth=1, label="kept at random")
    axes.set(xlim=(0, 1), ylim=(0, 1.35 * max(*high, float(e.mean()))))
    axes.set(xlabel="Share of studies kept, the surest first", ylabel="MAE of what is kept (points)")
    percent_axis(axes.xaxis)
    area, excess = selective.aurc(e, s), selective.excess_aurc(e, s)
    set_title(axes, f"Risk–coverage: AURC {area:.2f}, {excess:.2f} over the oracle")
    add_legend(axes, loc="upper left", ncols=2)
    return figure


def bland_altman(
    predicted: ArrayLike, observed: ArrayLike, patients: ArrayLike | None = None, *, footer: str = DISCLAIMER
) -> Figure:
    """Differences against means of prediction and reading [B], in EF points, with bias and limits of agreement."""
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    groups = np.arange(len(y)) if patients is None else np.asarray(patients)
    figure, axes = one_panel(7.2, 4.8, footer)
    axes.scatter((p + y) / 2, p - y, s=13, color=BLUE, alpha=float(np.clip(150 / len(y), 0.25, 0.8)), linewidths=0)
    lines = (("bias", point.bias), ("−1.96 SD", agreement.lower_limit), ("+1.96 SD", agreement.upper_limit))
    edge = float(np.abs(p - y).max())
    for name, statistic in lines:
        band = cluster_bootstrap(statistic, groups, p, y, resamples=500)
        colour, edge = (INK if name == "bias" else VERMILION), max(edge, abs(band.lower), abs(band.upper))
        axes.axhspan(band.lower, band.upper, color=colour, alpha=0.12, linewidth=0)
        axes.axhline(band.estimate, color=colour, linewidth=1.4, linestyle="-" if name == "bias" else DASHED)
        words = f"{name}\n{band.estimate:+.1f} ({band.lower:+.1f} to {band.upper:+.1f})".replace("-", "−")
        axes.annotate(words, (1.015, band.estimate), xycoords=("axes fraction", "data"), va="center", fontsize=8.5)
    axes.axhline(0, color=SOFT, linewidth=0.6, zorder=0)
    axes.set(xlim=span((p + y) / 2), ylim=(-1.1 * edge, 1.1 * edge))
    axes.set(xlabel="Mean of prediction and reported EF (%)", ylabel="Prediction − reported EF (points)")
    axes.set_position(_narrowed(axes, 1.55))
    set_title(axes, f"Bland–Altman of {len(y):,} studies")
    return figure


def subgroup_forest(subgroups: Sequence[Subgroup], *, overall: float, footer: str = DISCLAIMER) -> Figure:
    """MAE and coverage of the 90 % interval for every kind of patient.

    Arguments:
        subgroups: with the measures "MAE" and "coverage 90%".
        overall: MAE of the whole cohort, for the line to compare with.
    """
    lines: list[Subgroup | str] = []
    for subgroup in subgroups:
        if not lines or getattr(lines[-1], "attribute", None) != subgroup.attribute:
            lines.append(subgroup.attribute)
        lines.append(subgroup)
    height = 1.85 + 0.25 * len(lines)
    figure, (left, right) = panels_beside(9.4, height, footer, (1, 1), left=2.35, top=0.8, wspace=0.12)
    _forest_panel(left, lines, "MAE", overall, f"all {overall:.2f}")
    _forest_panel(right, lines, "coverage 90%", 0.9, "90 %")
    words: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
    for at, line in enumerate(lines):
        if isinstance(line, str):
            left.annotate(line, (-0.53, at), fontsize=9.5, fontweight="bold", **words)
            continue
        left.annotate(line.group, (-0.49, at), fontsize=9, **words)
        left.annotate(f"{line.patients:,}", (-0.04, at), fontsize=9, ha="right", **words)
    left.text(-0.04, 1.005, "patients", fontsize=8.5, ha="right", va="bottom", color=SOFT, transform=left.transAxes)
    set_title(left, "MAE (points)", pad=22)
    set_title(right, "Coverage of the 90 % interval", pad=22)
    percent_axis(right.xaxis)
    return figure


def coverage_by_ef(subgroups: Sequence[Subgroup], *, footer: str = DISCLAIMER) -> Figure:
    """Coverage of the 90 % interval over bands of EF, as predicted and as reported; see `mcsdr.metrics.subgroups`."""
    figure, axes = one_panel(6.9, 4.8, footer, left=0.82)
    axes.axhline(0.9, color=INK, linewidth=1)
    series = (
        ("predicted EF", -0.13, BLUE, "o", "by predicted EF: on the line if calibrated"),
        ("reported EF", 0.13, ORANGE, "s", "by reported EF: may leave it even then"),
    )
    lowest = 0.75
    words: dict[str, Any] = {"ha": "center", "fontsize": 8, "color": SOFT, "xycoords": ("data", "axes fraction")}
    for attribute, shift, colour, marker, label in series:
        axes.plot([], [], marker, color=colour, markersize=7, markeredgecolor="white", label=label)
        for subgroup in (s for s in subgroups if s.attribute == attribute and s.group in EF_BANDS):
            at = EF_BANDS.index(subgroup.group) + shift
            axes.annotate(f"{subgroup.patients:,}", (at, 0.015), va="bottom", **words)
            if not subgroup.has_evidence:
                axes.annotate(NO_EVIDENCE, (at, 0.1), va="bottom", rotation=90, **words)
                continue
            cover = subgroup.measures["coverage 90%"]
            lowest = min(lowest, cover.lower)
            axes.plot([at, at], [cover.lower, cover.upper], color=colour, linewidth=1.8)
            axes.plot(at, cover.estimate, marker, color=colour, markersize=7, markeredgecolor="white")
    axes.set(xlim=(-0.5, len(EF_BANDS) - 0.5), ylim=(max(0, lowest - 0.12), 1.1))
    axes.spines["left"].set_bounds(axes.get_ylim()[0], 1)
    axes.set_xticks(range(len(EF_BANDS)), EF_BANDS)
    axes.set_yticks([tick for tick in np.linspace(0, 1, 11) if tick >= axes.get_ylim()[0]])
    axes.set(xlabel="Ejection fraction (%), with the number of patients", ylabel="Share inside the 90 % interval")
    percent_axis(axes.yaxis)
    set_title(axes, "Coverage of the 90 % interval by ejection fraction")
    add_legend(axes, loc="upper left", ncols=2, columnspacing=1.2)
    return figure


def _forest_panel(axes: Axes, lines: Sequence[Subgroup | str], measure: str, reference: float, name: str) -> None:
    """One estimate with its interval per line, headings left blank."""
    axes.axvline(reference, color=INK, linewidth=1, linestyle=DASHED, zorder=0)
    axes.annotate(name, (reference, 1.005), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8.5)
    for at, line in enumerate(lines):
        if isinstance(line, str):
            continue
        if at % 2:
            axes.axhspan(at - 0.5, at + 0.5, color=LINE, alpha=0.25, linewidth=0, zorder=-1)
        if not line.has_evidence:
            words = f"{NO_EVIDENCE} (under {LEAST_PATIENTS} patients)"
            box = {"facecolor": "white", "linewidth": 0, "pad": 1}
            at_left: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "bbox": box}
            axes.annotate(words, (0.02, at), fontsize=8.5, color=SOFT, **at_left)
            continue
        interval = line.measures[measure]
        axes.plot([interval.lower, interval.upper], [at, at], color=BLUE, linewidth=1.8)
        axes.plot(interval.estimate, at, "o", color=BLUE, markersize=6, markeredgecolor="white")
    axes.set(ylim=(len(lines) - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)


def _narrowed(axes: Axes, inches: float) -> tuple[float, float, float, float]:
    """The panel's place, with room for words on its right."""
    place = axes.get_position()
    assert isinstance(axes.figure, Figure)
    return place.x0, place.y0, place.width - inches / axes.figure.get_figwidth(), place.height
