"""How `make docs` builds the pages: from Markdown and docstrings, without a network."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parents[1] / "src")]

import mcsdr

# Names that are imported when they are asked for, as autodoc wants to see them.
vars(mcsdr).update({name: getattr(mcsdr, name) for name in mcsdr.__all__})

project = "mcsdr"
author = "The mcsdr authors"
project_copyright = "The mcsdr authors"
version = release = mcsdr.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["tables/*.md"]
suppress_warnings = ["toc.empty_glob"]  # a page that is not written yet is no fault

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
default_role = "literal"  # in docstrings, `x` is code
html_math_renderer = "mathml"

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"mcsdr {release}"
html_static_path = ["_static"]
html_css_files = ["mcsdr.css"]
html_copy_source = False
html_show_sphinx = False
