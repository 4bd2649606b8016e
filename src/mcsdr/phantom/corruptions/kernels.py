"""The fourteen corruptions themselves: clip × sector × amount × generator → clip.

Each draws all its randomness first, and as much for every amount, so that with equal generators a larger amount is the
same fault made worse: the same noise stronger, the same shadow wider, more of the same frames lost. Amounts are in the
units of `mcsdr.phantom.corruptions.TABLE`.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mcsdr.phantom.corruptions.sector import GREY_PER_DB, Floats, Sector, read_at, repainted
from mcsdr.study import Clip

HAZE_DEPTH = 0.4  # range share over which haze falls to 1/e
SLIDERS = 8  # of a machine's depth gain
SHADOW_DB = 45.0
LEAST_FRAMES = 5  # what is interpolated needs them
TEXT_CANVAS = 128  # pixels of the shorter side on which text is set, 10 or 11 of them a line
WORDS = (
    *("HR 72 bpm", "LV A4C", "MI 1.2 TIS 0.8", "FR 50 Hz", "DR 60 dB", "14.0 cm", "GAIN 52", "2017-03-14 09:41"),
    *("EXAM 0042", "Dist 4.7 cm", "EDV 104 ml", "X5-1 / ADULT"),
)


def speckle(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """x(1 − a + a|n|): fully developed speckle |n| of mean 1 and a grain of two pixels, new in each frame."""
    real, imaginary = (_grained(_normal(rng, clip.frames.shape)) for _ in range(2))
    modulus = np.hypot(real, imaginary) / np.float32(np.sqrt(np.pi / 2))
    return repainted(clip, clip.frames * (1 - amount + amount * modulus), sector)


def gaussian_noise(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """White noise of the receiver added to every pixel and frame."""
    return repainted(clip, clip.frames + amount * _normal(rng, clip.frames.shape), sector)


def haze(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """A veil fixed to the probe, a e^(−r/0.4) of white, cloudy, laid over the picture as light is: x + h(255 − x)."""
    cloud = _upsampled(rng.uniform(0.5, 1.0, (6, 6)), clip.frames.shape[1:])
    flicker = 1 + 0.1 * _grained(_normal(rng, clip.frames.shape))
    veil = (amount * np.exp(-sector.range_share / HAZE_DEPTH) * cloud * flicker).clip(0, 1)
    return repainted(clip, clip.frames + veil * (255 - clip.frames.astype(np.float32)), sector)


def gain(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """Overall gain off by ±a dB, the sign drawn; what leaves the range of grey is lost."""
    sign = rng.choice([-1.0, 1.0])
    return repainted(clip, clip.frames + np.float32(sign * amount * GREY_PER_DB), sector)


def tgc_bands(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """Every slider of the depth gain off by N(0, a²) dB: bright and dark bands along the arcs."""
    sliders = amount * rng.standard_normal(SLIDERS)
    db = np.interp(sector.range_share, np.linspace(0, 1, SLIDERS), sliders)
    return repainted(clip, clip.frames + _grey(db), sector)


def attenuation(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """Tissue that swallows sound: −a dB at the sector's end, in proportion to range before it."""
    return repainted(clip, clip.frames - _grey(amount * sector.range_share), sector)


