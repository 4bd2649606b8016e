"""What the pages promise: they say what the record says, lose nothing in silence, and keep to the paper."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from pypdf import PdfReader
from tests.report.standins import MODEL, called, posterior_of, prediction

import mcsdr
from mcsdr import DISCLAIMER
from mcsdr.abstention.gates import Abstention
from mcsdr.errors import NotBMode
from mcsdr.model import Answer, BeatAnswer
from mcsdr.posterior.categories import CATEGORIES, category_percents, percent
from mcsdr.prediction import Failure
from mcsdr.report import HOW_TO_READ, READER_LINES, further_notices, headline, insisted, thresholds
from mcsdr.report.basis import reasons
from mcsdr.report.pdf import pages, render_pdf, write_pdf
from mcsdr.report.sheet import HEIGHT, MARGIN, POINT, WIDTH, settable, shortened, typeface, width_of, wrapped
from mcsdr.study import Notice

LONG_NAME = "Обследование_" * 9 + "心エコー_🫀_$x_1$_четырёхкамерная.dcm"
SHA256 = "ab" * 32
WHEN = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def words(results: Sequence[Answer | Failure]) -> list[str]:
    """What can be searched on each page, in one line."""
    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(render_pdf(results))).pages]


@pytest.fixture(scope="module")
def insisting(two_peaked: Answer) -> Answer:
    """Everything at once: insisted on, two peaks, a notice, twelve beats."""
    why = Abstention("wide-interval", "The 90 % interval is 30 points wide: this clip says little.", "Ask a reader.")
    beats = tuple(BeatAnswer(0.2 + 0.87 * i, posterior_of((1.0, 34 + 2 * i, 4))) for i in range(12))
    notices = (*two_peaked.notices, Notice("low-frame-rate", "The clip has 18 frames a second."))
    return replace(two_peaked, abstained=why, anyway=True, beats=beats, notices=notices)


@pytest.fixture(scope="module")
def crowded(answer: Answer) -> Answer:
    """More notices than a page can hold, and a name that no typeface can set in one line."""
    told = tuple(
        Notice(f"notice-{i}", "What the reader of a result must know, at such length. " * 2) for i in range(14)
    )
    return replace(called(answer, f"/home/Müller Hans/{LONG_NAME}"), notices=told)


@pytest.fixture(scope="module")
def every(
    answer: Answer,
    two_peaked: Answer,
    beating: Answer,
    insisting: Answer,
    withheld: Answer,
    failure: Failure,
    crowded: Answer,
) -> dict[str, Answer | Failure]:
    full = replace(
        called(beating, "full.avi"),
        abstained=Abstention("wide-interval", "This clip says little of the ejection fraction. " * 18, "Ask a reader."),
        anyway=True,
        model=type(MODEL)(**{**vars(MODEL), "card": MODEL.card.model_copy(update={"name": "model " * 40})}),
    )
    nothing = prediction("none.avi", answer.study.without("video"), posterior_of((1, 30, 18)))
    twice = replace(answer, study=replace(answer.study, file="twice.avi", clips=answer.study.clips * 2))
    return {
        "answer": replace(answer, study=replace(answer.study, input_sha256=SHA256), analysed_at=WHEN, label="A-17"),
        "two peaks": two_peaked,
        "beating": called(beating, "visit/beating.dcm"),
        "insisting": called(insisting, "visit/insisting.avi"),
        "withheld": withheld,
        "failure": replace(failure, input_sha256=SHA256),
        "crowded": crowded,
        "nothing": nothing,
        "twice": twice,
        "full": full,
    }


@pytest.fixture(scope="module")
def seen(every: dict[str, Answer | Failure]) -> dict[str, str]:
    """What can be searched on each page; rendered once, since letters take long to embed."""
    return dict(zip(every, words(list(every.values())), strict=True))


# --- it says what the record says ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["answer", "two peaks", "beating", "insisting", "nothing", "twice"])
def test_every_number_of_the_record_can_be_searched(name: str, every: dict[str, Answer], seen: dict[str, str]) -> None:
    record, study, page = every[name].record(), every[name].study, seen[name]
    assert headline(record) in page
    for category, share in zip(CATEGORIES, category_percents(record["prob"]), strict=True):
        assert f"{category.name} {category.inequality} {share}" in page
    for row in thresholds(record["prob"], study.attributes.sex):
        share = "—" if row.probability is None else percent(row.probability)
        assert f"{row.inequality} {share} {row.meaning}" in page
    assert "Share, % " + " ".join(f"{100 * float(level):g}" for level in record["quantiles"]) in page
    assert "EF, % " + " ".join(f"{ef:.1f}" for ef in record["quantiles"].values()) in page
    for _, sentence in reasons(study, record):
        assert sentence in page or (name in ("insisting", "twice") and "more in the HTML report" in page)
    for notice in further_notices(record):
        assert f"{notice['text']} [{notice['code']}]" in page
    assert "ESC 2021" in page


def test_the_pages_say_where_the_answer_comes_from(seen: dict[str, str]) -> None:
    for expected in (SHA256, "5e" * 32, "stand-in", "Seed 0", "midpoint, 4 steps", "Network evaluations 8"):
        assert expected in seen["answer"]
    assert f"mcsdr {mcsdr.__version__}" in seen["answer"]
    assert "no file was read" in seen["nothing"]


def test_a_page_says_when_it_was_made_and_under_which_label_and_leaves_room_for_its_reader(
    seen: dict[str, str],
) -> None:
    assert "analysed 2026-03-01 12:30:00 UTC" in seen["answer"]
    assert "A-17 · " in seen["answer"]
    for line in READER_LINES:
        assert line in seen["answer"]


def test_beats_stand_one_by_one(every: dict[str, Answer], seen: dict[str, str]) -> None:
    beats = every["beating"].record()["beats"]
    assert "Starts at 0.20 s 1.10 s" in seen["beating"]
    assert "Median EF, % " + " ".join(f"{beat['median']:.0f}" for beat in beats) in seen["beating"]
    intervals = " ".join("{:.0f}–{:.0f}".format(*beat["interval_90"]) for beat in beats)
    assert f"90 % interval {intervals}" in seen["beating"]
    assert "Beat by beat and 3 more in the HTML report" in seen["insisting"]


def test_two_peaks_are_not_averaged_and_insisting_is_marked(every: dict[str, Answer], seen: dict[str, str]) -> None:
    warning, page = insisted(every["insisting"].record()), seen["insisting"]
    assert warning is not None
    assert page.index(warning) < page.index("Two readings fit")
    assert "The median reading" not in page
    assert "with the median" not in page


def test_an_abstention_and_a_failure_say_why_and_what_to_do(
    withheld: Answer, failure: Failure, seen: dict[str, str]
) -> None:
    why, error = withheld.abstained, failure.error
    assert why is not None
    for expected in ("No answer was given.", why.reason, why.next_step, why.code, "5e" * 32):
        assert expected in seen["withheld"]
    assert "The median reading" not in seen["withheld"]
    for expected in ("No answer was given.", error.cause, error.next_step, error.code, SHA256, "colour.dcm"):
        assert expected in seen["failure"]


def test_what_does_not_fit_is_counted(seen: dict[str, str]) -> None:
    shown = sum(f"[notice-{i}]" in seen["crowded"] for i in range(14))
    assert 0 < shown < 14
    assert f"And {14 - shown} notices more, in the HTML report: notice-{shown}" in seen["crowded"]
    assert "And 2 more in the HTML report." in seen["twice"]  # pictures
    assert "There is no room for the pictures here; they are in the HTML report." in seen["full"]
    assert "more in the HTML report" in seen["full"]  # reasons


def test_every_page_says_what_it_is_for(every: dict[str, Answer | Failure], seen: dict[str, str]) -> None:
    for index, (name, page) in enumerate(seen.items(), 1):
        assert DISCLAIMER in page
        assert f"Page {index} of {len(every)}" in page
        assert ("Trained on synthetic phantoms only, on no patient." in page) == (name != "failure")
    (nothing,) = words([])
    assert DISCLAIMER in nothing


def test_folders_are_named_nowhere(seen: dict[str, str]) -> None:
    for page in seen.values():
        assert "visit" not in page
        assert "Müller" not in page
        assert "home" not in page


# --- it keeps to the paper -------------------------------------------------------------------------------------------


def boxes(figure: Figure) -> list[tuple[str, np.ndarray]]:
    """Each line of words with its left, right, lower and upper edge in mm, as the PDF sets it."""
    found = []
    for text in figure.findobj(Text):
        line = text.get_text()
        if not line:
            continue
        x, y = text.get_position()
        font = text.get_fontproperties()
        width = width_of(line, font.get_size_in_points(), font.get_file().endswith("Bold.ttf"))
        left = x - {"left": 0, "center": width / 2, "right": width}[text.get_ha()]
        height = font.get_size_in_points() * POINT
        found.append((line, np.array([left, left + width, y - 0.72 * height, y + 0.2 * height])))
    return found


def test_no_words_leave_the_margins_or_overlap(every: dict[str, Answer | Failure]) -> None:
    for figure in pages(list(every.values())):
        found = boxes(figure)
        for index, (line, edges) in enumerate(found):
            assert edges[0] >= MARGIN - 0.1, line
            assert edges[1] <= WIDTH - MARGIN + 0.1, line
            assert edges[2] >= 10, line
            assert edges[3] <= HEIGHT - 6, line
            for other, their in found[index + 1 :]:
                beside = edges[1] <= their[0] or their[1] <= edges[0]
                above = edges[3] <= their[2] or their[3] <= edges[2]
                assert beside or above, (line, other)


def test_pictures_keep_clear_of_words(every: dict[str, Answer | Failure]) -> None:
    for figure in pages(list(every.values())):
        for image in figure.axes[0].get_images():
            left, right, bottom, top = image.get_extent()
            assert bottom - top >= 10
            for line, edges in boxes(figure):
                beside = edges[1] <= left or right <= edges[0]
                assert beside or edges[3] <= top or bottom <= edges[2], line


def test_measures_are_those_of_the_letters_that_are_set() -> None:
    for text, bold in ((HOW_TO_READ, False), (DISCLAIMER, True), ("AVAVAV fi To 1.11", False)):
        font = FontProperties(fname=typeface(bold).get_file(), size=10)
        set_width = POINT * text_to_path.get_text_width_height_descent(text, font, False)[0]
        assert set_width <= width_of(text, 10, bold) * 1.001
        assert set_width >= width_of(text, 10, bold) * 0.93


@pytest.mark.parametrize(
    "text", ["short", LONG_NAME, "a" * 400, "90 % of the belief lies between 45 and 64 %. " * 9, ""]
)
def test_lines_are_as_wide_as_there_is_room(text: str) -> None:
    lines = wrapped(text, 60, 8)
    assert all(width_of(line, 8) <= 60 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line.startswith("%") for line in lines)
    one = shortened(text, 60, 8)
    assert width_of(one, 8) <= 60
    assert one == text or (one[0] == text[0] and one[-1] == text[-1] and "…" in one)


def test_letters_that_the_typeface_lacks_are_marked(seen: dict[str, str]) -> None:
    assert settable("Échographie Θ ≤ 心🫀") == "Échographie Θ ≤ ��"
    assert "�: a letter that this page's typeface lacks" in seen["crowded"]


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_file_is_searchable_undated_and_the_same_bytes_always(
    answer: Answer, failure: Failure, tmp_path: Path
) -> None:
    slower = replace(answer, seconds={"read": 9.0, "encode": 9.0, "sample": 9.0})
    write_pdf(tmp_path / "report.pdf", [answer, failure])
    content = (tmp_path / "report.pdf").read_bytes()
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"pdf.fonttype": 3, "font.size": 30}):
        assert render_pdf([slower, failure]) == content
    assert {**matplotlib.rcParams, "backend": None} == {**before, "backend": None}
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]
    assert b"/FontFile2" in content
    for unwanted in (b"/Type3", b"CreationDate", b"visit"):
        assert unwanted not in content


def test_the_bytes_do_not_depend_on_the_process() -> None:
    code = (
        "import sys, hashlib; from types import SimpleNamespace; from mcsdr.errors import NotBMode;"
        "from mcsdr.report.pdf import render_pdf; assert 'matplotlib.pyplot' not in sys.modules;"
        "refusal = SimpleNamespace(path='a.dcm', error=NotBMode('colour flow'), input_sha256=None);"
        "print(hashlib.sha256(render_pdf([refusal])).hexdigest())"
    )
    here = hashlib.sha256(render_pdf([Failure("a.dcm", NotBMode("colour flow"))])).hexdigest()
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True)
    assert done.stdout.decode().strip() == here, done.stderr.decode()
