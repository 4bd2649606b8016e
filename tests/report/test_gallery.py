"""What the gallery draws and says: the frames of the largest and the smallest cavity, and every text escaped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image
from tests.report.test_html import NASTY, Page, words

from mcsdr.clips.outline import CavityOutline
from mcsdr.report.basis import Picture
from mcsdr.report.gallery import Exhibit, render_gallery, stills
from mcsdr.study import Study


def test_the_largest_and_the_smallest_cavity_are_shown(studies: list[Study]) -> None:
    frames = np.arange(9, dtype=np.uint8)[:, None, None].repeat(100, 1).repeat(100, 2)
    clip = replace(studies[0].clips[0], frames=frames, frame_times_s=np.arange(9) / 25)
    p = np.zeros((3, 28, 28), np.float16)
    p[0, 4:24, 9:19], p[1, 9:19, 9:19], p[2, 8:20, 9:19] = 1, 1, 1
    largest, smallest = stills(clip, CavityOutline(p, np.array([2, 4, 6]), (100, 100)))
    assert largest.caption == "Largest: frame 3 of 9"
    assert smallest.caption == "Smallest, by 50 % of its area: frame 5 of 9"
    for still, value in ((largest, 2), (smallest, 4)):
        picture = np.asarray(still.image)
        assert (picture[0, 0] == value).all()
        assert (picture != value).any(), "no line was drawn"
    (unmoved,) = stills(clip, CavityOutline(p[:1], np.array([2]), (100, 100)))
    assert unmoved.caption.startswith("Largest")


def test_a_frame_without_a_cavity_says_so(studies: list[Study]) -> None:
    clip = studies[0].clips[0]
    outline = CavityOutline(np.zeros((2, 28, 28), np.float16), np.array([0, 3]), clip.frames.shape[1:])
    (none,) = stills(clip, outline)
    assert none.caption.endswith("sees no cavity in this frame.")


def test_the_page_says_what_was_reported_and_read_and_escapes_it() -> None:
    black = Image.new("L", (8, 8))
    one = Exhibit(NASTY, 19.6, None, 52.4, (41.2, 63.7), ())
    two = Exhibit("a", 60.0, 58.2, 57.0, (45.0, 67.0), (Picture(black, NASTY, NASTY),))
    about = {"model": NASTY, "cohort": "ward", "disclaimer": "Research use only.", "marks": ["SEEN"]}
    about |= {"version": "0.1", "model_sha256": "5e" * 32, "seed": 3, "precision": "float32"}
    text = render_gallery([one, two], {**about, "sampler": {"sampler": "midpoint", "steps": 4}})
    page = Page(text)
    assert page.open == []
    assert not page.named("script")
    assert len(page.named("img")) == 1
    said = words(text)
    assert "Reported 20 %; read as 52 % (+33), 90 % interval 41 to 64 %, which does not hold it." in said
    assert "Reported 60 %, truly 58 %; read as 57 % (−3), 90 % interval 45 to 67 %." in said
    assert "Research use only. SEEN" in said
    assert f"SHA-256 {'5e' * 32}; sampler midpoint, 4 steps, seed 3; precision float32." in said
