"""What a data set tells of a patient, as the bytes that a search of a copy would find.

    traces = { values of elements that are not on the allow-list, in sequences and private elements too }

Texts are split at the separators of names and of lists, in each encoding that they may have been written in. Shorter
ones than four bytes stand everywhere by chance and are not looked for: the allow-list alone keeps them out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, MutableSequence

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

SHORTEST = 4  # bytes
TELLING = 8  # bytes that do not stand in a picture by chance, if they are more than a few different ones
FEWEST = 3
LONGEST = 4096  # bytes of binary elements that may hold text
TEXT_VRS = ("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
NUMBER_VRS = ("DS", "IS")  # looked for where they are long enough not to be a number like others
LONG_NUMBER = 6
BINARY_VRS = ("OB", "OW", "UN")
SEPARATORS = re.compile(r"[\^=\\\r\n]+")
PRINTABLE = re.compile(rb"[ -~]{6,}")


def traces(dataset: Dataset, known: Collection[str]) -> frozenset[bytes]:
    """All that a data set says outside of the `known` keywords."""
    found: set[bytes] = set()
    for element in (*dataset.get("file_meta", ()), *_elements(dataset)):
        if element.keyword in known or element.keyword in ("PixelData", "TransferSyntaxUID"):
            continue
        found.update(_bytes_of(element))
    return frozenset(trace for trace in found if len(trace) >= SHORTEST)


def stand_in_pixels(told: Collection[bytes], pixels: bytes) -> bool:
    """Whether a trace stands in a picture, of those long and varied enough not to stand there by chance.

    The first eight bytes of every trace are compared, as one number, with the eight bytes at every place: a vendor's
    private elements may tell thousands of words, and a clip has a hundred million bytes.
    """
    telling = [trace for trace in told if len(trace) >= TELLING and len(set(trace[:TELLING])) > FEWEST]
    starts = np.unique(np.frombuffer(b"".join(trace[:TELLING] for trace in telling), dtype="<u8"))
    if not len(starts):
        return False
    seen: set[int] = set()
    for offset in range(TELLING):
        places = np.frombuffer(pixels, dtype="<u8", offset=offset, count=max(0, len(pixels) - offset) // TELLING)
        nearest = starts[np.minimum(np.searchsorted(starts, places), len(starts) - 1)]
        seen.update(places[nearest == places].tolist())
    return any(int.from_bytes(trace[:TELLING], "little") in seen and trace in pixels for trace in telling)


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)
        else:
            yield element


def _bytes_of(element: DataElement) -> Iterator[bytes]:
    if element.VR in BINARY_VRS and isinstance(element.value, bytes) and len(element.value) <= LONGEST:
        yield from (match.strip() for match in PRINTABLE.findall(element.value))
    if element.VR in NUMBER_VRS and len(str(element.value)) >= LONG_NUMBER and element.VM == 1:
        yield str(element.value).strip().encode()
    if element.VR not in TEXT_VRS or element.value is None:
        return
    values = element.value if isinstance(element.value, MutableSequence) else [element.value]
    for value in values:
        if element.VR == "UI" and UID(str(value)).name != str(value):
            continue  # a name of the standard's own: a class, a syntax
        for word in SEPARATORS.split(str(value)):
            for encoding in ("utf-8", "latin-1"):
                yield word.strip().encode(encoding, "ignore")
