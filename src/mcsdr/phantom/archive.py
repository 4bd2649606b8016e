"""What machine, network and archive do to a finished picture: what is drawn over it, its size, its compression.

Numbers in, numbers out: uint8 [T, H, W] of one clip; what is random about it comes from the recording's own rows.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import av
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from mcsdr.phantom.ranges import Value

Frames = NDArray[np.uint8]
Array = NDArray[np.float64]
X264 = {"preset": "veryfast", "x264-params": "mbtree=0"}


def finished(frames: Frames, p: Mapping[str, Value], times_s: Array) -> Frames:
    """The clip as an archive holds it: floor level, mirror, drawings, lost and shaken frames, fewer pixels, JPEG."""
    x = persistent(frames, p["persistence_s"], times_s) if p["persistence_s"] else frames
    x = np.maximum(x, np.uint8(round(255 * p["floor_level"])))
    if p["mirrored"]:
        x = np.ascontiguousarray(x[:, :, ::-1])
    x = draw_over(x, p, times_s)
    x = _unsteady(x, p)
    if p["resample"] < 1:
        x = resampled(x, p["resample"])
    x = h264(x, round(p["h264"])) if p["h264"] else x
    return jpeg(x, round(p["jpeg"])) if p["jpeg"] else x


def moved(pictures: Frames, p: Mapping[str, Value]) -> Frames:
    """Pictures, such as label maps, where those of the finished clip lie: mirrored, shaken and frozen alike."""
    if "drawn" not in p:  # a plain phantom's: no archive has had it
        return pictures
    return _unsteady(pictures[:, :, ::-1] if p["mirrored"] else pictures, p)


def _unsteady(frames: Frames, p: Mapping[str, Value]) -> Frames:
    if not (p["lost"] or p["shaking"]):
        return frames
    return unsteady(frames, p["lost"], p["shaking"], np.random.default_rng([int(p["drawn"]), 1]))


def persistent(frames: Frames, memory_s: float, times_s: Array) -> Frames:
    """Every picture blended into those before it, which fade with the time constant `memory_s`."""
    kept = np.exp(-np.diff(times_s) / memory_s)
    blend = [frames[0].astype(np.float32)]
    for frame, share in zip(frames[1:], kept.tolist(), strict=True):
        blend.append(share * blend[-1] + (1 - share) * frame)
    return np.asarray(np.stack(blend).round().astype(np.uint8))


def draw_over(frames: Frames, p: Mapping[str, Value], times_s: Array) -> Frames:
    """Depth ticks, probe mark, ECG trace with the right phase, text and colour bar, each where its row is not 0."""
    rng = np.random.default_rng(int(p["drawn"]))
    x = frames.copy()
    _, height, width = x.shape
    thick = max(1, round(min(height, width) / 112))
    if p["ticks"]:
        left = width - 3 * thick if rng.random() < 0.5 else thick
        for row in range(int(rng.integers(2, 8)), height - thick, max(4, round(height / rng.integers(8, 17)))):
            x[:, row : row + thick, left : left + 2 * thick] = _grey(p["ticks"])
    if p["probe_mark"]:
        column = round(width * (0.595 if rng.random() < 0.75 or p["probe_x"] > 0.03 else 0.35))
        x[:, 2 * thick : 5 * thick, column : column + 3 * thick] = _grey(p["probe_mark"])
    if p["flank_scale"]:
        _flank_scale(x, p, rng, thick)
    if p["text"]:
        _text(x, rng, _grey(p["text"]), thick)
    if p["colour_bar"]:
        rows = np.linspace(255 * p["colour_bar"], 0, height // 3).astype(np.uint8)
        left, top = (thick if rng.random() < 0.5 else width - 5 * thick), int(rng.integers(2, height // 3))
        x[:, top : top + len(rows), left : left + 4 * thick] = rows[None, :, None]
    if p["ecg"]:
        _ecg(x, p, times_s, rng, thick)
    return x


def _flank_scale(x: Frames, p: Mapping[str, Value], rng: np.random.Generator, thick: int) -> None:
    """Dots or a line along the sector's right flank, some pixels outside it."""
    _, height, width = x.shape
    away, step = rng.uniform(2, 6) * thick, int(rng.integers(1, 9))
    tip_x, tip_y = (0.5 + p["probe_x"]) * width, p["probe_y"] * height
    for down in range(int(rng.integers(8, 40)), height, max(1, step * thick)):
        row, column = round(tip_y + down), round(tip_x + away + down * np.tan(p["half_angle"]))
        if 0 <= row < height - thick and 0 <= column < width - thick:
            x[:, row : row + thick, column : column + thick] = _grey(p["flank_scale"])


