"""A real Orthanc on loopback: the clip goes out by its own tools, the report comes back, and outlives a crash.

Run by `make test-orthanc`; needs Debian's `orthanc` (Orthanc on the PATH).
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from mcsdr.interop.structured_report import read_back, structured_report, to_bytes
from tests.interop.records import answer, clip_header

pytestmark = [
    pytest.mark.orthanc,
    pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed"),
]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def wait_for(what: Callable[[], Any], seconds: float = 90.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except OSError:
            pass
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


class Orthanc:
    """The server, its folder, and what its REST interface says."""

    def __init__(self, folder: Path, node_port: int) -> None:
        self.http, self.dicom = free_port(), free_port()
        self.folder = folder
        (folder / "orthanc.json").write_text(
            json.dumps(
                {
                    "Name": "ORTHANC",
                    "StorageDirectory": str(folder / "db"),
                    "IndexDirectory": str(folder / "db"),
                    "HttpPort": self.http,
                    "RemoteAccessAllowed": False,
                    "HttpBindAddresses": ["127.0.0.1"],
                    "DicomPort": self.dicom,
                    "DicomBindAddresses": ["127.0.0.1"],
                    "DicomAet": "ORTHANC",
                    "DicomAlwaysAllowStore": True,
                    "StableAge": 1,
                    "DicomModalities": {"mcsdr": ["MCSDR", "127.0.0.1", node_port]},
                    "Plugins": ["/usr/share/orthanc/plugins"],
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                }
            )
        )
        self.up()

    def up(self) -> None:
        self.process = subprocess.Popen(
            ["Orthanc", str(self.folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(lambda: self.ask("/system"))

    def crash(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask(self, path: str, body: bytes | dict[str, Any] | None = None) -> Any:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", data, timeout=60) as response:
            return json.loads(response.read() or b"null")

    def file(self, instance: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/instances/{instance}/file", timeout=60) as response:
            content: bytes = response.read()
            return content

    def reports(self, study_uid: str) -> list[str]:
        """Instances that a query for structured reports of a study finds."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid, "Modality": "SR"}}
        found: list[str] = self.ask("/tools/find", query)
        return found


class Node:
    """`mcsdr node`, which may be killed and started again in the same folder."""

    def __init__(self, folder: Path, port: int, *where: str) -> None:
        self.folder, self.port, self.where = folder, port, where
        self.up()

    def up(self) -> None:
        command = [sys.executable, "-m", "mcsdr", "node", str(self.folder), "--port", str(self.port), "--quiet", "0.5"]
        self.process = subprocess.Popen([*command, *self.where], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert "listens" in self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def down(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=120)


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    """The real clip as an exam of its own."""
    dataset = dcmread(str(get_testdata_file("examples_ybr_color.dcm")))
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = generate_uid(), generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientID, dataset.PatientName = "TEST", "Test^Exam"
    path = tmp_path / "exam.dcm"
    dataset.save_as(path)
    return path


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def orthanc(tmp_path: Path, port: int) -> Iterator[Orthanc]:
    (tmp_path / "orthanc").mkdir()
    server = Orthanc(tmp_path / "orthanc", port)
    yield server
    server.crash()


def sent_by_orthanc(orthanc: Orthanc, exam: Path) -> str:
    """Upload the exam, have Orthanc send it to the node, and return its study."""
    stored = orthanc.ask("/instances", exam.read_bytes())
    orthanc.ask("/modalities/mcsdr/store", stored["ID"].encode())
    study: str = dcmread(exam, stop_before_pixels=True).StudyInstanceUID
    return study


def same_as_json(orthanc: Orthanc, instance: str, folder: Path) -> None:
    """The report that the archive holds says what the record beside the node's outbox says."""
    report = dcmread(BytesIO(orthanc.file(instance)))
    described = [json.loads(file.read_text()) for file in (folder / "results").iterdir()]
    (record,) = [one["record"] for one in described if one["sop_instance_uid"] == report.SOPInstanceUID]
    said = read_back(report)
    assert said["median"] == record["median"]
    assert list(said["interval_90"]) == record["interval_90"]
    assert list(said["prob"].values()) == list(record["prob"].values())


def test_two_hundred_reports_come_back_the_same(orthanc: Orthanc) -> None:
    """Through Orthanc, and read by pydicom and by highdicom: the numbers are the records'."""
    for seed in range(200):
        record = answer(seed)
        stored = orthanc.ask("/instances", to_bytes(structured_report(record, clip_header())))
        content = orthanc.file(stored["ID"])
        said = read_back(dcmread(BytesIO(content)))
        assert (said["median"], said["sd"], said["interval_90"]) == (
            record["median"],
            record["sd"],
            record["interval_90"],
        )
        assert list(said["prob"].values()) == list(record["prob"].values())
        group, *_ = highdicom.sr.srread(BytesIO(content)).content.get_image_measurement_groups()
        measured = [one.value for one in group.get_measurements()]
        assert measured[0] == record["median"]
        assert measured[5:] == list(record["prob"].values())


def test_there_and_back_by_c_store(orthanc: Orthanc, port: int, exam: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "node", port, "--archive", f"ORTHANC@127.0.0.1:{orthanc.dicom}")
    study = sent_by_orthanc(orthanc, exam)
    (instance,) = wait_for(lambda: orthanc.reports(study))
    node.down()
    same_as_json(orthanc, instance, tmp_path / "node")


def test_there_and_back_by_stow(orthanc: Orthanc, port: int, exam: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "node", port, "--stow", f"http://127.0.0.1:{orthanc.http}/dicom-web")
    study = sent_by_orthanc(orthanc, exam)
    (instance,) = wait_for(lambda: orthanc.reports(study))
    node.down()
    same_as_json(orthanc, instance, tmp_path / "node")


def test_orthanc_dies_in_the_middle(orthanc: Orthanc, port: int, exam: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "node", port, "--archive", f"ORTHANC@127.0.0.1:{orthanc.dicom}")
    study = sent_by_orthanc(orthanc, exam)
    orthanc.crash()
    outbox = tmp_path / "node" / "outbox"
    wait_for(lambda: list(outbox.glob("*.dcm")) or list((tmp_path / "node" / "sent").iterdir()))
    time.sleep(3)  # at least one attempt in vain
    orthanc.up()
    (instance,) = wait_for(lambda: orthanc.reports(study))
    sent_by_orthanc(orthanc, exam)  # the archive sends the same clip once more
    time.sleep(6)
    node.down()
    assert orthanc.reports(study) == [instance]
    assert not list(outbox.glob("*.dcm"))
    same_as_json(orthanc, instance, tmp_path / "node")


def test_the_node_dies_in_the_middle(orthanc: Orthanc, port: int, exam: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "node", port, "--archive", f"ORTHANC@127.0.0.1:{orthanc.dicom}")
    study = sent_by_orthanc(orthanc, exam)
    node.kill()
    node.up()
    (instance,) = wait_for(lambda: orthanc.reports(study))
    time.sleep(3)
    node.down()
    assert orthanc.reports(study) == [instance]
    same_as_json(orthanc, instance, tmp_path / "node")
