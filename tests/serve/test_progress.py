"""What a place is worth: the pace of who holds it, not a byte now and then."""

from __future__ import annotations

import pytest

from mcsdr.serve import progress
from mcsdr.serve.progress import Progress, gives_way


class Clock:
    """Seconds that pass when it is told."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def lag_after(clock: Clock, pieces: list[int], each_s: float) -> float:
    sender = Progress(1000)
    for count in pieces:
        clock.now_s += each_s
        sender.moved(count)
    return sender.lag_s


def test_who_keeps_the_pace_never_lags_and_who_trickles_lags_as_if_silent(clock: Clock) -> None:
    assert lag_after(clock, [2000] * 60, 1.0) == 0
    assert lag_after(clock, [0, 2000] * 30, 1.0) == 0
    assert lag_after(clock, [500] * 60, 1.0) == pytest.approx(30)
    assert lag_after(clock, [1] * 60, 1.0) == pytest.approx(59.94)
    assert lag_after(clock, [1 << 20, *[0] * 60], 1.0) == 60  # nothing is saved up


def test_while_a_sender_waits_for_us_its_clock_stands(clock: Clock) -> None:
    sender = Progress(1000)
    clock.now_s += 5
    with sender.stands():
        clock.now_s += 100
        assert sender.lag_s == 0
    assert sender.lag_s == 5
    sender.caught_up()
    assert sender.lag_s == 0


def test_who_gives_way() -> None:
    assert gives_way({}) is None
    assert gives_way({"a": 0.9, "b": 0.0}) is None
    assert gives_way({"a": 2.0, "b": 3.0}) == "b"
    lags, owner = {"slow": 20.0} | {f"held {n}": 2.0 + n / 100 for n in range(24)}, {"slow": "archive"}
    owner |= {name: "stranger" for name in lags if name != "slow"}
    assert gives_way(lags, owner) == "held 23"
    assert gives_way({"slow": 20.0, "held 0": 0.5}, owner) == "slow"
