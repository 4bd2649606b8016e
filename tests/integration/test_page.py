"""The page in a real browser: a clip is dropped, read, asked again, compared and taken away; nobody else is asked.

Run by `make test-page`; needs Debian's `chromium`, and axe-core, which the command fetches by its name.
Screenshots are left in out/page.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from mcsdr.interop.structured_report import read_back
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.layouts.video import write_avi

playwright = pytest.importorskip("playwright.sync_api")
pypdf = pytest.importorskip("pypdf")

CHROMIUM = shutil.which("chromium")
AXE = Path(os.environ.get("AXE_CORE", "out/axe/package/axe.min.js"))
SHOTS = Path("out/page")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SIZES = {"desktop": (1280, 900), "phone": (390, 844), "narrow": (320, 700)}

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "mcsdr", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield server.stdout.readline().split()[3]
    server.terminate()
    server.wait(timeout=60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Any]:
    """Opens the page in a size and a scheme; afterwards nobody else may have been asked, and nothing have failed."""
    asked: set[str] = set()
    faults: list[str] = []
    contexts = []

    def opened(size: str = "desktop", scheme: str = "light", motion: str = "no-preference") -> Any:
        width, height = SIZES[size]
        view = {"width": width, "height": height}
        context = browser.new_context(viewport=view, color_scheme=scheme, reduced_motion=motion)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.add(request.url.split("/")[2]))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert {host for host in asked if host} == {address.split("/")[2]}
    assert [fault for fault in faults if "favicon" not in fault] == []


@pytest.fixture(scope="module")
def clip() -> str:
    return str(get_testdata_file("examples_ybr_color.dcm"))


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SYNTHETIC phantom of low ejection fraction, as a later exam."""
    study = min(PhantomCohort(12, 92), key=lambda one: one.true_ef_percent or 100)
    path = tmp_path_factory.mktemp("later") / "later.avi"
    write_avi(path, study.clips[0].frames, 25)
    return str(path)