def _text(x: Frames, rng: np.random.Generator, grey: int, thick: int) -> None:
    """Lines of letter-sized blocks in one of the upper corners."""
    width = x.shape[2]
    for line in range(int(rng.integers(1, 5))):
        letters = int(rng.integers(3, 9))
        left = 2 * thick if rng.random() < 0.7 else width - (3 * letters + 2) * thick
        for letter in range(letters):
            top, at = (2 + 5 * line) * thick, left + 3 * letter * thick
            block = rng.random((3, 2)) < 0.6
            x[:, top : top + 3 * thick, at : at + 2 * thick] = np.where(
                block.repeat(thick, 0).repeat(thick, 1),
                np.uint8(grey),
                x[:, top : top + 3 * thick, at : at + 2 * thick],
            )


def _ecg(x: Frames, p: Mapping[str, Value], times_s: Array, rng: np.random.Generator, thick: int) -> None:
    """A sweeping trace along the lower edge: its R waves stand at the beats' end-diastole; what is to come is dark."""
    frames, height, width = x.shape
    sweep_s, base, tall = (
        rng.uniform(1.5, 4.0),
        round(height * rng.uniform(0.86, 0.96)),
        height * rng.uniform(0.03, 0.08),
    )
    for frame in range(frames):
        shown = times_s[frame] - (times_s[frame] % sweep_s) + np.arange(width) / width * sweep_s
        until = round((times_s[frame] % sweep_s) / sweep_s * width)
        rows = np.clip(base - np.round(tall * ecg(p, shown)), 0, height - thick).astype(int)
        for column in range(until):
            top, bottom = sorted((rows[max(column - 1, 0)], rows[column]))
            x[frame, top : bottom + thick, column] = _grey(p["ecg"])


def ecg(p: Mapping[str, Value], times_s: Array) -> Array:
    """P, QRS and T waves of height 1 at instants [N]; R at each beat's end-diastole."""
    starts = np.asarray(p["beat_starts"], dtype=np.float64)
    beats = (times_s * p["heart_rate_bpm"] / 60 + p["phase"]) % starts[-1]
    since = (beats[:, None] - starts[None, :]) * 60 / p["heart_rate_bpm"]

    def wave(at_s: float, width_s: float, tall: float) -> Array:
        return np.asarray(tall * np.exp(-0.5 * ((since - at_s) / width_s) ** 2).max(1))

    return wave(0.0, 0.012, 1.0) - wave(0.03, 0.01, 0.25) + wave(0.26, 0.04, 0.25) + wave(-0.14, 0.025, 0.12)


def unsteady(frames: Frames, lost: float, shaking: float, rng: np.random.Generator) -> Frames:
    """The clip with a share of its frames lost, each replaced by the last that arrived, and every picture shifted."""
    arrived = rng.random(len(frames)) >= lost
    last = np.maximum.accumulate(np.where(arrived, np.arange(len(frames)), 0))
    by = np.round(shaking * frames.shape[1] * rng.standard_normal((len(frames), 2))).astype(int)
    return np.stack([_shifted(frames[at], *shift) for at, shift in zip(last, by.tolist(), strict=True)])


def _shifted(frame: Frames, down: int, right: int) -> Frames:
    """Moved by whole pixels; what comes in is black."""
    height, width = frame.shape
    moved = np.zeros_like(frame)
    moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = frame[
        max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return moved


def resampled(frames: Frames, share: float) -> Frames:
    """The clip after a stay at `share` of its pixels a side."""
    height, width = frames.shape[1:]
    x = torch.from_numpy(frames).float()[:, None]
    small = (max(16, round(share * height)), max(16, round(share * width)))
    x = F.interpolate(x, small, mode="bilinear", antialias=True, align_corners=False)
    x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False)[:, 0]
    return np.asarray(x.round().clamp(0, 255).to(torch.uint8).numpy())


def jpeg(frames: Frames, quality: int) -> Frames:
    """Every frame through JPEG."""
    return np.stack([_jpeg(frame, quality) for frame in frames])


def _jpeg(frame: Frames, quality: int) -> Frames:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def h264(frames: Frames, rate_factor: int) -> Frames:
    """The film through H.264 at a constant rate factor; sides that are odd lose a pixel for the while.

    x264's macroblock tree depends on what memory held before, so that equal films became unequal files; it is off.
    """
    height, width = (side - side % 2 for side in frames.shape[1:])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": str(rate_factor)} | X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames[:, :height, :width]:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")))
        file.mux(stream.encode())
    buffer.seek(0)
    kept = frames.copy()
    with av.open(buffer) as file:
        for frame, picture in zip(kept, file.decode(video=0), strict=True):
            frame[:height, :width] = picture.to_ndarray(format="gray")
    return kept


def _grey(brightness: float) -> int:
    return round(255 * brightness)
