"""Draw docs/posterior.png, the picture that opens the README: python docs/make_picture.py"""

from __future__ import annotations

from pathlib import Path

from pydicom.data import get_testdata_file

import mcsdr
from mcsdr.report import figures

model = mcsdr.load()
study = mcsdr.read_study(get_testdata_file("examples_ybr_color.dcm"))
figure = figures.readme_picture(model(study).posterior, study.clips[0], footer=model.card.notice)
figures.save(Path(__file__).parent / "posterior.png", figure)
