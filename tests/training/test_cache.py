"""A cache holds what the cohort holds, leaves out what cannot be used, and stops exactly where the limit says."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcsdr.clips import ClipSettings
from mcsdr.errors import BadRow, DamagedCache, OutputInUse, TooManyBadRows, UnreadableFile, UnwritableFile
from mcsdr.files import locked_table
from mcsdr.study import Attributes, Clip, Study, View
from mcsdr.training.cache import ClipCache, cached

SETTINGS = ClipSettings(size=16)


class Rows(Sequence[Study]):
    """n studies with one clip of 12 to 40 frames, or two; every row of `bad` fails in one way or another."""

    def __init__(self, n: int, bad: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        self.n, self.bad, self.read = n, bad, 0

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Study:  # type: ignore[override]
        self.read += 1
        if index in self.bad:
            match index % 3:
                case 0:
                    raise UnreadableFile("half of it is missing", path=f"{index}.avi")
                case 1:
                    raise BadRow("EF is nan", path=f"line {index}")
                case _:
                    return Study(study_id=f"s{index}", ef_percent=50.0)
        views = (View.A4C, View.PSAX) if index % 4 == 0 else (View.A4C,)
        length = 12 + index % 29
        clips = tuple(
            Clip(np.full((length, 16, 16), (index + place) % 251, np.uint8), np.arange(length) / 25, view)
            for place, view in enumerate(views)
        )
        return Study(clips, Attributes(age_years=index % 90), f"s{index}", f"p{index // 2}", float(index % 70 + 10))


def build(folder: Path, cohort: Rows, max_bad: float) -> ClipCache:
    return cached(folder, {"rows": len(cohort.bad)}, cohort, SETTINGS, ("age_years", "sex"), max_bad=max_bad)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    cohort = Rows(20)
    cache = build(tmp_path, cohort, 0.0)
    assert len(cache) == 20
    assert cache.patients[7] == "p3"
    assert cache.ef_percent[5] == 15
    assert np.isnan(cache.attributes[:, 1]).all()
    for index, clips in enumerate(cache.clips):
        assert [clip.view for clip in clips] == [clip.view for clip in cohort[index].clips]
        for place, clip in enumerate(clips):
            assert (cache.frames(clip) == (index + place) % 251).all()
            assert len(cache.frames(clip, 3, 9)) == 6
    read = cohort.read
    build(tmp_path, cohort, 0.0)
    assert cohort.read == read, "a finished cache is not built again"


@pytest.mark.parametrize(("bad", "completes"), [(1, True), (100, True), (101, False), (1000, False)])
def test_the_limit_is_exact(tmp_path: Path, bad: int, completes: bool) -> None:
    """Of 10,000 rows at most 1 % may be bad."""
    rows = set(np.random.default_rng(bad).choice(10_000, bad, replace=False).tolist())
    cohort = Rows(10_000, rows)
    if completes:
        cache = build(tmp_path, cohort, 0.01)
        assert len(cache) == 10_000 - bad
        assert len(cache.bad) == bad
        assert all(name and why for name, why in cache.bad)
        table = next(tmp_path.glob("*/bad_rows.csv")).read_text().splitlines()
        assert len(table) == bad + 1
    else:
        with pytest.raises(TooManyBadRows, match="101 of 10000"):
            build(tmp_path, cohort, 0.01)
        assert not list(tmp_path.glob("*/index.json")), "nothing half-built is taken for a cache"
        assert cohort.read <= max(sorted(rows)[:101]) + 1, "it stops as soon as the limit is passed"


def test_a_stricter_limit_refuses_an_old_cache(tmp_path: Path) -> None:
    cohort = Rows(50, {3, 4})
    build(tmp_path, cohort, 0.1)
    with pytest.raises(TooManyBadRows, match="2 of 50"):
        build(tmp_path, cohort, 0.02)


def test_a_part_of_a_cache(tmp_path: Path) -> None:
    """What a split sees of the cache of all."""
    whole = build(tmp_path, Rows(20, {3, 4}), 0.5)
    part = whole.select({f"study {i}" for i in range(2, 9)})
    assert part.names == ["study 2", "study 5", "study 6", "study 7", "study 8"]
    assert part.ef_percent.tolist() == [12, 15, 16, 17, 18]
    assert part.attributes[:, 0].tolist() == [2, 5, 6, 7, 8]
    assert [name for name, _ in part.bad] == ["study 3", "study 4"]
    assert (part.frames(part.clips[1][0]) == 5).all()
    assert len(whole) == 18


def test_other_processes_read_the_same(tmp_path: Path) -> None:
    alone = build(tmp_path / "alone", Rows(20, {3, 4}), 0.5)
    cohort = Rows(20, {3, 4})
    shared = cached(tmp_path / "shared", {}, cohort, SETTINGS, ("age_years", "sex"), max_bad=0.5, workers=2)
    assert cohort.read == 0
    assert shared.names == alone.names
    assert shared.bad == alone.bad
    for here, there in zip(alone.clips, shared.clips, strict=True):
        assert all((alone.frames(a) == shared.frames(b)).all() for a, b in zip(here, there, strict=True))


def read_all(folder: Path) -> None:
    """One frame of every clip."""
    cache = ClipCache(folder)
    for clip in (clip for clips in cache.clips for clip in clips):
        cache.frames(clip, 0, 1)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UnwritableFile, match=r"frames\.u8: .*File too large"):
            cached(tmp_path, {}, Rows(20), SETTINGS, ())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["frames.u8", "index.json", "sums.json"])
def test_any_flipped_bit_is_refused(tmp_path: Path, name: str) -> None:
    folder = cached(tmp_path, {}, Rows(4), SETTINGS, ()).folder
    whole = (folder / name).read_bytes()
    for place in range(0, len(whole), 97):
        flipped = bytearray(whole)
        flipped[place] ^= 4
        (folder / name).write_bytes(flipped)
        with pytest.raises(DamagedCache, match=name):
            read_all(folder)
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedCache, match=name):
        read_all(folder)


def test_a_cache_of_an_earlier_version_is_sealed_as_it_is(tmp_path: Path) -> None:
    folder = cached(tmp_path, {}, Rows(4), SETTINGS, ()).folder
    written = {file: file.read_bytes() for file in folder.iterdir()}
    for file in (folder / "sums.json", *folder.glob("*.sha256")):
        file.unlink()
    ClipCache(folder)
    assert {file: file.read_bytes() for file in folder.iterdir()} == written


def test_what_killed_builds_left_is_cleared(tmp_path: Path) -> None:
    """But not what another process still builds."""
    for name in ("0123456789abcdef.partial-77", "fedcba9876543210.partial", "aaaaaaaaaaaaaaaa.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "frames.u8").write_bytes(b"half")
    with locked_table(tmp_path / "aaaaaaaaaaaaaaaa", "another"):
        cached(tmp_path, {}, Rows(4), SETTINGS, ())
        assert [file.name for file in tmp_path.glob("*.partial*")] == ["aaaaaaaaaaaaaaaa.partial"]


def test_two_builds_of_one_cache(tmp_path: Path) -> None:
    name = cached(tmp_path / "there", {}, Rows(4), SETTINGS, ()).folder.name
    with locked_table(tmp_path / name, "mcsdr train"), pytest.raises(OutputInUse, match="mcsdr train"):
        cached(tmp_path, {}, Rows(4), SETTINGS, ())
