"""Data sets as they lie on disks: tables from spreadsheets, names in another case, a downloader's folders."""

from __future__ import annotations

import codecs
import shutil
from pathlib import Path

import pytest
from folders import DYNAMIC, PEDIATRIC, avi, camus_patient, table, zipped

from mcsdr.datasets import (
    Camus,
    ClipTable,
    CohortSpec,
    EchoNetDynamic,
    EchoNetPediatric,
    MimicIvEcho,
    detect,
    open_cohort,
)
from mcsdr.datasets.check import check_cohort
from mcsdr.errors import InvalidCohort
from mcsdr.study import View

ROWS = [DYNAMIC, "0XA,60.5,40.0,100.0,112,112,50,30,TRAIN", "0XB,55.25,40.0,90.0,112,112,50,30,VAL"]
SHAPES = {
    "semicolons": lambda text: text.replace(",", ";").replace(".", ",").encode(),
    "tabs in UTF-16": lambda text: text.replace(",", "\t").encode("utf-16"),
    "sep line": lambda text: ("sep=,\r\n" + text).encode(),
    "mark": lambda text: codecs.BOM_UTF8 + text.encode(),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_echonet_dynamic_saved_by_a_spreadsheet(tmp_path: Path, shape: str) -> None:
    for name in ("0XA", "0XB"):
        avi(tmp_path / "Videos" / f"{name}.avi")
    (tmp_path / "FileList.csv").write_bytes(SHAPES[shape]("\r\n".join(ROWS)))
    assert detect(tmp_path) == "echonet-dynamic"
    first, second = EchoNetDynamic(tmp_path)
    assert (first.ef_percent, second.ef_percent) == (60.5, 55.25)
    assert first.clips[0].frame_rate_hz == pytest.approx(50)


@pytest.mark.parametrize("where", ["Videos/0XA.AVI", "0XA.avi", "0xa.Avi", "Videos/0xa.avi"])
def test_a_video_is_found_in_any_case_and_beside_its_table(tmp_path: Path, where: str) -> None:
    avi(tmp_path / "x.avi").rename(tmp_path / "video")
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / "video").rename(tmp_path / where)
    table(tmp_path / "FileList.csv", DYNAMIC, ROWS[1:2])
    (study,) = EchoNetDynamic(tmp_path)
    assert len(study.clips[0].frames) == 30
    assert study.clips[0].source == Path(where).name


def test_videos_of_a_pediatric_view_beside_its_table(tmp_path: Path) -> None:
    avi(tmp_path / "A4C" / "CR1-CR2-3.AVI")
    table(tmp_path / "A4C" / "FileList.csv", PEDIATRIC, ["CR1-CR2-3.avi,60,F,7,22,120,0"])
    (study,) = EchoNetPediatric(tmp_path, views=[View.A4C])
    assert len(study.clips[0].frames) == 30


def test_a_table_names_files_in_another_case_or_folder(tmp_path: Path) -> None:
    avi(tmp_path / "Clips" / "A.avi")
    avi(tmp_path / "Videos" / "b.avi")
    avi(tmp_path / "c.avi")
    path = table(tmp_path / "t.csv", "FileName;EF", ["Clips/a.AVI;55,5", "b.avi;60", "elsewhere/c.avi;61"])
    assert [study.clips[0].source for study in ClipTable(path)] == ["A.avi", "b.avi", "c.avi"]
    assert ClipTable(path)[0].ef_percent == 55.5


def test_an_ef_as_a_fraction_stops_with_the_next_step(tmp_path: Path) -> None:
    table(tmp_path / "FileList.csv", "FileName,EF,Split", ["0X4.avi,0.55,TRAIN", "0XE.avi,0.62,VAL", "0XC.avi,1,TEST"])
    with pytest.raises(InvalidCohort, match=r"all 3 EF lie between 0\.55 and 1: they are fractions") as caught:
        open_cohort(CohortSpec.parse(str(tmp_path), split="train"))
    assert "by 100" in caught.value.next_step
    table(tmp_path / "FileList.csv", "FileName,EF,Split", ["0X4.avi,0.9,TRAIN", "0XE.avi,62,VAL"])
    assert len(ClipTable(tmp_path)) == 2  # one odd row is its own


@pytest.mark.parametrize("root", ["", "physionet.org", "physionet.org/files/mimic-iv-echo/1.0"])
def test_mimic_is_found_below_a_downloaders_folders(tmp_path: Path, root: str) -> None:
    inner = tmp_path / "physionet.org" / "files" / "mimic-iv-echo" / "1.0"
    path = "files/p10/p10/s90/90_0001.dcm"
    avi(inner / "clip.avi")
    (inner / path).parent.mkdir(parents=True)
    shutil.move(inner / "clip.avi", inner / path)
    record = f"10,90,2150-03-01 10:01:00,{path}"
    table(inner / "echo-record-list.csv", "subject_id,study_id,acquisition_datetime,dicom_filepath", [record])
    header = "subject_id,measurement_id,measurement_datetime,test_type,measurement,measurement_description,result,unit"
    report = "10,7,2150-03-01 14:00:00,tte,lvef,words,55,%"
    zipped(inner / "structured-measurement.csv.gz", header, [report])
    assert detect(tmp_path / root) == "mimic-iv-echo"
    (study,) = MimicIvEcho(tmp_path / root)
    assert (study.ef_percent, len(study.clips)) == (55, 1)


def test_a_mark_in_an_info_file_of_camus(tmp_path: Path) -> None:
    patient = camus_patient(tmp_path, 1)
    for info in patient.glob("*.cfg"):
        info.write_bytes(codecs.BOM_UTF8 + info.read_bytes())
    (entry,) = Camus(tmp_path).entries
    assert not entry.faults
    assert entry.clips[0].ed_frame == 0


def test_that_no_file_is_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    table(tmp_path / "FileList.csv", DYNAMIC, ROWS[1:])
    (tmp_path / "clips.zip").write_bytes(b"PK")
    for clips in (True, False):
        first, *_ = check_cohort(EchoNetDynamic(tmp_path), clips=clips).rows
        assert first.code == "no-file-found"
        assert "not one of the 2 files that the table names is there, 0XA.avi say" in first.text
        assert "Videos/, and there is no such folder" in first.text
        assert "1 .zip" in first.text
    avi(tmp_path / "Videos" / "0XA.avi")
    assert all(finding.code != "no-file-found" for finding in check_cohort(EchoNetDynamic(tmp_path)).rows)


def test_a_column_that_lacks_is_named_beside_what_was_found(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "Datei;EF", ["a.avi;55"])
    with pytest.raises(
        InvalidCohort, match="lacks the column filename; as UTF-8 text separated by semicolons its columns"
    ):
        ClipTable(path)
