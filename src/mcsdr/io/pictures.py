"""Reading pictures that follow each other: animated GIF and WebP, multi-page TIFF, and folders of numbered pictures.

GIF and WebP say how long each picture stays, in whole hundredths of a second or milliseconds; times that are even up to
that rounding are laid on an even grid. TIFF and folders of pictures say nothing of time, so the rate must be given.

The numbered pictures of a folder are a clip where they are all of its pictures, of one prefix, suffix and size, and
their numbers follow each other: frame_001.png, frame_002.png, …
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from mcsdr.errors import McsdrError, NoFrameTime, SingleFrame, UnreadableFile, UnsupportedFormat
from mcsdr.io.colour import luma
from mcsdr.io.recording import (
    MAX_SIDE,
    FrameStack,
    Recording,
    checked_rate,
    plausible_rate,
    rate_notices,
    uniform_times,
)
from mcsdr.io.square import squared
from mcsdr.study import Notice, even_times

NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d+)\.(?P<suffix>png|jpe?g|bmp|tiff?)", re.IGNORECASE | re.DOTALL)
TAIL = 4096  # bytes
FEWEST = 8  # numbered pictures that make a clip
CLOCKS_S = {"GIF": 0.01, "WEBP": 1e-3}  # to which times are rounded
GREY_MODES = ("1", "L", "I;16", "I;16B", "I", "F")
X_RESOLUTION, Y_RESOLUTION = 282, 283  # TIFF tags

Times = NDArray[np.float64]


def read_gif(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one animated GIF.

    Arguments:
        path: the file.
        frame_rate_hz: used instead of what the file says.

    Raises:
        UnreadableFile: damaged, or larger than the limits.
        SingleFrame, NoFrameTime: one picture only; nothing says how fast they follow each other.
    """
    return _read(path, "GIF", frame_rate_hz)


