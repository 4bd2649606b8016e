"""Clips that must be refused: what is no echocardiogram, no living one, or not the view that a model reads.

Each family is one way of being wrong, and one function from a random generator to frames. They serve to teach a gate
what to refuse (`mcsdr.evaluation.gating`). Those of HELD_OUT teach nothing unless they are asked for by name, neither
an encoder nor a gate, so that whoever measures them learns what is refused that was never shown. Study `index` of
cohort `seed` is a function of (seed, index, family) alone; families take turns.

    >>> ImpostorCohort(len(TAUGHT), seed=1)[0].study_id
    'impostor-black-1-000000'

    black           nothing, or the faint noise of a compressed nothing
    still           one frame of a real phantom, held
    white-noise     every pixel its own, every frame anew
    shaken-texture  a picture with the 1/f spectrum of natural scenes that drifts and turns brighter
    scene           bodies with edges that move before such a picture
    speckle         a sector of tissue that sways as one, without a heart
    live-noise      a sector whose speckle is drawn anew in each frame, without structure
    text            a screen of lines that scrolls
    m-mode          a strip of wavy bands that runs to the left
    spectral        a strip of Doppler waves in grey that runs to the left
    upside-down     a phantom on its head
    pulsing-still   one frame of a phantom, drawn nearer and away as a whole
    inverted-grey   a phantom, black for white
    shuffled        a phantom's frames in any order; held out
    quarter-turn    a phantom that lies on its side; held out
    PSAX, …         phantoms of other views, as many as are asked for
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import Clip, Cohort, Study, View

Frames = NDArray[np.uint8]
Array = NDArray[np.float64]

SIZE = 112
RATE_HZ = 25.0


class ImpostorCohort(Cohort):
    """A sequence of clips to refuse, made when read.

    Arguments:
        n: number of studies.
        seed: the cohort.
        families: names of `FAMILIES`, or of views; they take turns. All of TAUGHT, PSAX and PLAX unless given.
        frames: frames per clip, at 25 Hz.
    """

    def __init__(self, n: int, seed: int, families: Sequence[str] | None = None, frames: int = 32) -> None:
        self.n, self.seed, self.frames = n, seed, frames
        self.families = tuple(families or (*TAUGHT, View.PSAX.value, View.PLAX.value))
        for family in self.families:
            if family not in FAMILIES:
                View(family)

    def __len__(self) -> int:
        return self.n

    def family(self, index: int) -> str:
        """The family of study `index`."""
        return self.families[index % len(self.families)]

    def study(self, index: int) -> Study:
        """Study `index`, made now."""
        family = self.family(index)
        rng = np.random.default_rng([self.seed, index, *family.encode()])
        view = View.UNKNOWN if family in FAMILIES else View(family)
        film = FAMILIES[family](rng, self.frames) if family in FAMILIES else phantom(rng, self.frames, view)
        name = f"impostor-{family}-{self.seed}-{index:06d}"
        clip = Clip(film, np.arange(self.frames) / RATE_HZ, view, source=name)
        return Study(clips=(clip,), study_id=name, patient_id=name)


# --- families: a generator and the number of frames in, uint8 [T, SIZE, SIZE] out -------------------------------------


def phantom(rng: np.random.Generator, frames: int, view: View = View.A4C) -> Frames:
    """A phantom, plain or varied, of a cohort that nobody trains on: its seed is beyond all that hands write."""
    seed = int(rng.integers(2**40, 2**41))
    appearance: Literal["plain", "varied"] = "plain" if view != View.PLAX and rng.random() < 0.3 else "varied"
    cohort = PhantomCohort(1, seed, frames=frames, sampling_hz=RATE_HZ, views=(view,), appearance=appearance)
    return cohort[0].clips[0].frames


def black(rng: np.random.Generator, frames: int) -> Frames:
    """Zeros, or noise of a few grey levels."""
    return rng.integers(0, 1 + int(rng.integers(0, 8)), (frames, SIZE, SIZE)).astype(np.uint8)


def still(rng: np.random.Generator, frames: int) -> Frames:
    """One frame of a phantom, with as little noise as compression leaves."""
    picture = phantom(rng, 1).astype(np.float64)
    return _bytes(picture + rng.choice((0.0, 0.4)) * rng.standard_normal((frames, SIZE, SIZE)))


def white_noise(rng: np.random.Generator, frames: int) -> Frames:
    """Independent pixels around a mean."""
    mean, sd = rng.uniform(20, 200), rng.uniform(10, 80)
    return _bytes(mean + sd * rng.standard_normal((frames, SIZE, SIZE)))


def shaken_texture(rng: np.random.Generator, frames: int) -> Frames:
    """A natural-looking picture that translates, sways and changes its brightness."""
    wide = _natural(rng, 2 * SIZE)
    path = _path(rng, frames, SIZE // 2 - 1)
    gain = 1 + rng.uniform(0, 0.3) * np.sin(rng.uniform(0, 6) + np.arange(frames) * rng.uniform(0.05, 0.6))
    return _bytes(np.stack([wide[y : y + SIZE, x : x + SIZE] * g for (y, x), g in zip(path, gain, strict=True)]))


def scene(rng: np.random.Generator, frames: int) -> Frames:
    """Discs and boxes, each with its own grey and path, before a natural-looking picture that stands still."""
    film = np.repeat(_natural(rng, SIZE)[None], frames, axis=0)
    y, x = np.mgrid[:SIZE, :SIZE]
    for _ in range(int(rng.integers(2, 7))):
        path, size = _path(rng, frames, SIZE), rng.uniform(6, 30, 2)
        grey, round_one = rng.uniform(0, 255), rng.random() < 0.5
        for t, (cy, cx) in enumerate(path):
            dy, dx = np.abs(y - cy) / size[0], np.abs(x - cx) / size[1]
            inside = np.hypot(dy, dx) < 1 if round_one else np.maximum(dy, dx) < 1
            film[t][inside] = grey
    return _bytes(film)


def speckle(rng: np.random.Generator, frames: int) -> Frames:
    """Tissue without a heart: one texture, moved as a whole, partly redrawn, seen through a sector."""
    wide = _speckle(rng, 2 * SIZE, rng.uniform(0.8, 2.5)) * _natural(rng, 2 * SIZE, 1.5) / 110
    free = rng.uniform(0, 0.6)
    path = _path(rng, frames, SIZE // 2 - 1, slow=True)
    moving = np.stack([wide[y : y + SIZE, x : x + SIZE] for y, x in path])
    anew = np.stack([_speckle(rng, SIZE, 1.0) for _ in range(frames)])
    return _bytes(((1 - free) * moving + free * anew) * _sector(rng))


def live_noise(rng: np.random.Generator, frames: int) -> Frames:
    """A sector full of speckle that is new in every frame, darker with depth."""
    grain, gain = rng.uniform(0.6, 2.5), rng.uniform(0.4, 1.4)
    depth = np.exp(-rng.uniform(-0.3, 2) * np.linspace(0, 1, SIZE))[:, None]
    return _bytes(gain * np.stack([_speckle(rng, SIZE, grain) for _ in range(frames)]) * depth * _sector(rng))


def text(rng: np.random.Generator, frames: int) -> Frames:
    """Lines of letter-like blocks that scroll upwards, light on dark or dark on light."""
    line, high = int(rng.integers(7, 14)), 3 * SIZE
    page = np.zeros((high, SIZE))
    for top in range(2, high - line, line):
        letters = np.repeat(rng.random(SIZE // 4) < 0.75, 4)
        strokes = rng.random((line - 3, SIZE)) < 0.6
        page[top : top + line - 3] = letters * strokes * (np.arange(SIZE) < rng.uniform(0.3, 1) * SIZE)
    ink, paper = rng.permutation([rng.uniform(130, 255), rng.uniform(0, 60)])
    at = (rng.uniform(0.2, 4) * np.arange(frames)).astype(int) % (high - SIZE)
    return _bytes(np.stack([paper + (ink - paper) * page[y : y + SIZE] for y in at]))


def m_mode(rng: np.random.Generator, frames: int) -> Frames:
    """Bands of tissue over time; the strip runs through the picture, or is written by a moving cursor."""
    length = SIZE + 8 * frames
    t, depth = np.arange(length) / 28, np.arange(SIZE)[:, None]
    strip = np.zeros((SIZE, length))
    for place in np.sort(rng.uniform(0.1, 0.95, int(rng.integers(3, 7)))) * SIZE:
        wave = rng.uniform(0, 10) * np.abs(np.sin(np.pi * (t * rng.uniform(0.9, 1.1) + rng.random()))) ** 2
        strip += rng.uniform(60, 230) * np.exp(-(((depth - place - wave) / rng.uniform(1.5, 6)) ** 2))
    return _running(rng, strip * rng.rayleigh(0.8, strip.shape), frames)


def spectral(rng: np.random.Generator, frames: int) -> Frames:
    """The envelope of a pulsed or continuous wave over time, above or below a baseline, in grey."""
    length = SIZE + 8 * frames
    phase = (np.arange(length) / rng.uniform(22, 50) + rng.random()) % 1
    height = rng.uniform(0.3, 0.8) * SIZE * np.sin(np.pi * np.clip(phase / rng.uniform(0.3, 0.6), 0, 1))
    base = rng.uniform(0.3, 0.8) * SIZE
    above = (base - np.arange(SIZE)[:, None]) * rng.choice((-1, 1))
    inside = (above > 0) & (above < height)
    strip = np.where(inside, rng.uniform(90, 200), rng.uniform(0, 25)) * rng.rayleigh(0.8, (SIZE, length))
    strip[int(base)] = 220
    return _running(rng, strip, frames)


def upside_down(rng: np.random.Generator, frames: int) -> Frames:
    """A phantom on its head."""
    return phantom(rng, frames)[:, ::-1].copy()


def pulsing_still(rng: np.random.Generator, frames: int) -> Frames:
    """One frame, enlarged about a point of it and back at a heart's rate: all moves, and nothing beats."""
    picture, t = phantom(rng, 1).astype(np.float32), np.arange(frames) / RATE_HZ
    depth, rate, (x, y) = rng.uniform(0.03, 0.15), rng.uniform(0.8, 2.5), rng.uniform(-0.4, 0.4, 2)
    zoom = 1 + depth * (0.5 - 0.5 * np.cos(2 * np.pi * (rate * t + rng.random())))
    placed = np.array([[[1 / z, 0, x * (1 - 1 / z)], [0, 1 / z, y * (1 - 1 / z)]] for z in zoom])
    grid = F.affine_grid(torch.from_numpy(placed).float(), [frames, 1, SIZE, SIZE], align_corners=False)
    film = F.grid_sample(torch.from_numpy(picture)[None].expand(frames, -1, -1, -1), grid, align_corners=False)
    return _bytes(film[:, 0].numpy() + rng.choice((0.0, 0.4)) * rng.standard_normal((frames, SIZE, SIZE)))


