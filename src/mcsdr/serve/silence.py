"""Logs and standard error never quote what came in: it may be a name.

pydicom's warnings and logs quote the values that they doubt, pynetdicom logs whole data sets, and a traceback shows
what a function was called with. What is worth saying is said by the service itself, in its own words.
"""

from __future__ import annotations

import logging
import warnings

TALKATIVE = ("pydicom", "pynetdicom", "dicomweb_client", "PIL", "libav")


def keep_silent() -> None:
    """Silence the libraries that quote what they read."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for module in ("pydicom", "pynetdicom"):
        warnings.filterwarnings("ignore", module=rf"{module}(\..*)?")