def dropped(page: Any, path: str) -> None:
    """Drop a file on the page as a mouse does."""
    content = json.dumps(list(Path(path).read_bytes()))
    transfer = page.evaluate_handle(
        f"""() => {{ const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array({content})], {json.dumps(Path(path).name)})); return transfer; }}"""
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def until(page: Any, expression: str, seconds: float = 90.0) -> None:
    """Wait for an expression; asked from outside, since the page's policy forbids evaluating text inside."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.05)


def until_true(page: Any, holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something holds here, while the page goes on."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


def answered(page: Any, count: int = 1) -> None:
    until(page, f"document.querySelectorAll('.belief:not([hidden])').length >= {count}")


def insisted(page: Any) -> None:
    """Ask for the belief where the model abstains, so that there is something to look at."""
    page.wait_for_selector(".outcome:not([hidden])", timeout=90_000)
    for button in page.query_selector_all(".abstained:not([hidden]) .insist"):
        button.click()


def test_from_the_drop_to_the_download(open_page: Any, clip: str, tmp_path: Path) -> None:
    page = open_page()
    dropped(page, clip)
    insisted(page)
    answered(page)
    said = page.inner_text(".exam .headline")
    assert re.search(r"median reading is EF \d+ %", said), said
    slider = page.locator(".threshold input")
    slider.fill("50")
    at_50 = page.inner_text(".threshold output")
    slider.fill("70")
    assert at_50.startswith("P(EF ≤ 50 %)")
    assert page.inner_text(".threshold output") != at_50
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert "70.5 %" in page.inner_text(".threshold output")
    page.fill("[name=age]", "88")
    until(page, "document.querySelector('.reasons').innerText.includes('age 88 years')")
    insisted(page)
    until(page, "document.querySelector('.belief:not([hidden])') !== null")
    for name in ("report.pdf", "report.dcm", "result.json"):
        with page.expect_download() as waiting:
            page.click(f'[data-file="{name}"]')
        waiting.value.save_as(tmp_path / name)
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["attributes"]["age_years"] == 88
    assert read_back(dcmread(tmp_path / "report.dcm"))["median"] == record["median"]
    text = pypdf.PdfReader(tmp_path / "report.pdf").pages[0].extract_text()
    assert f"{record['median']:.0f}" in text
    assert "Research use only" in text


def both(page: Any, clip: str, later: str) -> Any:
    """The page with two answered exams."""
    dropped(page, clip)
    insisted(page)
    answered(page)
    dropped(page, later)
    until(page, "document.querySelectorAll('.outcome:not([hidden])').length == 2")
    insisted(page)
    answered(page, 2)
    return page


def test_two_exams_are_compared(open_page: Any, clip: str, later: str) -> None:
    page = both(open_page(), clip, later)
    assert not page.is_visible("#compare")  # nobody has asked
    page.click("#ask-compare")
    until(page, "document.getElementById('change').innerText.includes('fell by 10 points or more')")
    assert "whose they are" in page.inner_text("#doubts")  # a video names no patient
    page.screenshot(path=SHOTS / "two-exams.png", full_page=True)


def test_a_late_reply_to_a_comparison_is_dropped(open_page: Any, clip: str, later: str) -> None:
    page, held = both(open_page(), clip, later), []

    def reply(route: Any, probability: float) -> None:
        before, after = (page.input_value(f"#{which}") for which in ("before", "after"))
        route.fulfill(
            json={"before": before, "after": after, "by_date": True, "probability": probability, "warnings": []}
        )

    page.route("**/change?*", lambda route: held.append(route))
    page.click("#ask-compare")
    until_true(page, lambda: len(held) == 1)
    page.dispatch_event("#after", "change")  # asked again before the first reply has come
    until_true(page, lambda: len(held) == 2)
    reply(held[1], 0.77)
    until(page, "document.getElementById('change').innerText.includes('77 %')")
    with page.expect_response("**/change?*"):
        reply(held[0], 0.11)
    page.wait_for_timeout(300)
    assert "77 %" in page.inner_text("#change")


def test_a_file_that_is_no_clip_says_what_to_do(open_page: Any, tmp_path: Path) -> None:
    page = open_page()
    other = tmp_path / "letter.txt"
    other.write_text("no clip")
    dropped(page, str(other))
    page.wait_for_selector(".next:visible", timeout=60_000)
    assert "unsupported-format" in page.inner_text(".exam")
    page.screenshot(path=SHOTS / "failure.png", full_page=True)


def test_keys_alone_are_enough(open_page: Any, clip: str) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    page.set_input_files("#files", clip)
    insisted(page)
    answered(page)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.textContent.trim().slice(0, 12) || document.activeElement.type")
        )
    assert {"Remove", "range", "number", "PDF"} <= reached


def test_the_loop_stands_still_where_motion_is_not_wanted(open_page: Any, clip: str) -> None:
    page = open_page(motion="reduce")
    page.set_input_files("#files", clip)
    until(page, "document.querySelector('.play')?.textContent == 'Play'")


def test_the_outline_can_be_taken_off_the_clip(open_page: Any, clip: str) -> None:
    page = open_page(motion="reduce")
    page.set_input_files("#files", clip)
    insisted(page)
    until(page, "document.querySelector('.outlined')?.hidden === false")
    orange = """(() => { const canvas = document.querySelector('canvas');
      const seen = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      let count = 0;
      for (let i = 0; i < seen.length; i += 4) count += seen[i] > 180 && seen[i + 2] < 60;
      return count; })()"""
    assert page.evaluate(orange) > 100
    page.uncheck(".outlined input")
    assert page.evaluate(orange) == 0
    page.check(".outlined input")
    assert page.evaluate(orange) > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_looks_right_and_is_for_everybody(open_page: Any, clip: str, size: str, scheme: str) -> None:
    page = open_page(size, scheme)
    page.set_input_files("#files", clip)
    insisted(page)
    answered(page)
    until(page, "document.querySelector('.clip').hidden || document.querySelector('canvas').width != 300")
    page.screenshot(path=SHOTS / f"{size}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    if not AXE.is_file():
        pytest.skip("axe-core is not at hand")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.evaluate(AXE.read_text())  # by the debugger, which the page's own policy does not bind
    found = page.evaluate("axe.run()")["violations"]
    serious = [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:120]}" for one in found]
    assert serious == []
