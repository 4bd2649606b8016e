"""What the page promises: it stands alone, says what the record says, and escapes what it was given."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.report.standins import MODEL, posterior_of, prediction, with_screen

from mcsdr import DISCLAIMER
from mcsdr.clips.outline import CavityOutline
from mcsdr.model import Answer
from mcsdr.prediction import Failure
from mcsdr.report import READER_LINES
from mcsdr.report.html import render_report, write_report
from mcsdr.study import Study

NASTY = '<script>alert("x")</script>&\'".avi'
VOID = {"meta", "img", "line", "circle", "polygon", "polyline", "br"}


class Page(HTMLParser):
    """The elements of a page, and whether they are nested properly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def words(text: str) -> str:
    """What a reader sees, with plain spaces."""
    visible = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", visible)).replace("\u00a0", " ").split())


@pytest.fixture(scope="module")
def page(answer: Answer, two_peaked: Answer, failure: Failure) -> str:
    return render_report([answer, two_peaked, failure])


# --- it stands alone -------------------------------------------------------------------------------------------------


def test_the_page_names_no_outside_host_and_runs_no_script(page: str) -> None:
    parsed = Page(page)
    assert not parsed.open
    assert not parsed.named("script")
    assert not parsed.named("link")
    assert not parsed.named("iframe")
    for _, attributes in parsed.elements:
        for name in ("src", "href", "action", "data", "srcset", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
        assert not any(name.startswith("on") for name in attributes)
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_writing_leaves_one_whole_file(tmp_path: Path, answer: Answer) -> None:
    write_report(tmp_path / "report.html", [answer])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render_report([answer])


def test_an_empty_page_still_says_what_it_is_for() -> None:
    assert DISCLAIMER in words(render_report([]))


# --- it says what the record says ------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_record(answer: Answer) -> None:
    record, seen = answer.record(), words(render_report([answer]))
    low, high = record["interval_90"]
    assert f"The median reading is EF {record['median']:.0f} %, and with a probability of 90 %" in seen
    assert f"a reader would report {low:.0f} to {high:.0f} %." in seen
    assert " ".join(f"{ef:.1f}" for ef in record["quantiles"].values()) in seen
    for inequality, key in (("EF ≤ 40 %", "<=40"), ("40 < EF < 50 %", "40-50"), ("EF ≥ 50 %", ">=50")):
        shown = int(re.search(rf"{re.escape(inequality)} (\d+) %", seen)[1])  # type: ignore[index]
        assert abs(shown - 100 * record["prob"][key]) < 1
    assert f"lower limit of normal, ASE/EACVI 2015, women {100 * record['prob']['<54']:.0f} %" in seen


def test_the_data_is_the_record_without_folders(answer: Answer) -> None:
    data = re.search(r"<pre[^>]*>(.*?)</pre>", render_report([answer]), flags=re.DOTALL)
    assert data is not None
    assert json.loads(html.unescape(data[1])) == answer.record() | {"file": "apical.dcm"}
    assert "visit/" not in render_report([answer])


def test_the_dotplot_has_fifty_dots_coloured_by_their_side_of_the_cut_points(answer: Answer) -> None:
    circles = Page(render_report([answer])).named("circle")
    assert len(circles) == 50
    prob = answer.record()["prob"]
    for tone, key in (("low", "<=40"), ("mid", "40-50"), ("high", ">=50")):
        assert abs(sum(f"dot {tone}" == circle["class"] for circle in circles) / 50 - prob[key]) <= 0.0201


def test_an_unknown_sex_has_no_limit_of_normal(two_peaked: Answer) -> None:
    assert "lower limit of normal, ASE/EACVI 2015: sex unknown —" in words(render_report([two_peaked]))


def test_two_peaks_are_not_averaged(two_peaked: Answer) -> None:
    page = render_report([two_peaked])
    notice = next(notice.text for notice in two_peaked.notices if notice.code == "two-peaked")
    assert words(page).count(f"{notice} With a probability of 90 % a reader would report") == 1
    assert "The median reading" not in page
    assert 'class="middle"' not in page


def test_what_the_answer_rests_on_and_where_it_comes_from(answer: Answer) -> None:
    seen = words(render_report([answer]))
    for expected in ("32 frames at", "age 63 years, sex female", "Not known weight, height", "stand-in", "5e" * 32):
        assert expected in seen
    for expected in ("midpoint, 4 steps", "Network evaluations 8", "Seed 0", "encode 0.142"):
        assert expected in seen


def test_the_file_that_was_read_is_named_by_its_bytes(answer: Answer) -> None:
    assert "SHA-256 of the file no file was read" in words(render_report([answer]))
    assert f"SHA-256 of the file {'ab' * 32}" in words(
        render_report([replace(answer, study=replace(answer.study, input_sha256="ab" * 32))])
    )


def test_the_sampler_is_shown_closed_and_as_no_evidence(answer: Answer) -> None:
    page = render_report([answer])
    assert all("open" not in details for details in Page(page).named("details"))
    assert page.count("How the sampler settles; not evidence.") == 2
    bare = replace(answer, belief=replace(answer.belief, trajectories=None))
    assert "How the sampler settles" not in render_report([bare])


def test_failures_are_listed_with_code_cause_and_next_step(page: str, failure: Failure) -> None:
    for expected in (failure.error.code, failure.error.cause, failure.error.next_step, "colour.dcm"):
        assert expected in words(page)


# --- what must stand with it -----------------------------------------------------------------------------------------


def test_the_banner_and_the_footer_say_what_it_is_for(page: str, failure: Failure) -> None:
    sentence = f"Trained on synthetic phantoms only, on no patient. {DISCLAIMER}"
    banner, footer = page.index('<div class="banner"'), page.index("<footer>")
    assert sentence in page[banner : page.index("<main>")]
    assert sentence in page[footer:]
    assert re.search(r"\.banner \{ position: sticky; top: 0", page)
    assert DISCLAIMER in words(render_report([failure]))


def test_everything_drawn_can_be_read_aloud(page: str) -> None:
    parsed = Page(page)
    assert parsed.named("html")[0]["lang"] == "en"
    assert all(picture["alt"] for picture in parsed.named("img"))
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in parsed.named("svg"))
    headings = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert max(np.diff(headings)) <= 1
    names = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    assert {link["href"] for link in parsed.named("a")} <= {f"#{name}" for name in names}
    assert {a["aria-labelledby"] for _, a in parsed.elements if "aria-labelledby" in a} <= names


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_contrast_enough(page: str, theme: int) -> None:
    colours = dict(
        re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", re.findall(r":root \{(.*?)\}", page, re.DOTALL)[theme])
    )
    for name, least in {"ink": 7, "soft": 4.5, "link": 4.5, "low-text": 4.5, "mid-text": 4.5, "high-text": 4.5}.items():
        assert contrast(colours[name], colours["card"]) >= least, name
    for name in ("low", "mid-edge", "high"):
        assert contrast(colours[name], colours["card"]) >= 3, name
    assert contrast(colours["soft"], colours["warn"]) >= 4.5
    assert contrast("#000000", "#e69f00") >= 4.5  # the banner


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    c = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return float(np.array([0.2126, 0.7152, 0.0722]) @ np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4))


