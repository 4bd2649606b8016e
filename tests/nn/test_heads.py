"""What every rival head promises: an increasing quantile function inside (0, 100), of what it was taught."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from tests.conftest import CONFIGS, SMALL

from mcsdr.clips import ClipSettings
from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.diffusion.denoiser import Pairs, draw_pairs
from mcsdr.diffusion.sampler import PAPER
from mcsdr.errors import InvalidConfig, MissingExtra
from mcsdr.metrics.scores import crps_of
from mcsdr.model import Card, Model, load
from mcsdr.nn.heads import HEADS, Head
from mcsdr.nn.heads.head import bisect, interpolate
from mcsdr.nn.heads.histogram import SIGMA_PERCENT, Histogram
from mcsdr.nn.heads.parametric import Beta
from mcsdr.nn.heads.quantile import ImplicitQuantile, pinball
from mcsdr.nn.layers import Condition
from mcsdr.nn.network import NetworkSettings, build_network
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.study import Attributes, Study
from mcsdr.training import train
from mcsdr.training.settings import read_settings

WIDTH, ATTENTION = 16, 2
MAY_CROSS = {"iqn", "card"}
TWO_PEAKS = {"mdn", "quantiles", "histogram", "flow", "iqn", "card"}
NODES = torch.from_numpy(quantile_nodes())[None]
QUICK = {"mse", "gaussian", "mdn"}
each_head = pytest.mark.parametrize("name", HEADS)
each_head_quick_ones_first = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in HEADS]
)


def head(name: str, seed: int = 0) -> Head:
    torch.manual_seed(seed)
    return HEADS[name](WIDTH, ATTENTION)


def condition(studies: int, tokens: int = 3) -> Condition:
    generator = torch.Generator().manual_seed(5)
    mask = torch.ones(studies, tokens, dtype=torch.bool)
    return Condition(torch.randn(studies, tokens, WIDTH, generator=generator), mask)


def model_of(name: str) -> Model:
    torch.manual_seed(1)
    settings = SMALL.model_copy(update={"kind": "head", "head": name})
    statistics = AttributeStatistics(names=SMALL.attributes, mean=(60.0, 0.0, 75.0, 170.0), sd=(15.0, 1.0, 15.0, 10.0))
    card = Card(name="small", training_data="nothing", synthetic=True)
    return Model(build_network(settings), ClipSettings(), statistics, card)


@each_head
def test_quantiles_increase_inside_the_range(name: str) -> None:
    """At random weights, with the outputs enlarged so that the distributions are neither normal nor central."""
    rival, known = head(name).eval(), condition(5)
    with torch.no_grad():
        for parameter in rival.parameters():
            parameter.mul_(2)
        y = rival.quantiles(known, NODES)
        repeated = rival.quantiles(known, NODES.expand(5, -1))
    assert y.shape == (5, 23)
    assert ((y > 0) & (y < 100)).all()
    assert torch.equal(y, repeated)
    assert y.diff(dim=1).abs().max() > 0.1
    assert np.ptp(y[:, 11].numpy()) > 0.1  # the condition is heard
    if name not in MAY_CROSS:
        assert (y.diff(dim=1) >= 0).all()


@each_head
def test_the_quantile_function_does_not_depend_on_where_it_is_asked(name: str) -> None:
    """Unsorted points, some beyond the outer nodes, one at a time or together."""
    rival, known = head(name).eval(), condition(2)
    z = torch.tensor([[1.5, -0.3, 4.0, -4.0]])
    with torch.no_grad():
        together = rival.quantiles(known, z)
        alone = torch.cat([rival.quantiles(known, z[:, i : i + 1]) for i in range(4)], dim=1)
    assert torch.allclose(together, alone, atol=1e-3)
    assert together.isfinite().all()


@each_head
@pytest.mark.parametrize("autocast", [False, True])
def test_the_loss_reaches_every_parameter(name: str, autocast: bool) -> None:
    """In float32 and in bf16, labels of exactly 0 and 100 among the others; and it repeats for the same pairs."""
    rival, known = head(name), condition(4)
    ef_percent = torch.tensor([0.0, 37.5, 62.0, 100.0])
    pairs = draw_pairs((4, 6), torch.Generator().manual_seed(2))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss, again = (rival.loss(known, ef_percent, pairs) for _ in range(2))
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, again)
    loss.backward()
    for parameter_name, parameter in rival.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


def fitted(name: str, peaks: torch.Tensor, sds: torch.Tensor, steps: int) -> np.ndarray:
    """Quantiles of a head taught y ~ ½N(m_1, s²) + ½N(m_2, s²) of each cluster; peaks [clusters, 2], sds [clusters]."""
    rival, generator = head(name), torch.Generator().manual_seed(3)
    tokens = torch.randn(len(sds), 2, WIDTH, generator=generator)
    optimiser = torch.optim.AdamW(rival.parameters(), lr=5e-3, weight_decay=0)
    average = torch.optim.swa_utils.AveragedModel(rival, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        cluster = torch.arange(192) % len(sds)
        peak = torch.randint(2, (192,), generator=generator)
        y = peaks[cluster, peak] + sds[cluster] * torch.randn(192, generator=generator)
        known = Condition(tokens[cluster], torch.ones(192, 2, dtype=torch.bool))
        loss = rival.loss(known, y.clamp(0, 100), draw_pairs((192, 8), generator))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        average.update_parameters(rival)
    with torch.no_grad():
        y = average.module.quantiles(Condition(tokens, torch.ones(len(sds), 2, dtype=torch.bool)), NODES)
    return np.asarray(Posterior.from_nodes(NODES[0], y.double()).quantile([0.1, 0.25, 0.5, 0.75, 0.9]))


@each_head_quick_ones_first
def test_two_clusters_are_learnt(name: str) -> None:
    """N(40, 4²) and N(60, 6²): quantiles from 10 to 90 % within 1.2 points (0.3 SD).

    Least squares knows one SD for both, sqrt((16 + 36)/2); the histogram widens by the variance of its smoothing.
    """
    means, sds = torch.tensor([40.0, 60.0]), torch.tensor([4.0, 6.0])
    found = fitted(name, means[:, None].expand(-1, 2), sds, steps=200 if name in QUICK else 400)
    expected = sds.numpy().astype(float)
    if name == "mse":
        expected = np.full(2, np.sqrt(26.0))
    if name == "histogram":
        expected = np.sqrt(expected**2 + SIGMA_PERCENT**2 + 4 / 12)
    truth = means.numpy()[:, None] + expected[:, None] * stats.norm.ppf([0.1, 0.25, 0.5, 0.75, 0.9])
    assert np.abs(found - truth).max() < 1.2


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TWO_PEAKS))
def test_two_peaks_are_learnt(name: str) -> None:
    """½N(36, 4²) + ½N(60, 4²): quartiles at the peaks within 2 points, where the nearest normal has 38.9 and 57.1,
    and tails within 2.5; another cluster is N(50, 5²)."""
    found = fitted(name, torch.tensor([[36.0, 60.0], [50.0, 50.0]]), torch.tensor([4.0, 5.0]), steps=800)[0]
    z = stats.norm.ppf(0.2)
    assert np.abs(found[[1, 3]] - [36, 60]).max() < 2
    assert np.abs(found[[0, 4]] - [36 + 4 * z, 60 - 4 * z]).max() < 2.5


def test_beta_quantiles_are_scipys() -> None:
    rival, known = Beta(WIDTH, ATTENTION).eval(), condition(6)
    with torch.no_grad():
        torch.nn.init.normal_(rival.out[3].weight, std=0.7)
        alpha, beta = rival._shape(known)
        found = rival.quantiles(known, NODES)
    expected = stats.beta(alpha.numpy()[:, None], beta.numpy()[:, None]).ppf(stats.norm.cdf(NODES.numpy()))
    assert alpha.max() / alpha.min() > 2
    assert np.abs(found.numpy() - np.clip(100 * expected, 0.01, 99.99)).max() < 2e-3


def test_beta_loss_is_its_likelihood() -> None:
    rival, known, y = Beta(WIDTH, ATTENTION).eval(), condition(3), torch.tensor([20.0, 50.0, 71.0])
    alpha, beta = (shape.detach().numpy() for shape in rival._shape(known))
    expected = -stats.beta(alpha, beta).logpdf(y.numpy() / 100).mean()
    loss = rival.loss(known, y, draw_pairs((3, 2)))
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_the_pinball_loss_over_all_levels_is_half_the_crps() -> None:
    """Of N(50, 8²) and a label of 57, in units of 12 points."""
    level = (torch.arange(20_000, dtype=torch.float64)[None] + 0.5) / 20_000
    loss = pinball(torch.tensor([57.0]), 50 + 8 * torch.special.ndtri(level), level).mean()
    posterior = Posterior.from_nodes(quantile_nodes(), 50 + 8 * quantile_nodes())
    assert 12 * 2 * loss.item() == pytest.approx(np.ravel(crps_of(posterior, 57.0))[0], rel=0.01)


def test_implicit_quantiles_are_taught_at_random_levels() -> None:
    """u = Φ(ε), so the pairs alone decide: the same network, other noise, another loss."""
    rival, known, y = ImplicitQuantile(WIDTH, ATTENTION), condition(2), torch.tensor([40.0, 60.0])
    theta, z = torch.rand(2, 3), torch.tensor([[-1.0, 0.0, 2.0], [0.5, 1.0, -2.0]])
    quantile = rival.quantiles(known, z)
    expected = pinball(y, quantile, torch.special.ndtr(z)).mean()
    assert torch.allclose(rival.loss(known, y, Pairs(theta, z)), expected)
    assert not torch.allclose(rival.loss(known, y, Pairs(theta, -z)), expected)


def test_histograms_are_linear_inside_a_bin() -> None:
    rival, known = Histogram(WIDTH, ATTENTION).eval(), condition(1)
    with torch.no_grad():
        for parameter in rival.out[3].parameters():
            parameter.zero_()  # all bins alike: the uniform distribution
        level = torch.tensor([[0.005, 0.11, 0.5, 0.973]], dtype=torch.float64)
        found = rival.quantiles(known, torch.special.ndtri(level))
    assert torch.allclose(found, 100 * level, atol=1e-6)


def test_interpolation_and_bisection_invert_a_function() -> None:
    x = torch.linspace(0.5, 3.5, 7, dtype=torch.float64)[None]
    knots = torch.tensor([[0.0, 1.0, 3.0]], dtype=torch.float64)
    assert torch.allclose(interpolate(x, knots, 2 * knots - 1), 2 * x - 1)  # beyond the last knot too
    found = bisect(lambda y: y**3, x, torch.zeros_like(x), torch.full_like(x, 2.0))
    assert torch.allclose(found**3, x, atol=1e-12)


@each_head
def test_saved_and_loaded_and_asked_with_anything_missing(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    video = torch.randn(3, 5, SMALL.width, generator=torch.Generator().manual_seed(4))
    studies = [
        Study(attributes=Attributes(70, None, 80, 180)),
        Study(),
        Study(attributes=Attributes(50, None, 75, 170)),
    ]
    rows, tokens = model.attribute_rows(studies), model.encode(studies)
    shown = torch.tensor([True, True, False])[:, None].expand(-1, 5)
    tokens = replace(tokens, tokens=video, mask=shown)
    before = model.posterior(tokens, rows)
    model.save(tmp_path)
    again = load(tmp_path)
    assert again.network.settings.head == name
    assert np.array_equal(again.posterior(tokens, rows).y_percent, before.y_percent)
    assert np.array_equal(again.unroll().posterior(tokens, rows).y_percent, before.y_percent)
    assert np.isfinite(before.median).all()
    assert before.draws is None
    assert before.trajectories is None
    nothing = model.posteriors([Study(), Study()])
    assert np.ptp(nothing.median) < 1e-4
    assert abs(nothing.median[0] - before.median[1]) > 1e-4  # the video was heard


@each_head
def test_draws_are_of_the_same_posterior(name: str) -> None:
    """iid points z give iid draws: the same quantiles as the nodes', within the error of 4,000 draws."""
    model = model_of(name)
    exact = model.posteriors([Study()])
    drawn = model.posteriors([Study()], type(PAPER)(draws=4000))
    assert drawn.draws == 4000
    assert np.array_equal(
        drawn.y_percent, model.posteriors([Study()], type(PAPER)(draws=4000, sampler="ddpm", steps=3)).y_percent
    )
    if name in MAY_CROSS:  # 23 nodes do not hold what an untrained network of this kind does between them
        return
    distance = np.abs(drawn.quantile([0.25, 0.5, 0.75]) - exact.quantile([0.25, 0.5, 0.75])).max()
    assert distance < 0.1 * exact.sd[0]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
