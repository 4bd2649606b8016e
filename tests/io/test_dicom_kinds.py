"""What the samples of a DICOM file are and how they are coded: judged by what is there, whatever its labels say."""

from __future__ import annotations

import io

import jpeg_ls
import numpy as np
import pytest
from generated_clips import Pictures, fan_loop, still_coded, ultrasound
from PIL import Image
from public_loop import COUNT, HEIGHT, WIDTH, Save, alike, changed, plain, rgb_of, same
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEGLossless, RLELossless
from streams import video_stream

from mcsdr.errors import McsdrError
from mcsdr.io import read_clip
from mcsdr.study import Clip


def test_the_loop_as_it_is(clean: Clip) -> None:
    assert clean.frames.shape == (30, 180, 260)
    assert clean.notices == ()


# What the samples are


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL", "YBR_PARTIAL_422", "ybr_full_422", " YBR_FULL_422 ", None])
def test_jpeg_is_what_its_stream_says_whatever_the_label(save: Save, clean: Clip, label: str | None) -> None:
    told = {"RGB": "colour-label-untrue", None: "colour-label-missing"}.get(label)
    if label == "ybr_full_422":
        path = save(changed())
        path.write_bytes(path.read_bytes().replace(b"YBR_FULL_422", b"ybr_full_422"))
    else:
        path = save(changed(PhotometricInterpretation=label))
    same(read_clip(path), clean, *([told] if told else []))


def test_rgb_inside_jpeg_is_read_as_such(save: Save, clean: Clip, samples: Pictures) -> None:
    """Adobe's marker says RGB; the label says otherwise, and so does nothing at all."""
    data = []
    for picture in rgb_of(samples):
        memory = io.BytesIO()
        Image.fromarray(picture).save(memory, "JPEG", quality=100, subsampling=0, keep_rgb=True)
        data.append(memory.getvalue())
    adobe = data[0].index(b"\xff\xee")
    bare = [one[:adobe] + one[adobe + 2 + int.from_bytes(one[adobe + 2 : adobe + 4], "big") :] for one in data]
    frame = bare[0].index(b"\xff\xc0")
    nameless = [one[: frame + 10] + b"\1" + one[frame + 11 :] for one in bare]  # a component no longer called R
    scan = nameless[0].index(b"\xff\xda")
    nameless = [one[: scan + 5] + b"\1" + one[scan + 6 :] for one in nameless]
    for frames, label in ((data, "YBR_FULL_422"), (bare, "RGB"), (nameless, "RGB"), (nameless, "YBR_FULL")):
        dataset = changed(PhotometricInterpretation=label)
        dataset.PixelData = encapsulate(frames)
        told = [] if label == "RGB" else ["colour-label-untrue"]
        same(read_clip(save(dataset)), clean, *told, tolerance=0.7)