# --- what it was given is not to be trusted --------------------------------------------------------------------------


def test_names_are_text(study: Study, failure: Failure) -> None:
    results = [
        prediction(NASTY, study, posterior_of((1, 55, 5))),
        replace(failure, path=f"\u202e\x1b[31m{NASTY}"),
    ]
    page = render_report(results)
    assert not Page(page).named("script")
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert html.escape("</script>", quote=False) in page


def test_a_report_says_when_it_was_made_and_under_which_label_and_leaves_room_for_its_reader(answer: Answer) -> None:
    told = replace(answer, analysed_at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC), label="A-17 <b>")
    page = render_report([told])
    assert "Analysed 2026-03-01 12:30:00 UTC; label: A-17 <b>" in words(page)
    assert "<b>" not in page
    for line in READER_LINES:
        assert line in words(page)
    assert "label:" not in words(render_report([answer]))


def test_two_inputs_of_one_name_are_told_apart(study: Study) -> None:
    posterior = posterior_of((1, 55, 5))
    page = render_report([prediction(f"{folder}/clip.avi", study, posterior) for folder in ("a/one", "a/two")])
    assert "one/clip.avi" in page
    assert "two/clip.avi" in page
    assert "a/one" not in page


def test_what_stands_outside_the_sector_cannot_be_read(study: Study) -> None:
    screen = with_screen(study)
    picture = Page(render_report([prediction("a.dcm", screen, posterior_of((1, 55, 5)))])).named("img")[0]
    data = base64.b64decode((picture["src"] or "").split(",")[1])
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)
    overview = screen.clips[0].overview
    assert overview is not None
    assert np.abs(np.diff(overview[10, 10:150].astype(int))).max() > 200
    assert len(np.unique(shown[10, 20:30])) == 1


