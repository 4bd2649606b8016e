"""Mean maps of clips whose mean and spread are known, and what is read of real ones."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcsdr.benchmark.mean_maps import correlations, mean_maps, read_maps, side_by_side
from mcsdr.errors import MissingFile, UnreadableFile

SHAPE = (112, 112)
Y, X = np.mgrid[:112, :112]
FAN = (np.abs(X - 56) <= 0.8 * Y) & (np.hypot(X - 56, Y) <= 104)


def maps(seed: int = 0, level: float = 100.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = ("mean", "within_clip_sd", "between_clips_sd")
    return {name: FAN * (level + 20 * rng.standard_normal(SHAPE)).clip(5) for name in names}


def test_maps_of_clips_that_flicker_and_differ() -> None:
    flicker = np.array([10, 30] * 4, dtype=np.uint8)[:, None, None]
    clips = [np.broadcast_to(flicker + level, (8, *SHAPE)) for level in (0, 40)]
    found = mean_maps(clips)
    assert (found["mean"] == 40).all()
    assert (found["within_clip_sd"] == 10).all()
    assert (found["between_clips_sd"] == 20).all()


def test_a_map_agrees_with_itself_and_chance_only_by_the_sector() -> None:
    same = correlations(maps(), maps())
    assert [row[1:3] for row in same.rows] == [[pytest.approx(1), pytest.approx(1)]] * 3
    assert [row[3] for row in same.rows] == ["0.9: met", "0.8: met", None]
    chance = correlations(maps(1), maps(2))
    for row in chance.rows:
        assert row[1] > 0.8, "the sector is alike"
        assert row[2] == pytest.approx(0, abs=0.1), "what is in it is not"


def test_maps_are_read_as_they_were_written(tmp_path: Path) -> None:
    np.savez(tmp_path / "maps.npz", **{name: one.astype(np.float16) for name, one in maps().items()})
    found = read_maps(tmp_path / "maps.npz", SHAPE)
    np.testing.assert_allclose(found["mean"], maps()["mean"], rtol=1e-3)


def test_what_holds_no_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        read_maps(tmp_path / "none.npz", SHAPE)
    (tmp_path / "text.npz").write_text("no maps")
    (tmp_path / "empty.npz").write_text("")
    np.savez(tmp_path / "one.npz", mean=maps()["mean"])
    np.savez(tmp_path / "small.npz", **{name: one[:50] for name, one in maps().items()})
    np.save(tmp_path / "array.npy", maps()["mean"])
    for name in ("text.npz", "empty.npz", "one.npz", "small.npz", "array.npy"):
        with pytest.raises(UnreadableFile):
            read_maps(tmp_path / name, SHAPE)


def test_the_sheet_shows_phantoms_over_real_ones_on_one_scale() -> None:
    dark, bright = ({name: np.full(SHAPE, level) for name in maps()} for level in (50.0, 100.0))
    sheet = np.asarray(Image.open(io.BytesIO(side_by_side(dark, bright))))
    assert sheet.shape == (2 * (448 + 18), 3 * (448 + 4))
    for column in range(3):
        assert (sheet[14:462, column * 452 : column * 452 + 448] == 128).all()
        assert (sheet[480:928, column * 452 : column * 452 + 448] == 255).all()
