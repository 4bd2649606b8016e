"""Names and chances of the written data sets: each a function of what it is about, so nothing depends on an order."""

from __future__ import annotations

import hashlib

import numpy as np


def digest(*about: object) -> str:
    """64 hexadecimal digits that stand for the words given."""
    return hashlib.sha256(" ".join(map(str, about)).encode()).hexdigest()


def generator(*about: object) -> np.random.Generator:
    """A random generator of its own for the words given."""
    return np.random.default_rng(int(digest(*about)[:16], 16))
