"""How many frames a DICOM file holds, and which bytes are which frame: counted here alone, for all who ask.

Number of Frames is often too low, missing or 1. What is there decides:

    uncompressed     bytes of the pixels / bytes of a frame
    compressed       one fragment a frame where there are as many as declared; else a frame begins with each fragment
                     that begins as a picture does, and goes on through those that do not. The offset table, often
                     of zeros, is not needed. Where that is too few, a fragment may hold several JPEG pictures
    video            as many as decode; until then what the header says

An empty fragment holds the place of a frame that is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from mcsdr.io.codestream import RLE_HEADER, Head, stream_head
from mcsdr.io.dicom_file import DicomFile, StoredPixels
from mcsdr.io.dicom_header import integer
from mcsdr.study import Notice

LOOK = 256  # bytes of a fragment that tell whether a picture begins
HEAD = 64 << 10  # bytes of a fragment that hold the head of its stream
NEXT_JPEG = re.compile(rb"\xff\xd9\0*(?=\xff\xd8\xff)")  # within coded samples these bytes cannot stand


@dataclass(frozen=True)
class CodedFrames:
    """The frames of encapsulated pixels: the fragments of each, none of a frame that is missing."""

    pixels: StoredPixels
    fragments: tuple[tuple[int, ...], ...]
    head: Head | None

    @property
    def count(self) -> int:
        """How many frames there are, the missing ones among them."""
        return len(self.fragments)

    def coded(self, index: int) -> bytes:
        """The bytes of one frame; none where it is missing."""
        return b"".join(self.pixels.fragment(part) for part in self.fragments[index])


def coded_frames(file: DicomFile) -> CodedFrames:
    """The frames of a file whose pixels are encapsulated."""
    pixels = file.pixels
    assert pixels is not None
    assert pixels.fragments is not None
    held = [index for index, (_, length) in enumerate(pixels.fragments) if length]
    if not held:
        return CodedFrames(pixels, (), None)
    head = stream_head(pixels.read(pixels.fragments[held[0]][0], min(pixels.fragments[held[0]][1], HEAD)))
    if head is not None and head.kind == "video":
        return CodedFrames(pixels, (tuple(held),), head)
    declared = declared_frames(file)
    frames = _grouped(pixels, held, declared)
    if len(frames) < declared and head is not None and head.kind in ("jpeg", "jpeg-ls"):
        parted = _parted(pixels, held)
        if parted.fragments is not None and len(parted.fragments) == declared:
            return CodedFrames(parted, tuple((index,) for index in range(declared)), head)
    return CodedFrames(pixels, frames, head)


def declared_frames(file: DicomFile) -> int:
    """How many frames the header says there are, 0 where it does not say."""
    return max(0, integer(file.dataset, "NumberOfFrames"))


def count_notices(declared: int, held: int) -> tuple[Notice, ...]:
    """What must be said where the header counts fewer frames than there are."""
    if declared >= held:
        return ()
    said = f"counts {declared}" if declared else "does not count them"
    text = f"The file holds {held} frames, but its header {said}; all were read."
    return (Notice("frame-count-untrue", text),)


def _grouped(pixels: StoredPixels, held: list[int], declared: int) -> tuple[tuple[int, ...], ...]:
    """The fragments of each frame."""
    fragments = pixels.fragments
    assert fragments is not None
    if len(fragments) == declared:
        return tuple((index,) if length else () for index, (_, length) in enumerate(fragments))
    begins = {index for index in held if _begins(pixels, *fragments[index])}
    empty_counts = len(begins) != declared
    frames: list[tuple[int, ...]] = []
    for index, (_, length) in enumerate(fragments):
        if not length:
            if empty_counts:
                frames.append(())
        elif index in begins or not frames:
            frames.append((index,))
        else:
            frames[-1] = (*frames[-1], index)
    return tuple(frames)


def _parted(pixels: StoredPixels, held: list[int]) -> StoredPixels:
    """The same pixels with a fragment for each JPEG picture in those held."""
    assert pixels.fragments is not None
    parts: list[tuple[int, int]] = []
    for index in held:
        offset, length = pixels.fragments[index]
        ends = [found.end() for found in NEXT_JPEG.finditer(pixels.fragment(index))]
        parts += [(offset + start, end - start) for start, end in pairwise([0, *ends, length])]
    return replace(pixels, fragments=tuple(parts))


def _begins(pixels: StoredPixels, offset: int, length: int) -> bool:
    head = stream_head(pixels.read(offset, min(length, LOOK)))
    start = pixels.read(offset, 2)
    return start == b"\xff\xd8" or (head is not None and (head.kind == "jpeg2000" or length > RLE_HEADER))