@pytest.mark.parametrize("coding", ["plain", "planes", "rle"])
@pytest.mark.parametrize("label", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("stored", ["RGB", "YBR_FULL"])
def test_samples_are_judged_by_their_values(
    save: Save, clean: Clip, samples: Pictures, coding: str, label: str, stored: str
) -> None:
    pictures = samples if stored == "YBR_FULL" else rgb_of(samples)
    if coding == "rle":
        pictures = pictures[::3]
        clean = read_clip(save(plain(pictures, stored, NumberOfFrames=len(pictures), FrameTime="99.999")))
    dataset = plain(pictures, label, PlanarConfiguration=0)
    if coding == "planes":
        dataset = plain(np.moveaxis(pictures, -1, 1), label, PlanarConfiguration=1)
    if coding == "rle":
        dataset.NumberOfFrames = len(pictures)
        dataset.compress(RLELossless)
        dataset.PhotometricInterpretation = label
        clip = read_clip(save(dataset), frame_rate_hz=10)
        assert np.array_equal(clip.frames, clean.frames)
        assert ("colour-label-untrue" in [notice.code for notice in clip.notices]) == (stored != label)
        return
    same(read_clip(save(dataset)), clean, *([] if stored == label else ["colour-label-untrue"]))


@pytest.mark.parametrize("label", ["YBR_FULL_422", "YBR_PARTIAL_422"])
@pytest.mark.parametrize("counted", [True, False])
def test_two_bytes_a_pixel(save: Save, clean: Clip, samples: Pictures, label: str, counted: bool) -> None:
    pairs = np.empty((COUNT, HEIGHT, WIDTH // 2, 4), dtype=np.uint8)
    pairs[..., 0], pairs[..., 1] = samples[:, :, 0::2, 0], samples[:, :, 1::2, 0]
    pairs[..., 2:] = samples[:, :, 0::2, 1:]
    clip = read_clip(save(plain(pairs, label, NumberOfFrames=COUNT if counted else 1)))
    same(clip, clean, *([] if counted else ["frame-count-untrue"]))


def test_the_limited_range_of_partial_ybr_is_stretched(save: Save, clean: Clip, samples: Pictures) -> None:
    limited = samples.copy()
    limited[..., 0] = np.rint(16 + samples[..., 0] * (219 / 255))
    same(read_clip(save(plain(limited, "YBR_PARTIAL_422"))), clean, tolerance=0.5)


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL_422"])
@pytest.mark.parametrize("planes", [0, 1])
def test_a_missing_planar_configuration_is_found(
    save: Save, clean: Clip, samples: Pictures, label: str, planes: int
) -> None:
    pictures = rgb_of(samples) if label == "RGB" else samples
    same(
        read_clip(save(plain(np.moveaxis(pictures, -1, 1) if planes else pictures, label, PlanarConfiguration=None))),
        clean,
    )


@pytest.mark.parametrize("planes", [0, 1])
def test_an_untrue_planar_configuration_is_told(save: Save, clean: Clip, samples: Pictures, planes: int) -> None:
    pictures = rgb_of(samples)
    dataset = plain(np.moveaxis(pictures, -1, 1) if planes else pictures, "RGB", PlanarConfiguration=1 - planes)
    same(read_clip(save(dataset)), clean, "planar-configuration-untrue")


def test_a_tint_does_not_upset_planes(save: Save, samples: Pictures) -> None:
    tinted = (rgb_of(samples) * [1.0, 0.75, 0.45]).astype(np.uint8)
    dataset = plain(np.moveaxis(tinted, -1, 1), "RGB", PlanarConfiguration=1)
    assert read_clip(save(dataset)).notices == ()


def test_eight_bits_that_are_called_sixteen(save: Save) -> None:
    frames = fan_loop(20)
    wanted = read_clip(save(ultrasound(frames)))
    dataset = ultrasound(frames, BitsAllocated=16, BitsStored=16, HighBit=15)
    dataset.PixelData = frames.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    clip = read_clip(save(dataset))
    assert np.array_equal(clip.frames, wanted.frames)
    assert "bit-depth-untrue" in [notice.code for notice in clip.notices]


def test_big_endian_words(save: Save) -> None:
    frames = fan_loop(20)
    dataset = ultrasound(frames, BitsAllocated=16, BitsStored=12, HighBit=11)
    wanted = read_clip(save(ultrasound(frames)))
    dataset.PixelData = (frames.astype("u2") << 4).astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset["PixelData"].VR = "OW"
    assert np.array_equal(read_clip(save(dataset)).frames, wanted.frames)


# How they are coded


@pytest.mark.parametrize("kind", ["jpeg-lossless", "jpeg-ls", "jpeg2000"])
def test_stills_coded_without_loss(save: Save, clean: Clip, samples: Pictures, kind: str) -> None:
    grey = samples[:16, ..., 0]
    dataset = still_coded(np.ascontiguousarray(grey), kind)
    wanted = read_clip(save(ultrasound(grey)))
    for syntax in [dataset.file_meta.TransferSyntaxUID, *([JPEGLossless] if kind == "jpeg-lossless" else [])]:
        dataset.file_meta.TransferSyntaxUID = syntax  # lossless JPEG has two
        clip = read_clip(save(dataset))
        assert np.array_equal(clip.frames, wanted.frames)
        assert clip.crop == wanted.crop


def test_colour_in_jpeg_2000_and_jpeg_ls(save: Save, samples: Pictures) -> None:
    rgb = rgb_of(samples[:16])
    wanted = read_clip(save(ultrasound(rgb)))
    for kind, label in (("jpeg2000", "YBR_RCT"), ("jpeg2000", "RGB"), ("jpeg-ls", "RGB")):
        dataset = still_coded(rgb, kind)
        dataset.PhotometricInterpretation = label
        clip = read_clip(save(dataset))
        assert np.array_equal(clip.frames, wanted.frames)
        assert clip.notices == wanted.notices
    for label in ("YBR_FULL", "RGB"):  # the samples tell
        dataset = still_coded(samples[:16], "jpeg2000")
        dataset.PhotometricInterpretation = label
        wanted = read_clip(save(ultrasound(samples[:16], PhotometricInterpretation="YBR_FULL")))
        assert np.array_equal(read_clip(save(dataset)).frames, wanted.frames)


@pytest.mark.parametrize(("label", "lossy", "within"), [("YBR_RCT", False, 0), ("YBR_ICT", True, 1)])
def test_the_colour_transforms_of_jpeg_2000(
    save: Save, samples: Pictures, label: str, lossy: bool, within: float
) -> None:
    rgb = rgb_of(samples[:16])
    wanted = read_clip(save(ultrasound(rgb)))
    coded = []
    for picture in rgb:
        memory = io.BytesIO()
        layers = {"quality_mode": "dB", "quality_layers": [60]} if lossy else {}
        Image.fromarray(picture).save(memory, "JPEG2000", irreversible=lossy, no_jp2=True, mct=1, **layers)
        coded.append(memory.getvalue())
    dataset = still_coded(rgb[:1], "jpeg2000")
    dataset.NumberOfFrames, dataset.PhotometricInterpretation = len(coded), label
    dataset.PixelData = encapsulate(coded)
    clip = read_clip(save(dataset))
    assert clip.crop == wanted.crop
    assert np.abs(clip.frames.astype(int) - wanted.frames).mean() <= within
    assert clip.notices == wanted.notices


@pytest.mark.parametrize("interleave", [0, 1, 2])
def test_jpeg_ls_in_every_order_of_its_samples(save: Save, samples: Pictures, interleave: int) -> None:
    rgb = rgb_of(samples[:16])
    coded = []
    for picture in rgb:
        arranged = np.ascontiguousarray(np.moveaxis(picture, -1, 0)) if interleave == 0 else picture
        coded.append(bytes(jpeg_ls.encode_array(arranged, interleave_mode=interleave)))
    dataset = still_coded(rgb[:1], "jpeg-ls")
    dataset.NumberOfFrames = len(coded)
    dataset.PixelData = encapsulate(coded)
    assert np.array_equal(read_clip(save(dataset)).frames, read_clip(save(ultrasound(rgb))).frames)


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264", "libx265"])
def test_video_streams(save: Save, clean: Clip, samples: Pictures, codec: str) -> None:
    dataset = changed(NumberOfFrames=3 * COUNT, PhotometricInterpretation="YBR_PARTIAL_420")
    stream = video_stream(np.concatenate([rgb_of(samples)] * 3), codec)
    half = len(stream) // 4 * 2
    dataset.PixelData = encapsulate([stream[:half], stream[half:]])
    clip = read_clip(save(dataset))
    assert len(clip.frames) == 3 * COUNT
    assert clip.frame_rate_hz == pytest.approx(30.0, rel=1e-3)
    alike(clip, clean, 6.0)


@pytest.mark.parametrize("label", ["", ".1", ".2", ".1.99", ".4.70", ".4.90", ".4.102", "9.9", None])
@pytest.mark.parametrize("compressed", [True, False])
def test_an_untrue_transfer_syntax_deceives_nobody(
    save: Save, clean: Clip, samples: Pictures, label: str | None, compressed: bool
) -> None:
    path = save(changed() if compressed else plain(samples, "YBR_FULL"))
    content = path.read_bytes()
    at = content.index(b"1.2.840.10008.1.2.", content.index(b"\x02\x00\x10\x00"))
    room = int.from_bytes(content[at - 2 : at], "little")
    named = (b"" if label is None else b"1.2.840.10008.1.2" + label.encode())[:room].ljust(room, b"\0")
    path.write_bytes(content[:at] + named + content[at + room :])
    same(read_clip(path), clean)


def test_implicit_elements_that_are_called_explicit(save: Save, clean: Clip, samples: Pictures) -> None:
    dataset = plain(samples, "YBR_FULL")
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    path = save(dataset)
    content = path.read_bytes()
    at = content.index(b"1.2.840.10008.1.2\0", content.index(b"\x02\x00\x10\x00"))
    group = content.index(b"\x02\x00\x00\x00UL") + 8
    longer = int.from_bytes(content[group : group + 4], "little") + 2
    content = content[:group] + longer.to_bytes(4, "little") + content[group + 4 :]
    path.write_bytes(content[: at - 2] + b"\x14\x001.2.840.10008.1.2.1\0" + content[at + 18 :])
    same(read_clip(path), clean)


def test_pictures_of_another_size_than_the_header_says(save: Save, clean: Clip) -> None:
    same(read_clip(save(changed(Rows=236, Columns=316))), clean, "picture-size-untrue")


def test_every_kind_of_failure_is_typed(save: Save) -> None:
    for tags in ({"PhotometricInterpretation": "HSV"}, {"SOPClassUID": "1.2.3"}, {"PixelData": None}):
        with pytest.raises(McsdrError):
            read_clip(save(changed(**tags)))
