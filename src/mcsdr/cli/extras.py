"""What a command needs beyond the plain installation."""

from __future__ import annotations

from importlib.util import find_spec

from mcsdr.errors import EXTRAS, MissingExtra


def need(extra: str) -> None:
    """Ask for all libraries of an extra, before any work; none is imported.

    Raises:
        MissingExtra: one is not installed.
    """
    for module, brought_by in EXTRAS.items():
        if brought_by == extra and find_spec(module) is None:
            raise MissingExtra.of(module)
