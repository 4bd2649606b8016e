"""DICOM: times, attributes, colour models, refusals; and no error but one of this package's, whatever the bytes."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_clips import (
    PLANTED_ID,
    PLANTED_NAME,
    Pictures,
    doppler_loop,
    fan_loop,
    jpeg_ultrasound,
    region,
    still_coded,
    ultrasound,
)
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from mcsdr.errors import (
    ClipTooShort,
    McsdrError,
    NoFrameTime,
    NotBMode,
    SingleFrame,
    UnreadableFile,
    UnsupportedFormat,
)
from mcsdr.io import dicom_file, dicom_pixels, read_clip, read_study
from mcsdr.io.colour import luma
from mcsdr.io.cutting import SectorStack
from mcsdr.io.dicom_file import opened
from mcsdr.io.dicom_pixels import frames_of
from mcsdr.io.recording import FrameStack

Save = Callable[[Dataset], Path]


def decoded(path: Path) -> Pictures:
    """The whole pictures of a file, before the sector is cut out: uint8 [T, H, W]."""
    with opened(path) as file:
        frames = frames_of(file)
        stack = FrameStack(path, frames.count, frames.height, frames.width)
        frames.decode(stack)
        return stack.frames()


def codes(*notices: Any) -> list[str]:
    """The codes of some notices."""
    return [notice.code for notice in notices]


def test_real_clip_reads_with_its_times() -> None:
    clip = read_clip(get_testdata_file("examples_ybr_color.dcm"))
    assert len(clip.frames) == 30
    assert clip.frame_rate_hz == pytest.approx(30.0, rel=1e-3)
    assert clip.heart_rate_bpm is None  # the file says 0
    assert clip.source == "examples_ybr_color.dcm"


def test_jpeg_baseline_has_the_levels_that_another_decoder_gives() -> None:
    path = Path(get_testdata_file("examples_ybr_color.dcm"))
    from pydicom import dcmread

    stored = dcmread(path)
    theirs = luma(stored.pixel_array)
    ours = decoded(path)
    assert np.abs(ours.astype(int) - theirs).mean() < 0.5


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("model", ["MONOCHROME2", "MONOCHROME1", "RGB", "YBR_FULL", "PALETTE COLOR"])
def test_every_colour_model_gives_the_same_luma(save: Save, fan: Pictures, syntax: str, model: str) -> None:
    grey = fan[:20]
    stored = {
        "MONOCHROME2": grey,
        "MONOCHROME1": 255 - grey,
        "PALETTE COLOR": 255 - grey,
        "RGB": np.repeat(grey[..., None], 3, -1),
        "YBR_FULL": np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], -1),
    }[model]
    dataset = ultrasound(stored, PhotometricInterpretation=model)
    if model == "PALETTE COLOR":
        for colour in ("Red", "Green", "Blue"):
            setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
            table = (np.arange(255, -1, -1, dtype=np.uint16) * 257).tobytes()
            setattr(dataset, f"{colour}PaletteColorLookupTableData", table)
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    dataset.file_meta.TransferSyntaxUID = syntax
    frames = decoded(save(dataset))
    assert np.abs(frames.astype(int) - grey).max() <= 1


def test_sixteen_bit_pixels_are_scaled_by_the_bits_stored(save: Save, fan: Pictures) -> None:
    dataset = ultrasound(fan[:20], BitsAllocated=16, BitsStored=12, HighBit=11)
    dataset.PixelData = (fan[:20].astype("<u2") << 4).tobytes()
    assert np.array_equal(decoded(save(dataset)), fan[:20])


def test_jpeg_in_colour_and_grey_are_read_and_cut(save: Save, screen: Pictures, fan: Pictures) -> None:
    for frames in (screen, fan):
        clip = read_clip(save(jpeg_ultrasound(frames)))
        assert clip.frames.shape[0] == 40
        assert clip.crop is not None
        assert clip.crop.method == "picture"
        assert clip.crop.height < 200


@pytest.mark.parametrize(
    ("tags", "rate", "notice"),
    [
        ({}, 1000 / 33.333, []),
        ({"FrameTime": "20", "CineRate": 50}, 50, []),
        ({"FrameTime": "20", "CineRate": 30}, 50, ["frame-time-disagrees"]),
        ({"FrameTime": None, "CineRate": 40}, 40, []),
        ({"FrameTime": "0", "RecommendedDisplayFrameRate": 25}, 25, []),
        ({"FrameTime": None, "CineRate": 0, "FrameTimeVector": [0.0] + [25.0] * 39}, 40, []),
        ({"FrameTime": None, "CineRate": 20, "FrameTimeVector": [0.0] + [25.0] * 39}, 20, ["frame-time-disagrees"]),
    ],
)
def test_time_is_taken_in_the_order_of_trust(
    save: Save, fan: Pictures, tags: dict[str, Any], rate: float, notice: list[str]
) -> None:
    clip = read_clip(save(ultrasound(fan, HeartRate=100, **tags)))
    assert clip.frame_rate_hz == pytest.approx(rate, rel=1e-6)
    assert codes(*clip.notices) == notice


def test_frame_time_vector_gives_uneven_times(save: Save, fan: Pictures) -> None:
    steps = [0.0] + [20.0, 30.0, 25.0] * 13
    clip = read_clip(save(ultrasound(fan, FrameTime=None, FrameTimeVector=steps)))
    assert clip.frame_times_s == pytest.approx(np.cumsum(steps) / 1000.0)


@pytest.mark.parametrize("value", [None, "0", "1000000", "0.000001"])
def test_no_plausible_time_is_refused_until_a_rate_is_given(save: Save, fan: Pictures, value: str | None) -> None:
    path = save(ultrasound(fan, FrameTime=value))
    with pytest.raises(NoFrameTime):
        read_clip(path)
    assert read_clip(path, frame_rate_hz=50).duration_s == pytest.approx(0.8)


def test_r_waves_come_in_seconds(save: Save, fan: Pictures) -> None:
    path = save(ultrasound(fan, RWaveTimeVector=[120.0, 920.0]))
    assert read_clip(path).r_wave_times_s == pytest.approx((0.12, 0.92))
    assert read_clip(path, frame_rate_hz=50).r_wave_times_s == ()  # another clock than the file's
    assert read_clip(save(ultrasound(fan, RWaveTimeVector=[920.0, 120.0]))).r_wave_times_s == ()
    assert read_clip(save(ultrasound(fan))).r_wave_times_s == ()


def test_attributes_come_from_the_file_and_the_caller_goes_first(save: Save, fan: Pictures) -> None:
    tags = {"PatientAge": "018M", "PatientSex": "F", "PatientSize": "0.82", "PatientWeight": "11.5", "HeartRate": 110}
    path = save(ultrasound(fan, **tags))
    study = read_study(path)
    assert study.attributes.age_years == pytest.approx(1.5)
    assert study.attributes.sex == "F"
    assert study.attributes.height_cm == pytest.approx(82.0)
    assert study.attributes.weight_kg == pytest.approx(11.5)
    assert study.clips[0].heart_rate_bpm == 110
    assert study.all_notices == ()
    assert read_study(path, age=2, sex="m").attributes.known()["sex"] == "M"


@pytest.mark.parametrize(("text", "years"), [("063Y", 63.0), ("006W", 42 / 365.25), ("010D", 10 / 365.25)])
def test_ages_in_every_unit(save: Save, fan: Pictures, text: str, years: float) -> None:
    assert read_study(save(ultrasound(fan, PatientAge=text))).attributes.age_years == pytest.approx(years)


def test_implausible_attributes_are_dropped_with_a_notice(save: Save, fan: Pictures) -> None:
    tags = {"PatientAge": "000Y", "PatientSex": "O", "PatientSize": "172", "PatientWeight": "0", "HeartRate": 999}
    path = save(ultrasound(fan, **tags))
    study = read_study(path)
    assert study.attributes.known() == {}
    assert sorted(codes(*study.all_notices)) == ["attribute-implausible"] * 3 + ["heart-rate-implausible"]
    assert codes(*read_study(path, age=50, weight=70, height=172).notices) == []


@pytest.mark.parametrize(
    ("regions", "refused"),
    [
        ([region(1, 1, (0, 0, 319, 239))], None),
        ([region(2, 1, (0, 0, 319, 239))], "M-mode"),
        ([region(3, 3, (0, 0, 319, 239))], "spectral"),
        ([region(1, 1, (0, 0, 319, 150)), region(1, 2, (50, 50, 200, 150))], "colour"),
        ([region(0, 0, (0, 0, 319, 239), units=0), region(3, 4, (0, 100, 319, 239))], "spectral"),
    ],
)
def test_modes_are_refused_by_region(save: Save, fan: Pictures, regions: list[Dataset], refused: str | None) -> None:
    path = save(ultrasound(fan, SequenceOfUltrasoundRegions=regions))
    if refused is None:
        assert read_clip(path).crop is not None
    else:
        with pytest.raises(NotBMode, match=refused):
            read_clip(path)


def test_a_region_that_fits_limits_the_crop_and_a_screen_without_units_does_not(save: Save, fan: Pictures) -> None:
    screen_wide = region(1, 1, (0, 0, 319, 239), units=0)
    fitting = region(1, 1, (36, 14, 284, 204))
    for regions, method in (([screen_wide, fitting], "regions"), ([screen_wide], "picture")):
        clip = read_clip(save(ultrasound(fan, SequenceOfUltrasoundRegions=regions)))
        assert clip.crop is not None
        assert clip.crop.method == method


def test_colour_flow_is_refused_by_its_pixels_and_not_by_a_flag(save: Save, fan: Pictures) -> None:
    assert read_clip(save(ultrasound(fan, UltrasoundColorDataPresent=1))).notices == ()  # a flag alone refuses nothing
    for dataset in (ultrasound(doppler_loop(20)), jpeg_ultrasound(doppler_loop(20))):
        with pytest.raises(NotBMode, match="picture shows"):
            read_clip(save(dataset))


def test_other_objects_stills_and_short_clips_are_refused(save: Save, fan: Pictures) -> None:
    still = "1.2.840.10008.5.1.4.1.1.6.1"
    with pytest.raises(SingleFrame):
        read_clip(save(ultrasound(fan[:1], SOPClassUID=still)))
    with pytest.raises(SingleFrame):
        read_clip(save(ultrasound(fan[:1])))
    with pytest.raises(ClipTooShort):
        read_clip(save(ultrasound(fan[:10])))
    with pytest.raises(UnsupportedFormat, match="CT Image Storage"):
        read_clip(get_testdata_file("CT_small.dcm"))
    with pytest.raises(UnreadableFile, match="no pixel data"):
        read_clip(save(ultrasound(fan, PixelData=None)))


def test_less_than_a_beat_is_noted_by_the_heart_rate_of_the_file(save: Save, fan: Pictures) -> None:
    clip = read_clip(save(ultrasound(fan[:30], HeartRate=50)))
    assert codes(*clip.notices) == ["may-hold-less-than-one-beat"]
    assert read_clip(save(ultrasound(fan[:30], HeartRate=70))).notices == ()
    assert read_clip(save(ultrasound(fan[:30], NominalInterval=800))).heart_rate_bpm == 75
    assert read_clip(save(ultrasound(fan[:30], NominalInterval=800, HeartRate=70))).heart_rate_bpm == 70


def test_a_codec_that_is_not_there_is_named_with_a_next_step(
    save: Save, fan: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(still_coded(fan, "jpeg-ls"))
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    with pytest.raises(UnsupportedFormat, match="JPEG-LS") as caught:
        read_clip(path)
    assert "JPEG baseline" in caught.value.next_step


def test_a_private_transfer_syntax_is_said_to_be_one(save: Save, fan: Pictures) -> None:
    dataset = jpeg_ultrasound(fan)
    dataset.PixelData = encapsulate([b"NOT A PICTURE " * 9] * 40)
    path = save(dataset)
    path.write_bytes(path.read_bytes().replace(JPEGBaseline8Bit.encode(), b"1.2.840.113619.5.2.111"))
    with pytest.raises(UnsupportedFormat, match="a private one"):
        read_clip(path)


def test_missing_frames_are_an_error_and_a_few_a_notice(save: Save) -> None:
    frames = fan_loop(60, 60, 80)
    for dataset in (ultrasound(frames), jpeg_ultrasound(frames)):
        dataset.NumberOfFrames = 120
        with pytest.raises(UnreadableFile, match="declares 120 frames and holds 60"):
            read_clip(save(dataset))
        dataset.NumberOfFrames = 62
        assert codes(*read_clip(save(dataset)).notices) == ["frames-missing"]


def test_forged_sizes_and_deflate_bombs_are_refused_quickly(
    save: Save, fan: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.process_time()
    for tags in ({"NumberOfFrames": 2**31}, {"Rows": 65_535, "Columns": 65_535}):
        with pytest.raises(UnreadableFile):
            read_clip(save(ultrasound(fan, **tags)))
    small = ultrasound(fan[:20], DeflatedExplicitVRLittleEndian)
    content = save(small).read_bytes()
    head = content[: content.rindex(DeflatedExplicitVRLittleEndian.encode()) + len(DeflatedExplicitVRLittleEndian)]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(1 << 24)) for _ in range(5)) + packer.flush()
    path = tmp_path / "bomb.dcm"
    path.write_bytes(head + bomb)
    with pytest.raises(UnreadableFile, match="first 64 KiB inflate to 65 MiB of the same values"):
        read_clip(path)
    assert time.process_time() - start < 15.0  # a guard against hanging, not a measure of speed
    monkeypatch.setattr(dicom_file, "MAX_INFLATED", 1 << 20)
    with pytest.raises(UnreadableFile, match="inflates to more than 1 MiB"):
        read_clip(save(small))


def test_images_that_claim_another_size_than_the_header_are_not_decoded(save: Save, screen: Pictures) -> None:
    for model in ("YBR_FULL_422", "RGB"):
        dataset = jpeg_ultrasound(screen[:20])
        dataset.PhotometricInterpretation = model
        size = b"\xff\xc0\x00\x11\x08"
        dataset.PixelData = dataset.PixelData.replace(size + b"\x00\xf0\x01\x40", size + b"\x30\x00\x30\x00")
        with pytest.raises(UnreadableFile, match="holds 0"):
            read_clip(save(dataset))


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")  # from writing the file
def test_planted_names_appear_in_no_record_and_no_message(save: Save, fan: Pictures) -> None:
    tags = {"PatientAge": PLANTED_ID[:4], "InstitutionName": PLANTED_NAME}
    study = read_study(save(ultrasound(fan, **tags)))
    said = repr(study.all_notices) + study.clips[0].source + study.patient_id + study.study_id
    for broken in ({"SOPClassUID": "1.2.3"}, {"NumberOfFrames": 400}, {"PixelData": None}, {"FrameTime": None}):
        with pytest.raises(McsdrError) as caught:
            read_study(save(ultrasound(fan, **{**tags, **broken})))
        said += str(caught.value)
    assert "Planted" not in said
    assert "PLAN" not in said


def test_mutated_files_raise_only_errors_of_this_package(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    frames = fan_loop(20, 48, 64)
    originals = []
    for dataset in (ultrasound(frames), jpeg_ultrasound(frames), ultrasound(frames)):
        if originals:
            dataset.SequenceOfUltrasoundRegions = [region(1, 1, (0, 0, 63, 47))]
        if len(originals) == 2:
            dataset.compress(RLELossless)
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        originals.append(buffer.getvalue())
    path = tmp_path / "mutant.dcm"
    for seed in range(150):
        content = bytearray(originals[seed % 3])
        reach = len(content) if seed % 4 == 0 else 1200
        for at in rng.integers(132, reach, 1 + seed % 15):
            content[at] = rng.integers(256)
        if seed % 7 == 0:
            del content[int(rng.integers(140, len(content))) :]
        path.write_bytes(content)
        with contextlib.suppress(McsdrError):
            assert np.all(np.diff(read_clip(path).frame_times_s) > 0)


def test_deeply_nested_sequences_are_one_error(save: Save, fan: Pictures, tmp_path: Path) -> None:
    content = save(ultrasound(fan[:20], ImplicitVRLittleEndian)).read_bytes()
    sequence = b"\x18\x00\x11\x60\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path = tmp_path / "nested.dcm"
    at = content.index(b"\x28\x00\x02\x00")
    path.write_bytes(content[:at] + sequence * 3000 + content[at:])
    with pytest.raises(UnreadableFile):
        read_clip(path)


def test_runs_that_unpack_to_nothing_else_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = struct.pack("<16L", 1, 64, *([0] * 14)) + b"\x81\0" * (512 * 512 // 128)
    dataset = ultrasound(np.zeros((40, 512, 512), dtype=np.uint8), RLELossless)
    dataset.PixelData = encapsulate([frame] * 40)
    dataset["PixelData"].VR = "OB"
    path = tmp_path / "bomb.dcm"
    dataset.save_as(path, enforce_file_format=True)
    assert len(read_clip(path).frames) == 40  # small enough not to be asked
    monkeypatch.setattr(dicom_pixels, "LARGE", 1 << 20)
    with pytest.raises(UnreadableFile, match="of one grey"):
        read_clip(path)
    pictures = ultrasound(fan_loop(20, 256, 256))
    pictures.compress(RLELossless)
    pictures.save_as(path, enforce_file_format=True)
    assert len(read_clip(path).frames) == 20


@pytest.mark.parametrize(("count", "side", "match"), [(20_000, 600, "Gi pixels"), (4_000_000_000, 64, "frames")])
def test_more_than_can_be_decoded_is_refused_by_what_is_declared(count: int, side: int, match: str) -> None:
    with pytest.raises(UnreadableFile, match=match):
        SectorStack(Path("clip"), count, side, side)


def test_a_clip_of_many_minutes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.dcm"
    ultrasound(np.zeros((1600, 8, 8), dtype=np.uint8), FrameTime="200").save_as(path, enforce_file_format=True)
    with pytest.raises(UnreadableFile, match="it lasts 320 s"):
        read_clip(path)