def test_what_the_encoder_sees_is_drawn_into_the_picture(answer: Answer) -> None:
    (clip,) = answer.study.clips
    p = np.zeros((len(clip.frames), 28, 28), np.float16)
    p[:, 8:20, 8:20] = 1
    nothing, seen = (
        replace(answer, outlined=(CavityOutline(shown, np.arange(len(p)), clip.frames.shape[1:]),))
        for shown in (0 * p, p)
    )
    assert "sees no cavity in this frame" in words(render_report([nothing]))
    page = render_report([seen])
    assert "Orange: where its encoder sees the cavity" in words(page)
    drawn = [image for image in map(picture_of, Page(page).named("img")) if image.size != clip.frames.shape[1:]]
    orange = np.all(np.asarray(drawn[-1].convert("RGB")) == (0xE6, 0x9F, 0x00), axis=-1)
    rows, columns = (np.nonzero(orange.any(axis))[0] / orange.shape[0] for axis in (1, 0))
    assert (rows.min(), columns.min()) == pytest.approx((8 / 28, 8 / 28), abs=0.02)
    assert (rows.max(), columns.max()) == pytest.approx((20 / 28, 20 / 28), abs=0.02)


def picture_of(image: dict[str, str | None]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode((image["src"] or "").partition(",")[2])))


def test_a_study_without_video_is_shown(study: Study) -> None:
    page = render_report([prediction("a.avi", study.without("video"), posterior_of((1, 50, 9)))])
    assert "There was no clip." in page
    assert not Page(page).named("img")


def test_a_model_trained_on_patients_is_not_called_synthetic(answer: Answer) -> None:
    card = MODEL.card.model_copy(update={"synthetic": False})
    model = type(MODEL)(**vars(MODEL) | {"card": card})
    assert "phantoms only" not in render_report([replace(answer, model=model)])


def test_an_abstention_has_a_card_of_its_own(withheld: Answer, answer: Answer) -> None:
    page, why = render_report([withheld, answer]), withheld.abstained
    assert why is not None
    assert not Page(page).open
    text = words(page)
    for expected in ("No answer was given.", why.reason, why.next_step, f"no answer: {why.code}"):
        assert expected in text
    assert "The median reading" not in words(render_report([withheld]))
    assert json.dumps(why.code) in html.unescape(page)


def test_a_belief_that_was_insisted_on_is_marked(withheld: Answer) -> None:
    text = words(render_report([replace(withheld, anyway=True)]))
    assert text.index("do not rely on it") < text.index("The median reading")


def test_beats_stand_among_what_the_answer_rests_on(beating: Answer) -> None:
    assert "2 beats were read; their medians are 54 to 58 %" in words(render_report([beating]))