def shadow_sector(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """A rib or lung in the way: beams within ±a half angles of a drawn one lose 45 dB, with soft edges."""
    at = rng.uniform(-0.7, 0.7)
    off = np.abs(sector.angle_rad / sector.half_angle_rad - at)
    loss = SHADOW_DB * _step((amount - off) / 0.06) * _step((sector.range_share - 0.08) / 0.03)
    return repainted(clip, clip.frames - _grey(loss), sector)


def lateral_blur(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """A wide beam: the mean of the picture turned about its tip by angles of N(0, a²) degrees, so wider with depth."""
    rows, columns = sector.pixels
    down, right = rows - sector.tip[0], columns - sector.tip[1]
    total = np.zeros(clip.frames.shape, np.float32)
    weights = np.zeros(sector.mask.shape, np.float32)
    inside: Floats = sector.mask[None].astype(np.float32)
    for z in np.linspace(-2.2, 2.2, 13):
        turn, weight = np.radians(amount * z), float(np.exp(-(z**2) / 2))
        cos, sin = float(np.cos(turn)), float(np.sin(turn))
        row = sector.tip[0] + cos * down - sin * right
        column = sector.tip[1] + sin * down + cos * right
        total += weight * read_at(clip.frames * inside, row, column)
        weights += weight * read_at(inside, row, column)[0]
    return repainted(clip, total / np.maximum(weights, 1e-3), sector)


def compression(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """Every frame through JPEG of quality a."""
    return repainted(clip, np.stack([_jpeg(frame, round(amount)) for frame in clip.frames]), sector)


def resolution(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """Stored with sides a times as small, with antialiasing, and shown at the old size."""
    x = torch.from_numpy(clip.frames.astype(np.float32))[:, None]
    size = [max(4, round(side / amount)) for side in clip.frames.shape[1:]]
    small = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    large = F.interpolate(small, clip.frames.shape[1:], mode="bilinear", align_corners=False)
    return repainted(clip, large[:, 0].numpy(), sector)


def frame_drop(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """A share a of the frames lost anywhere but at the ends; those that are left keep their true times."""
    count = len(clip.frames)
    order = np.concatenate([[0, count - 1], 1 + rng.permutation(count - 2)])
    kept = np.sort(order[: max(LEAST_FRAMES, round(count * (1 - amount)))])
    return replace(clip, frames=clip.frames[kept], frame_times_s=clip.frame_times_s[kept])


def jitter(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """A shaking hand: each frame's content shifted by N(0, a²) of the picture's side, within a sector that stays."""
    height, width = sector.mask.shape
    shift = amount * min(height, width) * _normal(rng, (2, len(clip.frames), 1, 1))
    rows, columns = sector.pixels
    moved = read_at(clip.frames, rows + shift[0], columns + shift[1])
    return repainted(clip, moved, sector)


def crop(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """A share a of both sides cut off, split between opposite edges as drawn; the rest fills the picture."""
    height, width = sector.mask.shape
    down, right = rng.uniform(0, 1, 2)
    rows, columns = sector.pixels
    rows = amount * down * height + (1 - amount) * rows
    columns = amount * right * width + (1 - amount) * columns
    frames = np.rint(read_at(clip.frames, rows, columns)).astype(np.uint8)
    return replace(clip, frames=frames)


def overlay_text(clip: Clip, sector: Sector, amount: float, rng: Generator) -> Clip:
    """Lines of text burned in anywhere, over the sector too, the same in every frame."""
    height, width = sector.mask.shape
    scale = TEXT_CANVAS / min(height, width)
    canvas = Image.new("L", (round(width * scale), round(height * scale)))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default()
    words, places = rng.permutation(WORDS), rng.uniform((0.0, 0.0), (0.6, 0.92), (len(WORDS), 2))
    for word, (x, y) in list(zip(words, places, strict=True))[: round(amount)]:
        pen.text((x * canvas.width, y * canvas.height), str(word), fill=235, font=font)
    text = np.asarray(canvas.resize((width, height), Image.Resampling.BILINEAR))
    return replace(clip, frames=np.maximum(clip.frames, text))


def _normal(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32)


def _grained(noise: Floats) -> Floats:
    """White noise [T, H, W] with a grain of two pixels, of the same SD."""
    for axis in (1, 2):
        noise = (2 * noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)) / np.float32(np.sqrt(6))
    return noise


def _grey(db: Floats) -> Floats:
    """Grey levels of a gain in dB."""
    return (GREY_PER_DB * db).astype(np.float32)


def _step(x: Floats) -> Floats:
    """From 0 below zero to 1 above, soft."""
    return np.asarray(0.5 + 0.5 * np.tanh(x), dtype=np.float32)


def _upsampled(coarse: NDArray[np.float64], shape: tuple[int, ...]) -> Floats:
    smooth = F.interpolate(torch.from_numpy(coarse)[None, None].float(), shape, mode="bicubic", align_corners=True)
    return np.asarray(smooth[0, 0].numpy())


def _jpeg(frame: NDArray[np.uint8], quality: int) -> Floats:
    memory = io.BytesIO()
    Image.fromarray(frame).save(memory, "JPEG", quality=quality)
    return np.asarray(Image.open(memory), dtype=np.float32)