def inverted_grey(rng: np.random.Generator, frames: int) -> Frames:
    """Black for white, within the sector and without."""
    return np.asarray(255 - phantom(rng, frames))


def shuffled(rng: np.random.Generator, frames: int) -> Frames:
    """The frames of a phantom in any order."""
    return np.asarray(phantom(rng, frames)[rng.permutation(frames)])


def quarter_turn(rng: np.random.Generator, frames: int) -> Frames:
    """A phantom on its left or right side."""
    return np.ascontiguousarray(np.rot90(phantom(rng, frames), int(rng.choice((1, 3))), axes=(1, 2)))


FAMILIES: dict[str, Callable[[np.random.Generator, int], Frames]] = {
    "black": black,
    "still": still,
    "white-noise": white_noise,
    "shaken-texture": shaken_texture,
    "scene": scene,
    "speckle": speckle,
    "live-noise": live_noise,
    "text": text,
    "m-mode": m_mode,
    "spectral": spectral,
    "upside-down": upside_down,
    "pulsing-still": pulsing_still,
    "inverted-grey": inverted_grey,
    "shuffled": shuffled,
    "quarter-turn": quarter_turn,
}
HELD_OUT = ("shuffled", "quarter-turn")
TAUGHT = tuple(name for name in FAMILIES if name not in HELD_OUT)


