"""Cohorts by name: what a text on the command line means, and which data set a folder is."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import DYNAMIC, PEDIATRIC, camus_patient, table

from mcsdr.datasets import (
    Camus,
    ClipTable,
    CohortSpec,
    EchoNetDynamic,
    EchoNetPediatric,
    MimicIvEcho,
    PhantomCohort,
    detect,
    is_synthetic,
    open_cohort,
)
from mcsdr.errors import InvalidCohort, InvalidConfig, MissingFile
from mcsdr.study import View


def dynamic(root: Path) -> Path:
    table(root / "FileList.csv", DYNAMIC, ["0XA,60,40,100,112,112,50,30,TRAIN"])
    return root


def pediatric(root: Path) -> Path:
    for view in ("A4C", "PSAX"):
        table(root / "pediatric_echo_avi" / view / "FileList.csv", PEDIATRIC, ["CR1-CR2-1.avi,60,F,3,14,95,0"])
    return root


def camus(root: Path) -> Path:
    camus_patient(root / "database_nifti", 1)
    return root


def mimic(root: Path) -> Path:
    table(
        root / "echo-record-list.csv",
        "subject_id,study_id,dicom_filepath,acquisition_datetime",
        ["1,2,a.dcm,2150-01-01"],
    )
    header = "subject_id,measurement_id,measurement_datetime,test_type,measurement,result"
    table(root / "structured-measurement.csv", header, ["1,3,2150-01-01,tte,lvef,55"])
    return root


def clips(root: Path) -> Path:
    table(root / "mine.csv", "FileName,EF", ["a.avi,60"])
    return root


LAYOUTS = [
    (dynamic, EchoNetDynamic),
    (pediatric, EchoNetPediatric),
    (camus, Camus),
    (mimic, MimicIvEcho),
    (clips, ClipTable),
]


@pytest.mark.parametrize(("lay", "kind"), LAYOUTS)
def test_a_folder_is_known_by_its_layout(tmp_path: Path, lay, kind) -> None:  # type: ignore[no-untyped-def]
    root = lay(tmp_path / "data")
    assert detect(root) == kind.kind
    for text in (str(root), f"{kind.kind}:{root}"):
        cohort = open_cohort(CohortSpec.parse(text))
        assert type(cohort) is kind
        assert len(cohort) == 1


def test_a_table_may_be_named_itself(tmp_path: Path) -> None:
    clips(tmp_path)
    assert type(open_cohort(CohortSpec.parse(str(tmp_path / "mine.csv")))) is ClipTable


def test_an_unknown_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidCohort, match=r"FileList.csv.*patientXXXX.*echo-record-list.csv"):
        detect(tmp_path)
    with pytest.raises(MissingFile):
        detect(tmp_path / "gone")


def test_phantoms_by_text() -> None:
    spec = CohortSpec.parse("phantom:12:7")
    assert (spec.kind, spec.n, spec.seed, spec.population) == ("phantom", 12, 7, "adult")
    assert spec.describe() == "12 synthetic phantoms, seed 7"
    assert isinstance(open_cohort(spec), PhantomCohort)
    child = CohortSpec.parse("phantom:12:7:child", views=["A4C", "PSAX"])
    assert (child.population, child.views) == ("child", (View.A4C, View.PSAX))
    assert child.describe() == "12 synthetic phantoms (child), seed 7, A4C and PSAX"
    long = CohortSpec.parse("phantom:1:7:varied:2.8s")
    assert (long.appearance, long.seconds) == ("varied", 2.8)
    assert long.describe() == "1 synthetic phantoms (varied), seed 7, 2.8 s"
    assert open_cohort(long)[0].clips[0].duration_s == pytest.approx(2.8, abs=0.05)
    assert CohortSpec.parse("phantom:12:7:2s").seconds == 2


@pytest.mark.parametrize(
    "text",
    [
        "phantom:",
        "phantom:12",
        "phantom:a:b",
        "phantom:0:1",
        "phantom:9:1:whale",
        "phantom:1:2:child:3",
        "phantom:1:2:control:dirty",
        "phantom:1:2:child:randomised",
        "phantom:1:2:0.5s",
        "phantom:1:2:3xs",
    ],
)
def test_phantoms_that_make_no_sense(text: str) -> None:
    with pytest.raises(InvalidConfig):
        CohortSpec.parse(text)


def test_split_views_and_fold_reach_the_data_set(tmp_path: Path) -> None:
    pediatric(tmp_path)
    spec = CohortSpec.parse(str(tmp_path), split="test", views=["PSAX"], fold=0)
    assert spec.describe() == "echonet-pediatric test, fold 0, PSAX"
    (entry,) = open_cohort(spec).entries  # type: ignore[attr-defined]
    assert [clip.view for clip in entry.clips] == [View.PSAX]
    with pytest.raises(InvalidCohort):
        open_cohort(CohortSpec.parse(str(tmp_path), split="test", fold=1))
    assert CohortSpec.parse(str(tmp_path)).describe() == "echonet-pediatric all splits"


def test_what_has_no_meaning_is_refused(tmp_path: Path) -> None:
    root = str(dynamic(tmp_path))
    for wrong in ({"split": "holdout"}, {"views": ["A5C"]}, {"views": []}, {"fold": -1}):
        with pytest.raises(InvalidConfig):
            CohortSpec.parse(root, **wrong)  # type: ignore[arg-type]
    for meaningless in ({"fold": 1}, {"views": ["PSAX"]}):
        with pytest.raises(InvalidConfig, match="echonet-dynamic"):
            open_cohort(CohortSpec.parse(root, **meaningless))  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig, match="needs root"):
        open_cohort(CohortSpec(kind="camus"))
    with pytest.raises(InvalidConfig, match="needs n and seed"):
        open_cohort(CohortSpec(kind="phantom"))


def test_a_description_survives_json() -> None:
    spec = CohortSpec.parse("phantom:12:7:camus", views=["A2C"])
    assert CohortSpec.model_validate_json(spec.model_dump_json()) == spec


def test_synthetic_folders_are_told_apart(tmp_path: Path) -> None:
    root = dynamic(tmp_path)
    assert not is_synthetic(CohortSpec.parse(str(root)))
    (root / "SYNTHETIC.txt").write_text("")
    assert is_synthetic(CohortSpec.parse(str(root)))
    assert is_synthetic(CohortSpec(kind="table", root=root / "FileList.csv"))
    assert is_synthetic(CohortSpec.parse("phantom:1:1"))


def test_a_table_with_folds_and_attributes_is_not_taken_for_echonet_pediatric(tmp_path: Path) -> None:
    table(tmp_path / "FileList.csv", PEDIATRIC, ["mine.avi,60,F,3,14,95,train"])
    assert detect(tmp_path) == "table"
    table(tmp_path / "A4C" / "FileList.csv", PEDIATRIC, ["CR1-CR2-1.avi,60,F,3,14,95,0"])
    assert detect(tmp_path / "A4C") == "echonet-pediatric"


def test_of_which_beat_a_label_is() -> None:
    assert CohortSpec.parse("phantom:4:1:arrhythmia").label_of_one_beat
    assert not CohortSpec.parse("phantom:4:1").label_of_one_beat
    kinds = {kind: CohortSpec(kind=kind, root=Path("data")).label_of_one_beat for kind in ("camus", "mimic-iv-echo")}
    assert kinds == {"camus": True, "mimic-iv-echo": False}
