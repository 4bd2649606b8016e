"""EF % and the residual are two names of one thing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mcsdr.diffusion.target import TARGETS, BoundedResidual, shrink, target
from mcsdr.errors import InvalidConfig

ordinary = st.floats(0.5, 99.5)
location, scale = st.floats(-4, 4), st.floats(0.02, 3)


@pytest.mark.parametrize("name", sorted(TARGETS))
@given(y=ordinary, a=location, b=scale)
def test_there_and_back(name: str, y: float, a: float, b: float) -> None:
    label = torch.tensor([y], dtype=torch.float64)
    back = target(name).to_percent(target(name).to_residual(label, a, b), a, b)
    torch.testing.assert_close(back, label, rtol=1e-12, atol=1e-12)


def test_belief_runs_from_the_prior_to_the_posterior_through_what_is_believed_half_way() -> None:
    """Quantiles of cosψ·L + sinψ·(a₀ + b₀ ε) for L = a + b w, w normal, tanψ = tanθ·b/b₀."""
    a, b, prior = torch.tensor([[0.4]]), torch.tensor([[0.3]]), (0.1, 0.8)
    z, theta = torch.linspace(-2, 2, 5)[None, None].repeat(3, 1, 1), torch.tensor([torch.pi / 2, 0.7, 0.0])
    seen = BoundedResidual().belief(z, theta, (a, b), prior)
    own, start = (100 * torch.sigmoid(m + s * z[0]) for m, s in ((a, b), prior))
    torch.testing.assert_close(seen[0], start, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(seen[2], own, rtol=1e-5, atol=1e-4)
    psi = torch.atan(theta[1].tan() * 0.3 / 0.8)
    centre = psi.cos() * a + psi.sin() * prior[0]
    spread = ((psi.cos() * b) ** 2 + (psi.sin() * prior[1]) ** 2).sqrt()
    torch.testing.assert_close(seen[1], 100 * torch.sigmoid(centre + spread * z[1]), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", sorted(TARGETS))
@given(y=ordinary, a=location, b=scale)
def test_the_jacobian_is_the_derivative(name: str, y: float, a: float, b: float) -> None:
    label = torch.tensor([y], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(target(name).to_residual(label, a, b).sum(), label)
    torch.testing.assert_close(target(name).log_jacobian(label.detach(), a, b), slope.log(), rtol=1e-10, atol=1e-10)


@given(w=st.floats(-50, 50), a=location, b=scale)
def test_every_residual_is_an_ejection_fraction(w: float, a: float, b: float) -> None:
    y = target("bounded").to_percent(torch.tensor(w, dtype=torch.float64), a, b)
    assert 0 <= float(y) <= 100


@given(y=ordinary)
def test_ordinary_labels_are_not_moved(y: float) -> None:
    assert float(shrink(torch.tensor(y, dtype=torch.float64))) == y


def test_labels_at_the_ends_are_finite_and_keep_their_order() -> None:
    y = torch.linspace(0, 100, 20001, dtype=torch.float64)
    w = target("bounded").to_residual(y, 0.2, 0.5)
    assert torch.isfinite(w).all()
    assert (w.diff() > 0).all()
    assert torch.isfinite(target("bounded").log_jacobian(y, 0.2, 0.5)).all()


def test_the_papers_target_is_the_label() -> None:
    y = torch.tensor([12.0, 55.0, 78.5])
    assert torch.equal(target("raw").to_residual(y, 0.0, 1.0), y)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(InvalidConfig):
        target("cubic")
