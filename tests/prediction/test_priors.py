"""A population by its name, or from a table of a laboratory's own readings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcsdr.errors import InvalidConfig, UnreadableFile
from mcsdr.posterior.population import NAMED
from mcsdr.prediction.priors import prior_of


def test_names_and_tables(tmp_path: Path) -> None:
    assert prior_of(None) is None
    assert prior_of("camus") is NAMED["camus"]
    readings, shares = tmp_path / "readings.csv", tmp_path / "shares.csv"
    y = np.random.default_rng(0).normal(40, 8, 400).round(1)
    readings.write_text("patient,EF\n" + "".join(f"p{i},{ef}\n" for i, ef in enumerate(y)))
    shares.write_text("ef,share\n60,1\n20,0\n40,3\n")
    assert prior_of(readings).prob_at_most(40) == pytest.approx(np.mean(y <= 40), abs=0.03)  # type: ignore[union-attr]
    assert prior_of(str(shares)).name == "shares.csv"  # type: ignore[union-attr]
    assert prior_of(shares).prob_at_most(40) == pytest.approx(3 / 7, abs=0.01)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a,b\n1,2\n", UnreadableFile),
        ("ef\nlow\n", UnreadableFile),
        ("ef\n50\n", InvalidConfig),
        ("ef,share\n50,-1\n40,1\n", InvalidConfig),
    ],
)
def test_what_is_no_population_is_refused(text: str, error: type[Exception], tmp_path: Path) -> None:
    file = tmp_path / "prior.csv"
    file.write_text(text)
    with pytest.raises(error):
        prior_of(file)
    with pytest.raises(InvalidConfig, match="no such file"):
        prior_of(tmp_path / "absent.csv")