# --- what they are made of -------------------------------------------------------------------------------------------


def _natural(rng: np.random.Generator, side: int, steepness: float = 1.0) -> Array:
    """A picture [side, side] of amplitude spectrum 1/f^steepness, of mean 110 and SD 45 grey levels."""
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    f[0, 0] = np.inf
    picture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) / f**steepness, (side, side))
    picture = 110 + 45 * picture / picture.std()
    return np.asarray(np.clip(picture, 0, 255))


def _speckle(rng: np.random.Generator, side: int, grain: float) -> Array:
    """Rayleigh speckle [side, side] with grains of an SD of `grain` pixels, of mean 90."""
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    field = rng.standard_normal((2, side, side))
    echo = np.abs(np.fft.ifft2(np.fft.fft2(field[0] + 1j * field[1]) * np.exp(-2 * (np.pi * grain * f) ** 2)))
    return np.asarray(90 * echo / echo.mean())


def _sector(rng: np.random.Generator) -> Array:
    """The mask [SIZE, SIZE] of a sector with its tip at the top."""
    y, x = np.mgrid[:SIZE, :SIZE]
    dy, dx = y - rng.uniform(-6, 6), x - SIZE / 2 - rng.uniform(-4, 4)
    within = (np.abs(np.arctan2(dx, dy)) < rng.uniform(0.55, 0.9)) & (np.hypot(dx, dy) < rng.uniform(0.88, 1.05) * SIZE)
    return np.where(within, 1.0, 0.0)


def _path(rng: np.random.Generator, frames: int, room: int, slow: bool = False) -> NDArray[np.int64]:
    """Places (y, x) [T, 2] within 0…room: a straight line and a sway."""
    t = np.arange(frames)[:, None]
    speed, sway = rng.uniform(-1, 1, 2) * (0.3 if slow else 2.5), rng.uniform(0, 3 if slow else 10, 2)
    path = (
        rng.uniform(0.2, 0.8, 2) * room
        + speed * t
        + sway * np.sin(rng.uniform(0.05, 0.5, 2) * t + rng.uniform(0, 6, 2))
    )
    return np.clip(np.rint(path), 0, room).astype(np.int64)


def _running(rng: np.random.Generator, strip: Array, frames: int) -> Frames:
    """A strip [SIZE, L] that runs through the picture, or over which a cursor writes."""
    step = int(rng.integers(1, 8))
    if rng.random() < 0.5:
        return _bytes(np.stack([strip[:, step * t : step * t + SIZE] for t in range(frames)]))
    film = np.repeat(strip[None, :, :SIZE], frames, axis=0)
    for t in range(frames):
        columns = np.arange(step * (t + 1)) % SIZE
        film[t][:, columns] = strip[:, SIZE : SIZE + len(columns)]
    return _bytes(film)


def _bytes(film: Array) -> Frames:
    return np.clip(np.rint(film), 0, 255).astype(np.uint8)
