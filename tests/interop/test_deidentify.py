"""De-identification: nothing planted survives, what the model reads does, and doubt is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, RLELossless
from tests.io.generated_clips import fan_loop, fan_mask, jpeg_ultrasound, region, screen_loop, still_coded, ultrasound

from mcsdr.cli.deidentify import deidentify as deidentify_command
from mcsdr.errors import (
    Identifiable,
    InvalidConfig,
    MissingFile,
    SeveralLoops,
    UnreadableFile,
    UnsupportedFormat,
)
from mcsdr.interop.deidentify import deidentified, deidentify
from mcsdr.interop.traces import stand_in_pixels, traces
from mcsdr.io import read_study

PLANTED = (b"Planted", b"PLANTED", b"19480229", b"M\xc3\xbcnchhausen", b"M\xfcnchhausen", b"47110815", b"Heartford")
BANNER = (slice(0, 30), slice(0, 120))  # where the screen's text stands
SALT = "a secret"


def planted(frames: np.ndarray[Any, Any] | None = None, **tags: Any) -> Dataset:
    """A clip with a name, an identifier, a date or a place wherever one may stand."""
    clip = ultrasound(screen_loop(12) if frames is None else frames, HeartRate="61", **tags)
    clip.SpecificCharacterSet = "ISO_IR 192"
    clip.PatientName, clip.PatientID, clip.IssuerOfPatientID = "Münchhausen^Planted", "PLANTED-47110815", "Heartford"
    clip.PatientBirthDate = clip.StudyDate = clip.AcquisitionDateTime = "19480229"
    clip.OtherPatientIDsSequence = [Dataset()]
    clip.OtherPatientIDsSequence[0].PatientID = "PLANTED-47110815"
    clip.StudyInstanceUID, clip.SeriesInstanceUID = "1.2.3.47110815.19480229", "1.2.3.47110815.19480229.1"
    clip.FrameOfReferenceUID = "1.2.3.47110815.19480229.9"
    clip.InstitutionName, clip.StationName, clip.AccessionNumber = "Heartford Hospital", "PLANTED-SCAN", "PLANTED-9"
    clip.PatientComments = "Planted: allergic"
    clip.PatientAge, clip.PatientSex, clip.PatientSize, clip.PatientWeight = "071Y", "F", "1.63", "58.5"
    block = clip.private_block(0x0019, "PLANTED VENDOR", create=True)
    block.add_new(0x01, "LO", "Planted^Private")
    block.add_new(0x02, "OB", b"\0\1PLANTED binary\0\0")
    nested = Dataset()
    nested.PatientName = "Münchhausen^Nested"
    nested.PhysicalDeltaX = 0.5
    clip.RequestAttributesSequence = [nested]
    item = region(1, 1, (40, 5, 279, 225))
    item.add_new(0x00191001, "UN", b"PLANTED unknown")
    item.PixelComponentMask = 4711
    clip.SequenceOfUltrasoundRegions = [item]
    clip.add_new(0x60003000, "OW", b"PLANTED overlay.")
    clip.add_new(0x60000022, "LO", "Planted description")
    clip.file_meta.SourceApplicationEntityTitle = "PLANTED_AE"
    return clip


def saved(clip: Dataset, folder: Path, name: str = "clip.dcm", *, preamble: bytes = b"PLANTED".ljust(128)) -> Path:
    path = folder / name
    clip.preamble = preamble
    clip.save_as(path, enforce_file_format=True)
    return path


def copied(clip: Dataset, folder: Path, salt: str = SALT) -> Dataset:
    deidentify(saved(clip, folder), folder / "copy.dcm", salt=salt)
    return dcmread(folder / "copy.dcm")


def test_nothing_that_was_planted_is_in_the_copy(tmp_path: Path) -> None:
    original = saved(planted(), tmp_path)
    assert all(word in original.read_bytes() for word in PLANTED if word not in (PLANTED[4],))
    deidentify(original, tmp_path / "copy.dcm")
    content = (tmp_path / "copy.dcm").read_bytes()
    assert not [word for word in PLANTED if word in content]
    copy = dcmread(tmp_path / "copy.dcm")
    assert all(element.tag.group not in (0x0019, 0x6000) for element in copy.iterall())
    assert (copy.PatientName, copy.PatientBirthDate, copy.StudyDate, copy.AccessionNumber) == ("", "", "", "")
    assert (copy.PatientIdentityRemoved, copy.BurnedInAnnotation) == ("YES", "NO")
    method = [(code.CodeValue, code.CodingSchemeDesignator) for code in copy.DeidentificationMethodCodeSequence]
    assert method == [("113100", "DCM"), ("113101", "DCM"), ("113108", "DCM")]
    assert content[:128] == b"\0" * 128


def test_the_patients_characteristics_and_the_clip_are_kept(tmp_path: Path) -> None:
    clip = planted(screen_loop(40))
    copy = copied(clip, tmp_path)
    assert (copy.PatientAge, copy.PatientSex) == ("071Y", "F")
    assert (float(copy.PatientSize), float(copy.PatientWeight)) == (1.63, 58.5)
    before, after = read_study(tmp_path / "clip.dcm"), read_study(tmp_path / "copy.dcm")
    assert after.attributes == before.attributes
    assert np.array_equal(after.clips[0].frame_times_s, before.clips[0].frame_times_s)
    assert after.clips[0].heart_rate_bpm == 61
    a, b = before.clips[0], after.clips[0]
    assert a.crop is not None
    assert b.crop is not None
    assert abs(a.crop.height - b.crop.height) <= 4
    assert abs(a.crop.width - b.crop.width) <= 4


def test_a_real_clip_keeps_its_heart_and_loses_its_text(tmp_path: Path) -> None:
    path = Path(get_testdata_file("examples_ybr_color.dcm"))
    deidentify(path, tmp_path / "copy.dcm")
    copy = dcmread(tmp_path / "copy.dcm")
    assert (copy.PhotometricInterpretation, copy.NumberOfFrames) == ("RGB", 30)
    pictures = copy.pixel_array
    assert not pictures[:, :16].any()  # the banner with the patient's name
    assert not pictures[:, 225:].any()
    before, after = read_study(path).clips[0], read_study(tmp_path / "copy.dcm").clips[0]
    assert after.frames.mean() == pytest.approx(before.frames.mean(), rel=0.05)
    assert b"SonoSite" not in (tmp_path / "copy.dcm").read_bytes()


@pytest.mark.parametrize("regions", ["kept", "none", "whole screen", "past the picture"])
def test_text_is_blanked_by_regions_or_by_the_sector(tmp_path: Path, regions: str) -> None:
    boxes = {"whole screen": (0, 0, 319, 239), "past the picture": (80, 40, 600, 420)}
    clip = planted()
    if regions == "none":
        del clip.SequenceOfUltrasoundRegions
    elif regions in boxes:
        clip.SequenceOfUltrasoundRegions = [region(1, 1, boxes[regions])]
    pictures = copied(clip, tmp_path).pixel_array
    assert screen_loop(12)[:, *BANNER].any()
    assert not pictures[:, *BANNER].any()
    inside = fan_mask()
    kept = pictures[:, inside].any(axis=-1).mean() / screen_loop(12)[:, inside].any(axis=-1).mean()
    assert kept > 0.97


def test_text_in_a_corner_of_a_region_is_blanked_too(tmp_path: Path) -> None:
    frames = fan_loop(12)
    frames[:, 10:18, 50:90] = np.random.default_rng(0).choice([0, 255], (8, 40))
    clip = planted(frames)
    clip.SequenceOfUltrasoundRegions = [region(1, 1, (40, 5, 279, 225))]
    pictures = copied(clip, tmp_path).pixel_array
    assert not pictures[:, 10:18, 50:90].any()
    assert pictures[:, fan_mask()].any()


def test_a_small_name_in_a_square_picture_is_blanked(tmp_path: Path) -> None:
    frames = fan_loop(20, 112, 112)
    frames[:, 2:7, 2:16] = 200  # too little for the reader to cut, enough for a name
    clip = planted(frames)
    del clip.SequenceOfUltrasoundRegions
    assert not copied(clip, tmp_path).pixel_array[:, 2:7, 2:16].any()


@pytest.mark.parametrize("coding", ["rle", "jpeg-ls", "jpeg2000", "jpeg"])
@pytest.mark.parametrize("colour", [False, True])
def test_compressed_pictures_become_plain_ones(tmp_path: Path, coding: str, colour: bool) -> None:
    frames = screen_loop(8) if colour else fan_loop(8)
    match coding:
        case "rle":
            clip = ultrasound(frames)
            clip.compress(RLELossless)
        case "jpeg":
            clip = jpeg_ultrasound(frames)
        case _:
            clip = still_coded(frames, coding)
    clip.SequenceOfUltrasoundRegions = [region(1, 1, (40, 5, 279, 225))]
    copy = copied(clip, tmp_path)
    assert not copy.file_meta.TransferSyntaxUID.is_encapsulated
    assert copy.PhotometricInterpretation == ("RGB" if colour else "MONOCHROME2")
    assert copy.LossyImageCompression == ("01" if coding == "jpeg" else "00")
    inside = fan_mask()
    difference = copy.pixel_array[:, inside].astype(int) - frames[:, inside]
    assert np.abs(difference).mean() < (8 if coding == "jpeg" else 1)


@pytest.mark.parametrize(
    ("tags", "pointer"),
    [
        ({}, "FrameTime"),
        ({"FrameTime": None, "CineRate": 25}, "FrameTime"),
        ({"FrameTime": None, "FrameTimeVector": [0.0, *[40.0] * 19]}, "FrameTimeVector"),
    ],
)
def test_a_loop_keeps_its_time_and_points_to_it(tmp_path: Path, tags: dict[str, Any], pointer: str) -> None:
    copy = copied(planted(fan_loop(20), **tags), tmp_path)
    assert copy.FrameIncrementPointer == copy[pointer].tag
    before, after = read_study(tmp_path / "clip.dcm").clips[0], read_study(tmp_path / "copy.dcm").clips[0]
    assert after.frame_times_s == pytest.approx(before.frame_times_s)


def test_a_still_and_colour_doppler_can_be_copied(tmp_path: Path) -> None:
    clip = planted(screen_loop(1))
    clip.SOPClassUID = clip.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    del clip.NumberOfFrames, clip.FrameTime
    clip.UltrasoundColorDataPresent = 1
    copy = copied(clip, tmp_path)
    assert copy.SOPClassUID.name == "Ultrasound Image Storage"
    assert copy.pixel_array.shape == (240, 320, 3)
    assert not copy.pixel_array[BANNER].any()


def test_bits_above_those_stored_never_reach_the_copy(tmp_path: Path) -> None:
    frames = fan_loop(8)
    clip = ultrasound(frames, BitsAllocated=16, BitsStored=12, HighBit=11)
    overlay = np.zeros(frames.shape, dtype="<u2")
    overlay[:, 100:130, 150:170] = 1 << 15  # an overlay as the retired encoding embedded it, over the heart
    clip.PixelData = ((frames.astype("<u2") << 4) | overlay).tobytes()
    clip.SequenceOfUltrasoundRegions = [region(1, 1, (40, 5, 279, 225))]
    pictures = copied(clip, tmp_path).pixel_array
    assert np.array_equal(pictures[:, 100:130, 150:170], frames[:, 100:130, 150:170])


def test_identifiers_are_new_consistent_and_not_to_be_guessed(tmp_path: Path) -> None:
    first, second = planted(), planted(PatientBirthDate="19480229")
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = "1.2.3.47110815.7"
    a, b, other = copied(first, tmp_path), copied(second, tmp_path), copied(first, tmp_path, salt="another")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert a[keyword].value == b[keyword].value != other[keyword].value
        assert a[keyword].value != first[keyword].value
    assert a.SOPInstanceUID != b.SOPInstanceUID
    assert a.file_meta.MediaStorageSOPInstanceUID == a.SOPInstanceUID
    assert all(UID(str(e.value)).is_valid for e in a.iterall() if e.VR == "UI")
    unsalted = {deidentified(tmp_path / "clip.dcm").uid for _ in range(2)}
    assert len(unsalted) == 2


@pytest.mark.parametrize(
    ("age", "kept"),
    [("089Y", "089Y"), ("090Y", "090Y"), ("101Y", "090Y"), ("018M", "018M"), ("Planted", None), ("", None)],
)
def test_ages_over_89_are_one_class(tmp_path: Path, age: str, kept: str | None) -> None:
    clip = planted(fan_loop(2))
    clip["PatientAge"] = DataElement("PatientAge", "AS", age, validation_mode=config.IGNORE)
    assert copied(clip, tmp_path).get("PatientAge") == kept


def black(**tags: Any) -> Dataset:
    """A picture without a sector, with text."""
    frames = np.zeros((4, 240, 320), dtype=np.uint8)
    frames[:, 5:9, 5:25] = 255
    return ultrasound(frames, **tags)


def test_where_no_sector_is_found_the_copy_is_refused(tmp_path: Path) -> None:
    whole = [region(1, 1, (0, 0, 319, 239))]
    for clip in (black(), black(BurnedInAnnotation="YES"), black(SequenceOfUltrasoundRegions=whole)):
        with pytest.raises(Identifiable) as refused:
            deidentify(saved(clip, tmp_path), tmp_path / "copy.dcm")
        assert "Planted" not in str(refused.value)
        assert not (tmp_path / "copy.dcm").exists()
    assert copied(black(BurnedInAnnotation="NO"), tmp_path).pixel_array.any()


def test_a_trace_in_the_copy_is_refused_and_nothing_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mcsdr.interop import deidentify as module

    monkeypatch.setattr(module, "EMPTY", (*module.EMPTY, "StudyDescription"))
    honest = module._header

    def leaky(original: Dataset, salt: str) -> Dataset:
        copy = honest(original, salt)
        copy.StudyDescription = f"of {original.PatientName.given_name}"
        return copy

    monkeypatch.setattr(module, "_header", leaky)
    with pytest.raises(Identifiable) as refused:
        deidentify(saved(planted(), tmp_path), tmp_path / "copy.dcm")
    assert "Planted" not in str(refused.value)
    assert not (tmp_path / "copy.dcm").exists()


def test_a_name_hidden_in_the_pixels_is_found(tmp_path: Path) -> None:
    frames = fan_loop(4)
    frames[1, 120, 150:161] = np.frombuffer(b"Munchhausen", dtype=np.uint8)
    clip = planted(frames)
    clip.PatientName = "Munchhausen^P"
    with pytest.raises(Identifiable):
        copied(clip, tmp_path)


def test_traces_come_from_sequences_private_elements_and_binaries() -> None:
    found = traces(planted(), known={"PatientAge"})
    for word in (b"Planted", "Münchhausen".encode(), b"Nested", b"PLANTED binary", b"PLANTED unknown", b"19480229"):
        assert word in found
    assert b"071Y" not in found


def test_a_trace_is_found_at_every_place_of_a_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 20_003, dtype=np.uint8).tobytes()
    told = [f"another word {k}".encode() for k in range(3000)]
    assert not stand_in_pixels(told, noise)
    for place in (0, 1, 9_005, len(noise) - 11):
        assert stand_in_pixels([*told, b"Munchhausen"], noise[:place] + b"Munchhausen" + noise[place + 11 :])
    assert not stand_in_pixels([b"00000000", b"Mun"], b"00000000000Munchhausen")  # a grey patch, a short word
    assert not stand_in_pixels([], noise)


def test_what_cannot_be_copied_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        deidentify(tmp_path / "none.dcm", tmp_path / "copy.dcm")
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(UnreadableFile):
        deidentify(tmp_path / "text.dcm", tmp_path / "copy.dcm")
    with pytest.raises(UnsupportedFormat):
        deidentify(saved(planted(Modality="CT"), tmp_path), tmp_path / "copy.dcm")
    with pytest.raises(InvalidConfig):
        deidentify(tmp_path / "clip.dcm", tmp_path / "clip.dcm")


def test_two_originals_with_one_identifier_become_two_copies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    originals, copies = tmp_path / "originals", tmp_path / "copies"
    originals.mkdir()
    uid = saved(planted(fan_loop(12)), originals, "a.dcm")
    for name, seed in (("b.dcm", 1), ("c.dcm", 2)):
        clip = planted(fan_loop(12, seed=seed))
        clip.SOPInstanceUID = clip.file_meta.MediaStorageSOPInstanceUID = dcmread(uid).SOPInstanceUID
        saved(clip, originals, name)
    deidentify_command(originals, copies, salt=SALT)
    told = capsys.readouterr()
    written = [dcmread(path) for path in copies.iterdir()]
    assert len(written) == len({copy.SOPInstanceUID for copy in written}) == 3
    assert len({copy.PixelData for copy in written}) == 3
    assert len({copy.StudyInstanceUID for copy in written}) == 1
    assert told.out.count(" -> ") == 3
    assert told.err.count("has the SOP Instance UID of an earlier file") == 2


def test_the_copy_of_a_miscounted_clip_holds_all_its_frames(tmp_path: Path) -> None:
    for said in (1, 15):
        clip = planted(fan_loop(20))
        clip.NumberOfFrames = said
        assert copied(clip, tmp_path).NumberOfFrames == 20


def test_the_copy_keeps_the_time_that_is_read_and_the_shape_of_pixels(tmp_path: Path) -> None:
    tags = {"FrameTime": "40", "FrameTimeVector": [0.0, *[30.0] * 19], "FrameIncrementPointer": 0x00181065}
    for more in (tags, {"FrameTime": None, "AcquisitionDuration": 0.5}, {"PixelAspectRatio": [3, 4]}):
        copied(planted(fan_loop(20), **more), tmp_path)
        before, after = (read_study(tmp_path / name).clips[0] for name in ("clip.dcm", "copy.dcm"))
        assert dcmread(tmp_path / "copy.dcm").get("PixelAspectRatio") == more.get("PixelAspectRatio")
        assert after.frame_times_s == pytest.approx(before.frame_times_s)
        assert np.abs(np.subtract(after.frames.shape, before.frames.shape)).max() <= 2


def test_pixels_that_a_region_says_are_not_square_become_so_in_the_copy_too(tmp_path: Path) -> None:
    clip = planted(fan_loop(20)[:, :, ::2])
    (item,) = clip.SequenceOfUltrasoundRegions
    item.RegionLocationMinX0, item.RegionLocationMaxX1, item.PhysicalDeltaX, item.PhysicalDeltaY = 20, 139, 0.1, 0.05
    copied(clip, tmp_path)
    before, after = (read_study(tmp_path / name).clips[0] for name in ("clip.dcm", "copy.dcm"))
    wanted = read_study(saved(planted(fan_loop(20)), tmp_path, "square.dcm")).clips[0]
    for one in (before, after):
        assert np.abs(np.subtract(one.frames.shape, wanted.frames.shape)).max() <= 2


def test_every_loop_of_a_screen_stays_in_the_copy(tmp_path: Path) -> None:
    clip = planted(np.concatenate([fan_loop(12), fan_loop(12, seed=3)], axis=2))
    del clip.SequenceOfUltrasoundRegions
    copied(clip, tmp_path)
    with pytest.raises(SeveralLoops):  # the copy is refused as the original is
        read_study(tmp_path / "copy.dcm", frame_rate_hz=20)


def test_a_clip_without_an_identifier_can_be_copied(tmp_path: Path) -> None:
    clip = planted(fan_loop(12))
    path = saved(clip, tmp_path)
    del clip.SOPInstanceUID, clip.file_meta.MediaStorageSOPInstanceUID
    clip.save_as(path, enforce_file_format=False)
    deidentify(path, tmp_path / "copy.dcm", salt=SALT)
    assert dcmread(tmp_path / "copy.dcm").SOPInstanceUID.startswith("2.25.")
