"""How often a frame rate that stands alone in a file is doubted: a true one, half of it, and twice.

    python benchmarks/pace.py varied:200:71 varied:120:74 shifted-val:60:72 shifted-test:60:75

Each cohort is APPEARANCE:N:SEED of SYNTHETIC adults, 3.4 s each at their machine's own rate, hearts at 47 to 113 a
minute; no heart rate and no R wave is known. Told by pace is what few resting adults' hearts do; told by systole is
what an ordinary pace leaves (`mcsdr.io.pace`). A phantom takes about 2 s to render.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace

from mcsdr.io.pace import pace_of
from mcsdr.phantom.cohort import PhantomCohort

FACTORS = (1.0, 0.5, 2.0)  # rate stated over the true one
SECONDS = 3.4
MEANS = ("pace", "systole", "no clear pace")


def told(cohort: PhantomCohort) -> dict[float, Counter[str]]:
    """By which means the rates of a cohort's clips are doubted, for each factor."""
    counts = {factor: Counter[str]() for factor in FACTORS}
    for index in range(len(cohort)):
        clip = cohort.study(index).clips[0]
        clock = cohort.person(index).recording(clip.view).clock  # some phantoms' files misstate their rate themselves
        for factor in FACTORS:
            pace = pace_of(replace(clip, frame_times_s=clip.frame_times_s * clock / factor, heart_rate_bpm=None))
            if pace.bpm is None:
                counts[factor]["no clear pace"] += 1
            elif notices := pace.notices():
                by_systole = bool(pace.against_systole) and pace.against_systole in notices[0].text
                counts[factor]["systole" if by_systole else "pace"] += 1
    return counts


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="+", metavar="APPEARANCE:N:SEED")
    print(f"{'cohort':22}{'stated / true':>14}{'by pace':>10}{'by systole':>12}{'no clear pace':>15}")
    for said in parser.parse_args().cohorts:
        appearance, n, seed = said.split(":")
        cohort = PhantomCohort(int(n), int(seed), sampling_hz=None, seconds=SECONDS, appearance=appearance)
        for factor, counts in told(cohort).items():
            shown = "".join(f"{counts[name]:>{wide}}" for name, wide in zip(MEANS, (10, 12, 15), strict=True))
            print(f"{said:22}{factor:>14g}{shown}")


if __name__ == "__main__":
    main()
