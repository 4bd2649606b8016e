"""The compact encoder: its flat convolutions are the deep ones, and batch norms fold away."""

import pytest
import torch
import torch.nn.functional as F

from mcsdr.nn.video_encoder import CompactEncoder, PlaneConv, TimeConv, folded


def encoder(norm: str) -> CompactEncoder:
    torch.manual_seed(0)
    return CompactEncoder((8, 12, 16), 24, 4, 16, norm=norm)


@pytest.mark.parametrize(
    ("kind", "kernel", "stride", "padding"),
    [(PlaneConv, (1, 3, 3), (1, 2, 2), (0, 1, 1)), (TimeConv, (3, 1, 1), (2, 1, 1), (1, 0, 0))],
)
def test_flat_convolutions_are_the_deep_ones(kind, kernel, stride, padding):
    conv = kind(4, 6, kernel, stride, padding)
    x = torch.randn(2, 4, 8, 10, 12)
    for one in (x, x.contiguous(memory_format=torch.channels_last_3d)):
        expected = F.conv3d(one, conv.weight, conv.bias, stride, padding)
        torch.testing.assert_close(conv(one), expected, rtol=1e-4, atol=1e-5)


def test_batch_norms_fold_into_the_convolutions():
    with_norms, without = encoder("batch"), encoder("none")
    video = torch.randn(3, 16, 112, 112)
    with_norms(video)  # moves the running statistics away from 0 and 1
    for module in with_norms.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
    without.load_state_dict(folded(with_norms.state_dict()))
    with torch.no_grad():
        torch.testing.assert_close(without(video), with_norms.eval()(video), rtol=1e-3, atol=1e-4)


def test_an_encoder_without_norms_answers_for_each_clip_alone_and_keeps_power():
    one = encoder("none")
    video = torch.randn(4, 16, 112, 112)
    with torch.no_grad():
        together, alone = one(video), one(video[:1])
    torch.testing.assert_close(together[:1], alone, rtol=1e-3, atol=1e-4)
    features = []
    hooks = [stage.register_forward_hook(lambda _m, _i, out: features.append(out.std())) for stage in one.stages]
    one(video)
    for hook in hooks:
        hook.remove()
    assert len(features) == 5
    assert min(features) > 0.2
    assert max(features) < 5
