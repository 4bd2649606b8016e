"""What the pages promise: they say what the record says, lose nothing in silence, and keep to the paper."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from pypdf import PdfReader
from tests.report.standins import posterior_of, prediction

import mcsdr
from mcsdr import DISCLAIMER
from mcsdr.gates import Abstention
from mcsdr.prediction import BeatAnswer, Failure, Prediction
from mcsdr.report import CATEGORIES, category_percents, further_notices, headline, insisted, percent, thresholds
from mcsdr.report.basis import reasons
from mcsdr.report.pdf import pages, render_pdf, write_pdf
from mcsdr.report.sheet import HEIGHT, MARGIN, POINT, WIDTH, settable, shortened, width_of, wrapped
from mcsdr.study import Notice, Study

LONG_NAME = "Обследование_" * 9 + "心エコー_🫀_$x_1$_четырёхкамерная.dcm"
SHA256 = "ab" * 32


def words(results: Sequence[Prediction | Failure]) -> list[str]:
    """What can be searched on each page, in one line."""
    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(render_pdf(results))).pages]


@pytest.fixture(scope="module")
def insisting(two_peaked: Prediction) -> Prediction:
    """Everything at once: insisted on, two peaks, a notice, twelve beats."""
    why = Abstention("wide-interval", "The 90 % interval is 30 points wide: this clip says little.", "Ask a reader.")
    beats = tuple(BeatAnswer(0.2 + 0.87 * i, posterior_of((1.0, 34 + 2 * i, 4))) for i in range(12))
    notices = (*two_peaked.notices, Notice("low-frame-rate", "The clip has 18 frames a second."))
    return replace(two_peaked, abstained=why, anyway=True, beats=beats, notices=notices)


@pytest.fixture(scope="module")
def crowded(beating: Prediction) -> Prediction:
    """More notices than a page can hold, and a name that no typeface can set in one line."""
    told = tuple(
        Notice(f"notice-{i}", "What the reader of a result must know, at such length. " * 4) for i in range(14)
    )
    return replace(beating, path=f"/home/Müller Hans/{LONG_NAME}", notices=told)


@pytest.fixture(scope="module")
def every(
    beating: Prediction, insisting: Prediction, withheld: Prediction, failure: Failure, crowded: Prediction
) -> list[Prediction | Failure]:
    nothing = prediction("none.avi", beating.study.without("video"), posterior_of((1, 30, 18)))
    twice = replace(beating, path="two.avi", study=replace(beating.study, clips=beating.study.clips * 2))
    return [beating, insisting, withheld, replace(withheld, path="w.dcm"), failure, crowded, nothing, twice]


# --- it says what the record says ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["answer", "two_peaked", "beating", "insisting"])
def test_every_number_of_the_record_can_be_searched(name: str, request: pytest.FixtureRequest) -> None:
    result: Prediction = replace(request.getfixturevalue(name), input_sha256=SHA256)
    record, (seen,) = result.record(), words([result])
    assert headline(record) in seen
    for category, share in zip(CATEGORIES, category_percents(record["prob"]), strict=True):
        assert f"{category.name} {category.inequality} {share}" in seen
    for row in thresholds(record["prob"], result.study.attributes.sex):
        share = "—" if row.probability is None else percent(row.probability)
        assert f"{row.inequality} {share} {row.meaning}" in seen
    assert "Share, % " + " ".join(f"{100 * float(level):g}" for level in record["quantiles"]) in seen
    assert "EF, % " + " ".join(f"{ef:.1f}" for ef in record["quantiles"].values()) in seen
    for _, sentence in reasons(result.study, record):
        assert sentence in seen
    for notice in further_notices(record):
        assert f"{notice['text']} [{notice['code']}]" in seen
    assert "ESC 2021" in seen


def test_the_pages_say_where_the_answer_comes_from(answer: Prediction) -> None:
    (seen,) = words([replace(answer, input_sha256=SHA256)])
    for expected in (SHA256, "5e" * 32, "stand-in", "Seed 0", "midpoint, 4 steps", "Network evaluations 8"):
        assert expected in seen
    assert f"mcsdr {mcsdr.__version__}" in seen
    assert "no file was read" in words([answer])[0]


def test_beats_stand_one_by_one(beating: Prediction, insisting: Prediction) -> None:
    (seen,) = words([beating])
    beats = beating.record()["beats"]
    assert "Starts at 0.20 s 1.10 s" in seen
    assert "Median EF, % " + " ".join(f"{beat['median']:.0f}" for beat in beats) in seen
    assert "90 % interval " + " ".join("{:.0f}–{:.0f}".format(*beat["interval_90"]) for beat in beats) in seen
    assert "Beat by beat and 3 more in the HTML report" in words([insisting])[0]


def test_two_peaks_are_not_averaged_and_insisting_is_marked(insisting: Prediction) -> None:
    (seen,) = words([insisting])
    warning = insisted(insisting.record())
    assert warning is not None
    assert seen.index(warning) < seen.index("Two readings fit")
    assert "The median reading" not in seen
    assert "with the median" not in seen


def test_an_abstention_and_a_failure_say_why_and_what_to_do(withheld: Prediction, failure: Failure) -> None:
    first, second = words([withheld, replace(failure, input_sha256=SHA256)])
    why = withheld.abstained
    assert why is not None
    for expected in ("No answer was given.", why.reason, why.next_step, why.code, "5e" * 32):
        assert expected in first
    assert "The median reading" not in first
    for expected in (failure.error.cause, failure.error.next_step, failure.error.code, SHA256, "colour.dcm"):
        assert expected in second


def test_what_does_not_fit_is_counted(crowded: Prediction) -> None:
    (seen,) = words([crowded])
    shown = sum(f"[notice-{i}]" in seen for i in range(14))
    assert 0 < shown < 14
    assert f"And {14 - shown} notices more, in the HTML report: notice-{shown}" in seen
    assert "visit" not in seen
    assert "Müller" not in seen


def test_every_page_says_what_it_is_for(every: list[Prediction | Failure]) -> None:
    seen = words(every)
    for index, page in enumerate(seen, 1):
        assert DISCLAIMER in page
        assert f"Page {index} of {len(every)}" in page
    for page, result in zip(seen, every, strict=True):
        assert ("Trained on synthetic phantoms only, on no patient." in page) == isinstance(result, Prediction)
    (nothing,) = words([])
    assert DISCLAIMER in nothing


def test_folders_are_named_nowhere(every: list[Prediction | Failure]) -> None:
    results = [replace(result, path=f"/srv/Doe Jane 1950/{index}.avi") for index, result in enumerate(every)]
    content = render_pdf(results)
    assert "Doe" not in " ".join(words(results))
    assert b"Doe" not in content
    assert b"CreationDate" not in content


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


def test_no_words_leave_the_margins_or_overlap(every: list[Prediction | Failure]) -> None:
    for figure in pages(every):
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


def test_pictures_keep_clear_of_words(every: list[Prediction | Failure]) -> None:
    for figure in pages(every):
        for image in figure.axes[0].get_images():
            left, right, bottom, top = image.get_extent()
            assert bottom - top >= 20
            for line, edges in boxes(figure):
                beside = edges[1] <= left or right <= edges[0]
                assert beside or edges[3] <= top or bottom <= edges[2], line


def test_the_words_that_are_measured_are_the_words_that_are_set(answer: Prediction) -> None:
    """Places of the letters as the PDF holds them: none beyond the right margin."""
    page = PdfReader(io.BytesIO(render_pdf([answer]))).pages[0]
    assert [float(edge) for edge in page.mediabox] == pytest.approx([0, 0, WIDTH / POINT, HEIGHT / POINT], abs=0.1)
    starts: list[float] = []
    page.extract_text(visitor_text=lambda text, matrix, *_: starts.append(matrix[4]) if text.strip() else None)
    assert min(starts) >= MARGIN / POINT - 1
    assert max(starts) <= (WIDTH - MARGIN) / POINT


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


def test_letters_that_the_typeface_lacks_are_marked(crowded: Prediction) -> None:
    assert settable("Échographie Θ ≤ 心🫀") == "Échographie Θ ≤ ��"
    assert "�: a letter that this page's typeface lacks" in words([crowded])[0]


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_letters_are_embedded_as_truetype(answer: Prediction) -> None:
    content = render_pdf([answer])
    assert b"/FontFile2" in content
    assert b"/Type3" not in content


def test_the_same_answer_is_the_same_bytes(answer: Prediction, failure: Failure, tmp_path: Path) -> None:
    slower = replace(answer, seconds={"read": 9.0, "encode": 9.0, "sample": 9.0})
    write_pdf(tmp_path / "report.pdf", [answer, failure])
    assert (tmp_path / "report.pdf").read_bytes() == render_pdf([slower, failure])
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]


def test_the_bytes_do_not_depend_on_the_process() -> None:
    code = (
        "import sys, hashlib; from mcsdr.errors import NotBMode; from mcsdr.prediction import Failure;"
        "from mcsdr.report.pdf import render_pdf; assert 'matplotlib.pyplot' not in sys.modules;"
        "print(hashlib.sha256(render_pdf([Failure('a.dcm', NotBMode('colour flow'))])).hexdigest())"
    )
    seen = set()
    for seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        seen.add(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout)
    assert len(seen) == 1


def test_nothing_global_is_left_behind(answer: Prediction) -> None:
    before = matplotlib.rcParams.copy()
    with matplotlib.rc_context({"pdf.fonttype": 3, "font.size": 30}):
        changed = render_pdf([answer])
    assert changed == render_pdf([answer])
    assert matplotlib.rcParams == before


def test_a_study_of_two_clips_counts_the_pictures_that_it_leaves_out(answer: Prediction, study: Study) -> None:
    twice = replace(answer, study=replace(study, clips=answer.study.clips * 2))
    assert "And 2 more in the html report" not in words([twice])[0]
    assert "and 2 more in the HTML report." in words([twice])[0].replace("And", "and")
