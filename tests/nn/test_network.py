"""What the network promises: bounded size, one condition for many queries, missing means not looked at."""

from __future__ import annotations

import pytest
import torch
from tests.conftest import SMALL

from mcsdr.diffusion.denoiser import Pairs, draw_pairs
from mcsdr.nn.layers import CrossAttention
from mcsdr.nn.network import NetworkSettings, PosteriorNetwork, build_network
from mcsdr.nn.video_encoder import rearrange_patches

NAN = float("nan")


@pytest.fixture
def network() -> PosteriorNetwork:
    torch.manual_seed(1)
    net = PosteriorNetwork(SMALL).eval()
    torch.nn.init.normal_(net.score.out.weight)
    return net


def answers(
    network: PosteriorNetwork, tokens: torch.Tensor, mask: torch.Tensor, attributes: torch.Tensor
) -> torch.Tensor:
    """Velocity of three states at one angle."""
    condition = network.condition(tokens, mask, attributes)
    theta = torch.tensor(0.7)
    x = torch.tensor([[-1.0, 0.0, 2.0]]).expand(len(attributes), -1)
    return network.score(x, network.score.angles(theta), network.score.cache(condition))


def test_default_size_is_within_the_papers() -> None:
    counts = PosteriorNetwork(NetworkSettings()).parameter_counts()
    assert counts["total"] <= 690_000
    assert sum(n for name, n in counts.items() if name != "total") == counts["total"]


@pytest.mark.parametrize(("frames", "tokens"), [(12, 27), (24, 54), (32, 72)])
def test_a_clip_gives_nine_places_per_four_frames(frames: int, tokens: int) -> None:
    network = PosteriorNetwork(SMALL).eval()
    assert network.video_encoder(torch.randn(2, frames, 112, 112)).shape == (2, tokens, SMALL.width)


def test_patches_keep_every_pixel() -> None:
    video = torch.arange(2 * 4 * 8 * 8, dtype=torch.float32).view(2, 4, 8, 8)
    patches = rearrange_patches(video)
    assert patches.shape == (2, 32, 2, 2, 2)
    assert torch.equal(patches.flatten().sort().values, video.flatten())
    assert set(patches[0, :, 0, 0, 0].tolist()) == set(video[0, :2, :4, :4].flatten().tolist())


def test_attention_really_chooses_between_tokens() -> None:
    """With one token the softmax is 1 and attention an affine map; with several, the answer depends on the query."""
    torch.manual_seed(0)
    attention = CrossAttention(16, 2)
    queries = torch.randn(1, 5, 16) * 4
    one, many = torch.randn(1, 1, 16), torch.randn(1, 9, 16) * 4
    assert attention(queries, attention.cache(one, None)).std(dim=1).max() < 1e-5
    assert attention(queries, attention.cache(many, None)).std(dim=1).max() > 1e-2


def test_hidden_video_is_not_looked_at(network: PosteriorNetwork) -> None:
    attributes, mask = torch.tensor([[0.3, -1.0, NAN, 1.0]]), torch.zeros(1, 6, dtype=torch.bool)
    one, other = (answers(network, torch.randn(1, 6, SMALL.width), mask, attributes) for _ in range(2))
    none = answers(network, torch.empty(1, 0, SMALL.width), torch.zeros(1, 0, dtype=torch.bool), attributes)
    assert torch.equal(one, other)
    assert torch.allclose(one, none, atol=1e-6)


def test_padding_changes_nothing(network: PosteriorNetwork) -> None:
    tokens, attributes = torch.randn(1, 6, SMALL.width), torch.tensor([[0.3, -1.0, NAN, 1.0]])
    padded = torch.cat([tokens, torch.randn(1, 4, SMALL.width)], dim=1)
    mask = torch.arange(10)[None] < 6
    assert torch.allclose(
        answers(network, padded, mask, attributes), answers(network, tokens, mask[:, :6], attributes), atol=1e-6
    )