@each_head
def test_the_training_command_trains_it(name: str, cache: Path, tmp_path: Path) -> None:
    """Phantoms to a saved model, as any network; training twice gives the same numbers."""
    overrides = {
        **{"data.train.n": "12", "data.val.n": "6", "data.cache": str(cache), "optim.batch": "6", "optim.epochs": "2"},
        **{"network.channels": "[8, 8, 8]", "network.width": "16", "network.heads": "2"},
        **{"network.kind": "head", "network.head": name},
    }
    settings = read_settings(CONFIGS / "phantom.toml", overrides)
    model, again = train(settings, tmp_path / "one"), train(settings, tmp_path / "two")
    assert model.sha256 == again.sha256
    assert 0 < model.card.figures["validation"]["crps"] < 60
    assert model.network.settings.head == name


def test_unknown_heads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="logit-normal"):
        NetworkSettings(kind="head", head="oracle")
    with pytest.raises(ValidationError, match="no head named ''"):
        NetworkSettings(kind="head")
    with pytest.raises(ValidationError, match="needs kind"):
        NetworkSettings(head="mdn")
    (tmp_path / "run.toml").write_text(
        '[data]\ntrain = {kind = "phantom", n = 2, seed = 1}\nval = {kind = "phantom", n = 2, seed = 2}\n'
        '[network]\nkind = "head"\nhead = "oracle"\n'
    )
    with pytest.raises(InvalidConfig, match="oracle"):
        read_settings(tmp_path / "run.toml")


def test_the_flow_without_zuko_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko.flows", None)
    with pytest.raises(MissingExtra) as refusal:
        head("flow")
    assert "pip install 'mcsdr[bench]'" in refusal.value.next_step
