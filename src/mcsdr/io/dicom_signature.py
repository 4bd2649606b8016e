"""Telling a DICOM file by its first bytes, also one without preamble, or without group 2.

Without the magic word, a file counts as DICOM where it begins with an element of group 2 or 8, the first that a data
set may have, with a value representation or a length that such an element has. Knows no parser: it costs nothing.
"""

from __future__ import annotations

MAGIC = slice(128, 132)
FIRST_GROUPS = (0x0002, 0x0008)
REPRESENTATIONS = (b"UL", b"UI", b"CS", b"DA", b"OB", b"SH", b"LO", b"DT", b"TM", b"SQ", b"ST", b"PN")
LONGEST_FIRST = 128  # bytes of a first element without a value representation


def begins_as_dicom(head: bytes) -> bool:
    """Whether these are the first bytes of a DICOM file; some 140 of them tell."""
    if head[MAGIC] == b"DICM":
        return True
    if len(head) < 12:
        return False
    for order in ("little", "big"):
        group, element = int.from_bytes(head[:2], order), int.from_bytes(head[2:4], order)
        if group in FIRST_GROUPS and element <= 0x0080:
            length = int.from_bytes(head[4:8], order)
            if head[4:6] in REPRESENTATIONS or 0 < length <= LONGEST_FIRST:
                return True
    return False
