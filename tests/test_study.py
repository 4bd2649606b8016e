"""How the records show themselves: in a line, as plain data, in a notebook, as a picture."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mcsdr import DISCLAIMER
from mcsdr.errors import InvalidConfig
from mcsdr.study import Attributes, Clip, Crop, KnownPosterior, Notice, Study, View


def clip_of(frames: int = 120, view: View = View.A4C) -> Clip:
    ramp = np.arange(frames * 48 * 64, dtype=np.int64).reshape(frames, 48, 64) % 251
    return Clip(ramp.astype(np.uint8), np.arange(frames) / 30, view, source="clip.dcm")


WOMAN = Attributes(age_years=63, sex="F")


# --- one line --------------------------------------------------------------------------------------------------------


def test_a_clip_in_one_line() -> None:
    assert repr(clip_of()) == "Clip(A4C, 120 frames, 4.0 s, 30 Hz, 48×64)"
    assert repr(clip_of(45, View.UNKNOWN)) == "Clip(view unknown, 45 frames, 1.5 s, 30 Hz, 48×64)"
    assert repr(clip_of(1)) == "Clip(A4C, 1 frame, 48×64)"


@pytest.mark.parametrize(
    ("study", "line"),
    [
        (Study((clip_of(),), WOMAN), "Study(1 clip A4C, 63 y, F)"),
        (Study((clip_of(), clip_of(9, View.A2C)), WOMAN), "Study(2 clips A4C + A2C, 63 y, F)"),
        (Study((clip_of(), clip_of(9))), "Study(2 clips A4C, nothing known of the patient)"),
        (Study((clip_of(9, View.UNKNOWN),), WOMAN), "Study(1 clip, 63 y, F)"),
        (Study(attributes=WOMAN, ef_percent=57.6), "Study(no clip, 63 y, F, reported EF 58 %)"),
    ],
)
def test_a_study_in_one_line(study: Study, line: str) -> None:
    assert repr(study) == line


def test_attributes_in_words_and_exactly() -> None:
    """The words are for people; repr keeps every digit, since cohorts are known again by a hash of it."""
    everything = Attributes(age_years=0.75, sex="M", weight_kg=7.25, height_cm=70)
    assert str(everything) == "0.75 y, M, 7.25 kg, 70 cm"
    assert str(Attributes()) == "nothing known of the patient"
    assert repr(everything) == "Attributes(age_years=0.75, sex='M', weight_kg=7.25, height_cm=70)"


# --- plain data ------------------------------------------------------------------------------------------------------


def test_a_study_as_plain_data() -> None:
    clip = replace(clip_of(), heart_rate_bpm=70.0, crop=Crop(1, 2, 48, 64, "picture"), notices=(Notice("dim", "Dim."),))
    study = Study((clip,), WOMAN, "s1", "p1", 58.0, 57.5, KnownPosterior((1.0,), (58.0,), 4.0), "test")
    record = json.loads(json.dumps(study.to_dict()))
    assert record == {
        "study_id": "s1",
        "patient_id": "p1",
        "clips": [
            {
                "view": "A4C",
                "frames": 120,
                "height": 48,
                "width": 64,
                "duration_s": pytest.approx(4.0),
                "frame_rate_hz": pytest.approx(30.0),
                "heart_rate_bpm": 70.0,
                "quality": None,
                "source": "clip.dcm",
                "crop": {"top": 1, "left": 2, "height": 48, "width": 64, "method": "picture"},
                "notices": [{"code": "dim", "text": "Dim."}],
            }
        ],
        "attributes": {"age_years": 63, "sex": "F"},
        "ef_percent": 58.0,
        "true_ef_percent": 57.5,
        "known_posterior": {"weights": [1.0], "ef_percent": [58.0], "reader_sd": 4.0},
        "split": "test",
        "notices": [],
    }


def test_a_still_has_no_duration() -> None:
    record = clip_of(1).to_dict()
    assert record["duration_s"] is None
    assert record["frame_rate_hz"] is None


# --- a notebook ------------------------------------------------------------------------------------------------------


def test_a_notebook_shows_the_first_frame_of_each_clip_small() -> None:
    large = Clip(np.full((2, 480, 640), 200, np.uint8), np.arange(2) / 30, View.A2C)
    page = Study((clip_of(), large), WOMAN)._repr_html_()
    pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)", page)]
    assert [picture.size for picture in pictures] == [(64, 48), (160, 120)]
    np.testing.assert_array_equal(np.asarray(pictures[0]), clip_of().frames[0])
    assert "2 clips A4C + A2C, 63 y, F" in page
    assert DISCLAIMER in page


def test_what_came_from_a_file_stays_text() -> None:
    hostile = Study((clip_of(),), notices=(Notice("x", "<script>alert(1)</script>"),))
    page = hostile._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


# --- a picture -------------------------------------------------------------------------------------------------------


def test_a_clip_plots_the_frame_asked_for() -> None:
    clip, axes = clip_of(), Figure().add_subplot()
    assert clip.plot(axes, frame=-1) is axes
    np.testing.assert_array_equal(axes.images[0].get_array(), clip.frames[119])
    assert axes.get_title(loc="left") == "A4C, 120 frames, 4.0 s, 30 Hz, 48×64\nframe 120 of 120"


def test_a_frame_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"Frame 120 of a clip of 120.*from 0 to 119"):
        clip_of().plot(Figure().add_subplot(), frame=120)
