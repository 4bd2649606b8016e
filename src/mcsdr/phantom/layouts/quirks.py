"""The quirks of the published data sets, as phantoms carry them on request: each with its share and what it does.

A reader of the published files meets all of them. Each is planted by itself with the probability that stands here,
for most of them well above life, so that a small folder shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcsdr.phantom.layouts.chance import generator


@dataclass(frozen=True)
class Quirk:
    """One way in which a published file is not as expected.

    Arguments:
        name: as the column Quirks of Truth.csv has it.
        share: the probability for each clip, study or patient.
        text: what is other than expected.
    """

    name: str
    share: float
    text: str


QUIRKS: dict[str, tuple[Quirk, ...]] = {
    "echonet-dynamic": (
        Quirk("name-with-extension", 0.15, "FileList.csv names the clip with .avi"),
        Quirk("one-traced-frame", 0.15, "only the end-diastolic frame is traced"),
        Quirk("no-traced-frame", 0.05, "VolumeTracings.csv does not name the clip"),
        Quirk("tracings-out-of-order", 0.30, "the smaller, end-systolic frame is listed first"),
    ),
    "echonet-pediatric": (
        Quirk("blank-attributes", 0.10, "Age, Weight and Height of the study are empty"),
        Quirk("nan-attributes", 0.10, "Weight and Height of the study read nan"),
        Quirk("unknown-sex", 0.10, "Sex of the study is U"),
        Quirk("no-systolic", 0.10, "the Frame of the end-systolic tracing reads No Systolic"),
        Quirk("no-diastolic", 0.10, "the Frame of the end-diastolic tracing reads No Diastolic"),
        Quirk("frame-past-end", 0.10, "the end-systolic tracing names a frame beyond the last"),
        Quirk("wrong-frame-rate", 0.30, "the file says 50 frames per second and has 25, 30 or 66"),
    ),
    "camus": (
        Quirk("reversed", 0.20, "the sequence runs from ES to ED, and ED > ES in the cfg"),
        Quirk("positive-affine", 0.20, "the affine is positive, not negative"),
        Quirk("poor-quality", 0.19, "ImageQuality is Poor, and the picture is"),
    ),
    "mimic-iv-echo": (
        Quirk("ef-as-range", 0.40, "the report gives EF as a range of five points"),
        Quirk(
            "unlinked-report", 0.20, "the study list does not name the report, which is the patient's nearest in time"
        ),
        Quirk("no-report", 0.10, "the examination has no report with an EF"),
    ),
    "camus-mhd": (
        Quirk("reversed", 0.20, "the sequence runs from ES to ED, and ED > ES in the cfg"),
        Quirk("poor-quality", 0.19, "ImageQuality is Poor, and the picture is"),
    ),
}


def planted(layout: str, seed: int, about: str, wanted: bool) -> frozenset[str]:
    """The names of the quirks that one clip, study or patient carries; none unless quirks are wanted."""
    if not wanted:
        return frozenset()
    draws = generator("quirks", layout, seed, about).random(len(QUIRKS[layout]))
    return frozenset(quirk.name for quirk, u in zip(QUIRKS[layout], draws, strict=True) if u < quirk.share)
