"""Draw docs/page.png, the page of `mcsdr serve` with a clip answered, in Debian's chromium: python docs/make_page.py"""

from __future__ import annotations

import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from pydicom.data import get_testdata_file

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WIDTH = 1180

server = subprocess.Popen([sys.executable, "-m", "mcsdr", "serve", "--port", "0"], stdout=subprocess.PIPE, text=True)
assert server.stdout is not None
try:
    address = server.stdout.readline().split()[3]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": 2400}, reduced_motion="reduce")
        page.goto(address)
        page.set_input_files("#files", str(get_testdata_file("examples_ybr_color.dcm")))
        page.wait_for_selector(".belief:not([hidden])", timeout=90_000)
        page.wait_for_function("document.querySelector('canvas').width != 300")
        page.wait_for_timeout(500)  # the first frame is drawn
        top, end = (page.locator(part).first.bounding_box() for part in (".exam", "h3:has-text('What is known')"))
        shot = page.screenshot(clip={"x": 0, "y": top["y"] - 16, "width": WIDTH, "height": end["y"] - top["y"]})
        browser.close()
finally:
    server.terminate()
    server.wait(timeout=60)

picture = Image.open(BytesIO(shot)).convert("RGB").quantize(128, dither=Image.Dither.NONE)
picture.save(Path(__file__).parent / "page.png", optimize=True)