def test_every_attribute_and_its_absence_is_heard(network: PosteriorNetwork) -> None:
    tokens, mask = torch.randn(1, 6, SMALL.width), torch.ones(1, 6, dtype=torch.bool)
    known = torch.tensor([[0.3, -1.0, 0.5, 1.0]])
    base = answers(network, tokens, mask, known)
    for index in range(4):
        for value in (2.0, NAN):
            changed = known.clone()
            changed[0, index] = value
            assert not torch.allclose(answers(network, tokens, mask, changed), base, atol=1e-5)
    assert answers(network, tokens, mask, torch.full((1, 4), NAN)).isfinite().all()


def test_untrained_score_network_is_silent() -> None:
    """Before training the velocity is 0, so the posterior is the location-scale head's logit-normal."""
    network = PosteriorNetwork(SMALL).eval()
    tokens, mask = torch.randn(2, 6, SMALL.width), torch.ones(2, 6, dtype=torch.bool)
    assert (answers(network, tokens, mask, torch.zeros(2, 4)) == 0).all()


def test_gradients_reach_every_parameter(network: PosteriorNetwork) -> None:
    network.train()
    tokens = network.video_encoder(torch.randn(2, 32, 112, 112))
    mask = torch.ones(tokens.shape[:2], dtype=torch.bool)
    mask[1] = False
    attributes = torch.tensor([[0.3, -1.0, 0.5, 1.0], [NAN] * 4])
    condition = network.condition(tokens, mask, attributes)
    theta = torch.rand(2, 3)
    velocity = network.score(torch.randn(2, 3), network.score.angles(theta), network.score.cache(condition))
    a, b = network.location_scale(condition)
    (velocity.square().sum() + a.sum() + b.log().sum()).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("kind", ["posterior", "mcsdr"])
@pytest.mark.parametrize("encoder", ["uniformer-s", "r2plus1d-18"])
def test_every_encoder_under_every_head(encoder: str, kind: str) -> None:
    """Its tokens are learnt from, and the sampler's field takes them; several clips and views stand side by side."""
    torch.manual_seed(0)
    settings = SMALL.model_copy(update={"encoder": encoder, "kind": kind, "views": ("A4C", "PSAX")})
    network = build_network(settings).eval()
    tokens = network.encode(torch.rand(2, 8, 32, 32), ["A4C", "PSAX"])
    assert tokens.shape[0] == 2
    assert tokens.shape[2] == network.width
    both = tokens.flatten(0, 1)[None]
    mask = torch.ones(both.shape[:2], dtype=torch.bool)
    loss, nll = network.loss(both, mask, torch.zeros(1, 4), torch.tensor([55.0]), draw_pairs((1, 4)))
    (loss + nll).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.video_encoder.parameters())
    with torch.no_grad():
        field, a, b = network.flow(both, mask, torch.zeros(1, 4), network.prepare(torch.tensor([1.0, 0.5])))
        assert field(torch.zeros(1, 3), 1, 0.5).shape == (1, 3)
        assert a.shape == b.shape == (1, 1)


def test_views_are_told_apart() -> None:
    torch.manual_seed(0)
    network = build_network(SMALL.model_copy(update={"views": ("A4C", "PSAX")})).eval()
    clip = torch.randn(1, 12, 112, 112).expand(3, -1, -1, -1)
    four, short, other = network.encode(clip, ["A4C", "PSAX", "A2C"])
    assert not torch.allclose(four, short)
    plain = network.video_encoder(clip[:1])[0]
    assert torch.allclose(other, plain, atol=1e-5), "a view that was never learnt is taken as it is"


def test_readers_share_the_pairs_out_among_them() -> None:
    """The loss of two readers is the mean of each one's loss on its own pairs."""
    torch.manual_seed(0)
    network = build_network(SMALL).eval()
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.1)
    condition = torch.randn(3, 5, network.width), torch.ones(3, 5, dtype=torch.bool), torch.zeros(3, 4)
    readings, pairs = torch.tensor([[30.0, 41.0], [62.0, 55.0], [20.0, 22.0]]), draw_pairs((3, 6))
    both = network.loss(*condition, readings, pairs)
    own = [network.loss(*condition, readings[:, r], Pairs(*(x[:, r::2] for x in pairs))) for r in range(2)]
    for together, *apart in zip(both, *own, strict=True):
        assert together.item() == pytest.approx(sum(x.item() for x in apart) / 2, rel=1e-5)
    assert own[0][0].item() != pytest.approx(own[1][0].item(), rel=1e-3)