def read_webp(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one animated WebP; as `read_gif`."""
    return _read(path, "WEBP", frame_rate_hz)


def read_tiff(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one multi-page TIFF, which cannot say its rate; as `read_gif`."""
    return _read(path, "TIFF", frame_rate_hz)


def numbered_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their numbers, empty where they make no clip."""
    groups = _numbered(folder)
    if len(groups) != 1 or _gap(groups[0]) is not None:
        return []
    files = [groups[0][number] for number in sorted(groups[0])]
    return files if len(files) >= FEWEST and not _has_pages(files[0]) else []


def _numbered(folder: Path) -> list[dict[int, Path]]:
    """The numbered pictures of a folder by their numbers, those of one name together."""
    found: dict[tuple[str, str], dict[int, Path]] = {}
    for file in folder.iterdir():
        named = NUMBERED.fullmatch(file.name)
        if named and not file.name.startswith("."):
            group = found.setdefault((named["prefix"], named["suffix"].lower()), {})
            group[int(named["number"])] = file
    return list(found.values())


def _gap(group: dict[int, Path]) -> int | None:
    """The first number that is left out."""
    return next((number for number in range(min(group), max(group)) if number not in group), None)


def _why_none(folder: Path) -> str:
    """Why a folder is no clip."""
    groups = _numbered(folder)
    if len(groups) > 1:
        return f"its pictures are of {len(groups)} series"
    gap = _gap(groups[0]) if groups else None
    if gap is not None:
        return f"its pictures are numbered {min(groups[0])} to {max(groups[0])}, but {gap} is missing"
    return "it is no file, and no folder of numbered pictures"


def _has_pages(file: Path) -> bool:
    """Whether a picture is a clip by itself."""
    try:
        with Image.open(file) as image:
            return getattr(image, "n_frames", 1) > 1
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def read_folder(folder: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read the numbered pictures of a folder as one clip.

    Arguments:
        folder: what holds them.
        frame_rate_hz: frames per second, which pictures cannot say.

    Raises:
        UnsupportedFormat: the folder is no such clip.
        UnreadableFile: a picture is damaged, of another size, or all are more than the limits allow.
        NoFrameTime: no rate was given.
    """
    files = numbered_pictures(folder)
    if not files:
        step = "Give the clips of the folder one by one, or all pictures of one clip in a folder of its own."
        raise UnsupportedFormat(_why_none(folder), path=folder, next_step=step)
    rate = _given(frame_rate_hz, folder)
    with _one_error(folder), Image.open(files[0]) as first:
        stack = _stack(folder, len(files), first)
    for file in files:
        with _one_error(file), Image.open(file) as picture:
            _check(picture, stack, file)
            _add(picture, stack)
    return Recording(folder, stack.frames(), uniform_times(len(files), rate), stack.colour())


def _read(path: Path, kind: str, given_hz: float | None) -> Recording:
    _refuse_cut(path, kind)
    with _one_error(path), Image.open(path, formats=(kind,)) as image:
        count = int(getattr(image, "n_frames", 1))
        if count == 1:
            raise SingleFrame("it holds a single picture", path=path)
        stack = _stack(path, count, image)
        rate = _given(given_hz, path) if kind == "TIFF" else None
        stays: list[float] = []
        for picture in _whole(image):
            _check(picture, stack, path)
            _add(picture, stack)
            stays.append(float(picture.info.get("duration") or 0.0))
        aspect, missing = _aspect(image), stack.missing()
    if rate is None:
        times, notices = _times(stays, CLOCKS_S[kind], given_hz, path)
    else:
        times, notices = uniform_times(len(stack), rate), ()
    colour = stack.colour()
    return Recording(
        path=path,
        frames=squared(stack.frames(), aspect),
        frame_times_s=times,
        colour=squared(colour, aspect) if len(colour) else colour,
        notices=missing + notices,
    )


def _refuse_cut(path: Path, kind: str) -> None:
    """Refuse a file that lacks its end: of what is left of it no decoder says that more was there.

    Raises:
        UnreadableFile: a GIF without its last mark, a WebP shorter than it says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(max(0, size - TAIL))
        tail = file.read(TAIL)
    cut = {
        "GIF": not tail.rstrip(b"\0").endswith(b";"),
        "WEBP": size < 8 + int.from_bytes(head[4:8], "little"),
    }
    if cut.get(kind):
        step = "Export or copy the whole clip again from its source."
        raise UnreadableFile("it was cut short: its end is missing", path=path, next_step=step)


def _whole(image: Image.Image) -> Iterator[Image.Image]:
    """The pictures that can be decoded; the first that cannot ends them, as each builds on those before it."""
    try:
        yield from ImageSequence.Iterator(image)
    except (OSError, EOFError, ValueError, SyntaxError):
        return


def _stack(path: Path, count: int, image: Image.Image) -> FrameStack:
    return FrameStack(path, count, image.height, image.width)


def _check(picture: Image.Image, stack: FrameStack, path: Path) -> None:
    """Refuse a picture of another size before anything is allocated for it."""
    if picture.size != (stack.width, stack.height):
        raise UnreadableFile("the size of its picture changes from frame to frame", path=path)


def _add(picture: Image.Image, stack: FrameStack) -> None:
    if picture.mode in GREY_MODES:
        stack.add(_eight_bits(np.asarray(picture)), None)
    else:
        rgb = np.asarray(picture.convert("RGB"))
        stack.add(luma(rgb), lambda: rgb)


def _eight_bits(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    if grey.dtype == np.bool_:
        return grey.astype(np.uint8) * np.uint8(255)
    if grey.dtype == np.uint8:
        return np.array(grey, dtype=np.uint8)
    return np.clip(grey.astype(np.float32) / 257, 0, 255).astype(np.uint8)


def _aspect(image: Image.Image) -> float:
    """Width of a pixel over its height, where a TIFF says its resolution in both directions."""
    tags = getattr(image, "tag_v2", {})
    x, y = (float(tags.get(tag) or 0.0) for tag in (X_RESOLUTION, Y_RESOLUTION))
    return y / x if x > 0 and y > 0 else 1.0


def _times(
    stays_ms: Iterable[float], clock_s: float, given_hz: float | None, path: Path
) -> tuple[Times, tuple[Notice, ...]]:
    """Times in seconds of pictures that stay for so many milliseconds each, and what must be said of them."""
    stays = np.array(list(stays_ms)) / 1000.0
    if not len(stays):
        raise UnreadableFile("no frame of it could be decoded", path=path)
    since = np.concatenate([[0.0], np.cumsum(stays)[:-1]])
    if stays.min() < stays.max():  # 3, 3, 4 hundredths stand for thirtieths
        since = even_times(since, clock_s)
    found = 1.0 / float(np.mean(stays)) if stays.min() > 0 else None
    if given_hz is not None:
        rate = checked_rate(given_hz, path)
        if found is None:
            return uniform_times(len(stays), rate), ()
        # Writers keep one of equal neighbours and let it stay for as long as both.
        held = np.maximum(np.rint(stays / np.median(stays)), 1)
        return (np.cumsum(held) - held) / rate, rate_notices(rate, {"its delays": float(held.sum() / stays.sum())})
    if found is None or not plausible_rate(found):
        said = "does not say how long each picture stays" if found is None else f"claims {found:.4g} frames a second"
        raise NoFrameTime(f"the file {said}", path=path)
    return since, ()


def _given(rate_hz: float | None, path: Path) -> float:
    if rate_hz is None:
        raise NoFrameTime("pictures do not say how fast they follow each other", path=path)
    return checked_rate(rate_hz, path)


@contextmanager
def _one_error(path: Path) -> Iterator[None]:
    """Turn whatever the decoder raises into one error of this package that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except McsdrError:
        raise
    except Image.DecompressionBombError:
        raise UnreadableFile(f"its picture is larger than {MAX_SIDE} pixels a side", path=path) from None
    except Exception as error:
        raise UnreadableFile(f"it cannot be decoded ({type(error).__name__})", path=path) from None
