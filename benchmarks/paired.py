"""Several models asked the same studies: is one better, and by more than chance?

    python benchmarks/paired.py phantom-a4c-varied candidates/phantom-a4c-looks \\
        --cohort phantom:200:52:shifted-other:flat --cohort phantom:200:41:shifted-test:flat
    python benchmarks/paired.py phantom-a4c-varied --cohort phantom:120:52:shifted-other:flat --rules
    python benchmarks/paired.py phantom-a4c-varied candidates/phantom-* --cohort clips.csv
    python benchmarks/paired.py phantom-a4c-varied candidates/phantom-a4c-looks --clip a.avi --clip b.avi

Of each model on each cohort, which may be a data set's folder or table too: CRPS of the reports, error of the median to
the truth of phantoms and to the report of others, slope of the median on it, width and coverage of the 90 % interval,
how many are too wide to be answered, the difference of CRPS to the first model's with its standard error over studies,
and the bias by band of the same truth or report, with how many studies each band has. `--rules` draws the cohort's
held-out style again with each of its rules taken away: what the style costs, and which of its rules. Of a clip: median
and width, whether or not it would be answered. Studies are asked as `mcsdr evaluate` asks them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

import numpy as np

import mcsdr
from mcsdr.abstention.gates import WIDE_INTERVAL
from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.metrics.scores import StudyScores
from mcsdr.metrics.subgroups import TRUE_EF_BANDS, true_ef_band
from mcsdr.phantom import machines
from mcsdr.posterior import Posterior
from mcsdr.study import Study

AT_ONCE = 16


def asked(model: mcsdr.Model, studies: list[Study]) -> Posterior:
    parts = [studies[start : start + AT_ONCE] for start in range(0, len(studies), AT_ONCE)]
    return Posterior.joined([model.posteriors(part) for part in parts])


def lesser(spec: CohortSpec) -> Iterator[tuple[str, list[Study]]]:
    """The cohort drawn with each rule of its style taken away, and with none of them; by name."""
    own = machines.SHIFTED[spec.appearance]
    for name in (*own, "all"):
        left: Mapping[str, machines.Row] = {} if name == "all" else {k: row for k, row in own.items() if k != name}
        machines.SHIFTED = {**machines.SHIFTED, spec.appearance: left}  # type: ignore[misc]
        machines.rows.cache_clear()
        yield f"without {name}", list(open_cohort(spec))
    machines.SHIFTED = {**machines.SHIFTED, spec.appearance: own}
    machines.rows.cache_clear()


def show(title: str, studies: list[Study], models: Mapping[str, mcsdr.Model]) -> None:
    label = np.array([s.ef_percent for s in studies], dtype=float)
    truth = np.array([s.ef_percent if s.true_ef_percent is None else s.true_ef_percent for s in studies], dtype=float)
    band = np.array([true_ef_band(ef) for ef in truth])
    bands = [(name, band == name) for name in TRUE_EF_BANDS if (band == name).any()]
    print(f"\n{title}\n{'model':40s}  CRPS   MAE  slope  width  covered  >25  CRPS over the first's   bias of", end="")
    print("".join(f"  {name} ({rows.sum()})" for name, rows in bands))
    first: np.ndarray | None = None
    for name, model in models.items():
        posterior = asked(model, studies)
        scores = StudyScores.of(posterior, label)
        median = np.asarray(posterior.median)
        first = scores.crps if first is None else first
        over, slope = scores.crps - first, np.polyfit(truth, median, 1)[0]
        error = over.std(ddof=1) / np.sqrt(len(over))
        wide = 100 * (scores.width > WIDE_INTERVAL).mean()
        bias = "".join(f"{(median - truth)[rows].mean():+{len(name) + 6}.1f} " for name, rows in bands)
        print(
            f"{name[-40:]:40s} {scores.mean_crps:5.2f} {np.abs(median - truth).mean():5.2f}  {slope:5.3f}  "
            f"{scores.width.mean():5.1f}  {100 * scores.coverage:5.1f} % {wide:3.0f} %  "
            f"{over.mean():+.3f} ± {error:.3f}          {bias}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="+")
    parser.add_argument("--cohort", action="append", default=[])
    parser.add_argument("--rules", action="store_true")
    parser.add_argument("--clip", action="append", default=[])
    options = parser.parse_args()
    models = {name: mcsdr.load(name) for name in options.model}
    for text in options.cohort:
        spec = CohortSpec.parse(text)
        show(text, list(open_cohort(spec)), models)
        for title, studies in lesser(spec) if options.rules else ():
            show(title, studies, models)
    for path in options.clip:
        answers = (model.posteriors([mcsdr.read_study(path)])[0] for model in models.values())
        said = (f"{p.median:.0f} ({p.interval()[1] - p.interval()[0]:.0f} wide)" for p in answers)
        print(f"{path}: {', '.join(said)}")


if __name__ == "__main__":
    main()
