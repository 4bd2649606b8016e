"""How `make docs` builds the pages: from Markdown and docstrings, without a network."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parents[1] / "src")]

mcsdr = import_module("mcsdr")
# Names that are imported when they are asked for, as autodoc wants to see them.
vars(mcsdr).update({name: getattr(mcsdr, name) for name in mcsdr.__all__})

project = "mcsdr"
author = "The mcsdr authors"
project_copyright = "The mcsdr authors"
version = release = mcsdr.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["tables/*.md"]
suppress_warnings = ["toc.not_readable"]  # docs/phantom.md may be missing; a page that no list names is still a fault

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
highlight_language = "text"
default_role = "literal"  # in docstrings, `x` is code
html_math_renderer = "mathml"

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # types stand in the signature

html_theme = "furo"
html_title = f"mcsdr {release}"
html_static_path = ["_static"]
html_css_files = ["mcsdr.css"]
html_copy_source = False
html_show_sphinx = False


SPELT_OUT = {  # what annotations mean, and how they are written
    r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[~?([\w.]+)\]\]": r"NDArray[\1]",
    r"~numpy\._typing\._array_like\._Buffer \|.*?_NestedSequence\[complex \| bytes \| str\]": "ArrayLike",
    r"~typing\.Annotated\[(\w+)(?:, ~annotated_types\.\w+\([^()]*\))+\]": r"\1",
    r"numpy\.(\w+)_?\]": r"\1]",
}


def shorter(app: Any, what: str, name: str, thing: Any, options: Any, signature: str, returns: str) -> tuple[str, str]:
    """A signature as it is written, not as NumPy spells it out."""
    for meant, written in SPELT_OUT.items():
        signature, returns = (text and re.sub(meant, written, text) for text in (signature, returns))
    return signature, returns


def setup(app: Any) -> None:
    """What the pages need beyond the settings above."""
    app.connect("autodoc-process-signature", shorter)
