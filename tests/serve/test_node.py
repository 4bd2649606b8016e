"""Clips in by C-STORE, reports out: nothing lost, nothing doubled, whoever goes down in between."""

from __future__ import annotations

import errno
import json
import os
import queue
import shutil
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import Comprehensive3DSRStorage, CTImageStorage, UltrasoundMultiFrameImageStorage
from starlette.testclient import TestClient

import mcsdr
from mcsdr.cli.node import _titles
from mcsdr.errors import InvalidConfig, UnsupportedFormat
from mcsdr.interop.structured_report import read_back
from mcsdr.io.dicom import SOP_CLASSES
from mcsdr.io.dicom_pixels import transfer_syntaxes
from mcsdr.io.sandbox import Reader
from mcsdr.serve import create_app
from mcsdr.serve.archive import CStore, NotTaken, Refused, Stow, archive_of, backoff_s
from mcsdr.serve.mailroom import Mailroom
from mcsdr.serve.node import Node, _Bounded, sender_of
from mcsdr.serve.postman import Postman
from mcsdr.serve.silence import keep_silent


class Peer:
    """An archive of pynetdicom's own, which keeps what it is sent by SOP Instance UID."""

    def __init__(self) -> None:
        self.kept: dict[str, Dataset] = {}
        self.sent = 0
        self.port = 0
        self._server: Any = None

    def up(self) -> None:
        entity = AE(ae_title="ARCHIVE")
        entity.add_supported_context(Comprehensive3DSRStorage)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = self._server.server_address[1]

    def down(self) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        report = event.dataset
        report.file_meta = event.file_meta
        self.kept[report.SOPInstanceUID] = report
        self.sent += 1
        return 0


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    peer.up()
    yield peer
    peer.down()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


@pytest.fixture
def mailroom(tmp_path: Path, reader: Reader) -> Mailroom:
    return Mailroom(tmp_path / "node", mcsdr.load(), reader, quiet_s=0.0, say=lambda line: None)


@pytest.fixture
def clip(real_clip: Path, tmp_path: Path) -> Path:
    """A clip of a study and a patient of its own."""
    dataset = dcmread(real_clip)
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = generate_uid(), generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientName, dataset.PatientID = "Quill^Ada", "ID-4711"
    path = tmp_path / "clip.dcm"
    dataset.save_as(path)
    return path


def store(path: Path, port: int, title: str = "MCSDR") -> int:
    dataset = dcmread(path)
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(UltrasoundMultiFrameImageStorage, dataset.file_meta.TransferSyntaxUID)
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title=title)
    assert association.is_established
    status = association.send_c_store(dataset)
    association.release()
    code: int = status.Status
    return code


def take_in(mailroom: Mailroom, file: Path) -> str | None:
    """Take a copy of a file in, as it comes from outside."""
    with mailroom.incoming() as folder:
        (instance,) = mailroom.take_in([Path(shutil.copy(file, folder))])
    return instance


@pytest.mark.parametrize("syntax", [str(syntax) for syntax in transfer_syntaxes()])
def test_the_node_takes_what_the_reader_reads(mailroom: Mailroom, syntax: str) -> None:
    node = Node(mailroom, host="127.0.0.1", port=0)
    entity = AE(ae_title="SCANNER")
    for kind in SOP_CLASSES:
        entity.add_requested_context(kind, syntax)
    entity.add_requested_context(CTImageStorage, syntax)
    association = entity.associate("127.0.0.1", node.port, ae_title="MCSDR")
    taken = {str(context.abstract_syntax) for context in association.accepted_contexts}
    association.release()
    node.close()
    assert taken == set(SOP_CLASSES)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
def test_what_lacks_an_identifier_is_not_taken_in(mailroom: Mailroom, clip: Path, keyword: str) -> None:
    dataset = dcmread(clip)
    delattr(dataset, keyword)
    dataset.save_as(clip)
    assert take_in(mailroom, clip) is None


def test_a_clip_whose_header_miscounts_is_reported_on(mailroom: Mailroom, clip: Path) -> None:
    dataset = dcmread(clip)
    dataset.NumberOfFrames = 1
    dataset.save_as(clip)
    take_in(mailroom, clip)
    (study,) = mailroom.complete()
    (report,) = mailroom.report(study)
    assert read_back(dcmread(report))["median"] is not None


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_clip_comes_in_and_its_report_reaches_the_archive(mailroom: Mailroom, peer: Peer, clip: Path) -> None:
    node = Node(mailroom, host="127.0.0.1", port=0)
    postman = Postman(mailroom, CStore("ARCHIVE", "127.0.0.1", peer.port, "MCSDR"))
    postman.start()
    assert store(clip, node.port) == 0
    wait_for(lambda: peer.kept)
    postman.close()
    node.close()
    (report,) = peer.kept.values()
    source = dcmread(clip, stop_before_pixels=True)
    assert report.StudyInstanceUID == source.StudyInstanceUID
    assert report.PatientID == "ID-4711"
    (made,) = mailroom.results.iterdir()
    described = json.loads(made.read_text())
    assert described["sop_instance_uid"] == report.SOPInstanceUID
    assert read_back(report)["median"] == described["record"]["median"]
    assert not list(mailroom.inbox.iterdir())
    assert not mailroom.outgoing()


def test_an_archive_that_is_down_gets_the_report_when_it_is_up_again(mailroom: Mailroom, clip: Path) -> None:
    peer = Peer()
    peer.up()
    peer.down()
    take_in(mailroom, clip)
    postman = Postman(mailroom, CStore("ARCHIVE", "127.0.0.1", peer.port, "MCSDR"))
    postman.look()
    (waiting,) = mailroom.outgoing()
    uid = dcmread(waiting).SOPInstanceUID
    peer.up()
    postman._next_s = 0.0
    postman.look()
    peer.down()
    assert list(peer.kept) == [uid]
    assert not mailroom.outgoing()


def test_a_report_that_is_made_twice_is_one_object(mailroom: Mailroom, peer: Peer, clip: Path) -> None:
    postman = Postman(mailroom, CStore("ARCHIVE", "127.0.0.1", peer.port, "MCSDR"))
    for _ in range(2):  # sent twice by the machine, or the node went down before it cleared the inbox
        take_in(mailroom, clip)
        postman.look()
    assert len(peer.kept) == 1
    assert peer.sent == 1


def test_a_crash_before_the_inbox_is_cleared_loses_and_doubles_nothing(
    mailroom: Mailroom, clip: Path, tmp_path: Path
) -> None:
    take_in(mailroom, clip)
    shutil.copytree(mailroom.inbox, tmp_path / "as it was")
    mailroom.report(mailroom.complete()[0])
    shutil.copytree(tmp_path / "as it was", mailroom.inbox, dirs_exist_ok=True)
    again = Mailroom(mailroom.folder, mailroom.model, mailroom.reader, quiet_s=0.0, say=lambda line: None)
    assert len(again.outgoing()) == 1
    again.report(again.complete()[0])
    assert len(again.outgoing()) == 1
    assert not list(again.inbox.iterdir())


def test_a_clip_that_is_none_is_reported_as_failed_and_a_still_not_at_all(mailroom: Mailroom, clip: Path) -> None:
    dataset = dcmread(clip)
    dataset.PixelData = dataset.PixelData[:200]
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    broken = clip.with_name("broken.dcm")
    dataset.save_as(broken)
    take_in(mailroom, broken)
    (study,) = mailroom.complete()
    (report,) = mailroom.report(study)
    assert read_back(dcmread(report))["median"] is None
    dataset.NumberOfFrames = 1
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.save_as(broken)
    take_in(mailroom, broken)
    (study,) = mailroom.complete()
    assert mailroom.report(study) == []


def test_a_study_is_complete_when_nothing_has_come_for_a_while(mailroom: Mailroom, clip: Path) -> None:
    mailroom.quiet_s = 60.0
    take_in(mailroom, clip)
    assert mailroom.complete() == []
    (study,) = mailroom.inbox.iterdir()
    for file in study.iterdir():
        os.utime(file, (time.time() - 61, time.time() - 61))
    assert mailroom.complete() == [study]


def test_nothing_in_the_folder_or_in_what_is_said_names_the_patient(tmp_path: Path, reader: Reader, clip: Path) -> None:
    said: list[str] = []
    mailroom = Mailroom(tmp_path / "node", mcsdr.load(), reader, quiet_s=0.0, say=said.append)
    take_in(mailroom, clip)
    Postman(mailroom, CStore("NOBODY", "127.0.0.1", 1, "MCSDR")).look()
    names = [str(path) for path in mailroom.folder.rglob("*")]
    for word in ("Quill", "4711", dcmread(clip).StudyInstanceUID):
        assert not any(word in text for text in [*names, *said])
    assert (mailroom.folder.stat().st_mode & 0o077) == 0
    assert said


def test_who_calls_us_by_another_name_or_is_not_among_the_callers_is_turned_away(mailroom: Mailroom) -> None:
    node = Node(mailroom, host="127.0.0.1", port=0, callers=["SCANNER"])
    for title, calling in (("OTHER", "SCANNER"), ("MCSDR", "STRANGER")):
        entity = AE(ae_title=calling)
        entity.add_requested_context(UltrasoundMultiFrameImageStorage)
        assert not entity.associate("127.0.0.1", node.port, ae_title=title).is_established
    node.close()


def test_what_is_no_dicom_is_not_taken_in(mailroom: Mailroom, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_bytes(b"words")
    assert take_in(mailroom, words) is None
    assert not list(mailroom.inbox.iterdir())


def test_archives_by_name() -> None:
    assert archive_of("ORTHANC@10.0.0.1:4242", None, "MCSDR") == CStore("ORTHANC", "10.0.0.1", 4242, "MCSDR")
    assert archive_of(None, "http://h:8042/dicom-web", "MCSDR") == Stow("http://h:8042/dicom-web")
    assert archive_of(None, None, "MCSDR") is None
    for address, stow in (("nowhere", None), ("A@h:99999", None), (None, "ftp://h"), ("A@h:1", "http://h")):
        with pytest.raises(InvalidConfig):
            archive_of(address, stow, "MCSDR")


def test_an_archive_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    for archive in (CStore("NOBODY", "127.0.0.1", 1, "MCSDR"), Stow("http://127.0.0.1:1/dicom-web")):
        report = tmp_path / "report.dcm"
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = Comprehensive3DSRStorage, generate_uid()
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = generate_uid()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(report, enforce_file_format=True)
        with pytest.raises(NotTaken):
            archive.send(report)


def test_waiting_grows_and_ends() -> None:
    assert [backoff_s(n) for n in (1, 2, 3, 20)] == [1, 2, 4, 300]


def multipart(parts: list[bytes]) -> tuple[bytes, str]:
    fence = b"--fence\r\nContent-Type: application/dicom\r\n\r\n"
    body = b"".join(fence + part + b"\r\n" for part in parts) + b"--fence--\r\n"
    return body, 'multipart/related; type="application/dicom"; boundary=fence'


def test_the_parts_of_a_body_are_what_was_sent(reader: Reader, clip: Path, tmp_path: Path) -> None:
    parts, body = [clip.read_bytes(), b"\r\n--other\r\n\r\n--fenc", b""], tmp_path / "body"
    for before in (b"", b"a preamble\r\n"):
        body.write_bytes(before + multipart(parts)[0])
        content = body.read_bytes()
        found = reader.parts(body, "fence")
        assert [content[part.start : part.start + part.length] for part in found] == parts
    body.write_bytes(b"--fence\r\n\r\n\r\n" * 2000)
    with pytest.raises(UnsupportedFormat, match="more than 1000 parts"):
        reader.parts(body, "fence")
    for content in (b"", b"no fence", b"--fence--\r\n", b"--fence", b"--fence\r\nno empty line"):
        body.write_bytes(content)
        assert reader.parts(body, "fence") == []


def test_what_comes_by_stow_is_reported_to_the_archive(tmp_path: Path, peer: Peer, clip: Path) -> None:
    archive = CStore("ARCHIVE", "127.0.0.1", peer.port, "MCSDR")
    app = create_app(reports=tmp_path / "reports", archive=archive, prior="camus")
    with TestClient(app, base_url="http://127.0.0.1") as client:  # type: ignore[arg-type]
        client.app.app.state.mailroom.quiet_s = 0.0  # type: ignore[attr-defined]
        body, kind = multipart([clip.read_bytes(), b"no instance"])
        answer = client.post("/dicom-web/studies", content=body, headers={"content-type": kind})
        assert answer.status_code == 202
        assert answer.json()["00081199"]["Value"][0]["00081155"]["Value"] == [dcmread(clip).SOPInstanceUID]
        assert len(answer.json()["00081198"]["Value"]) == 1
        for wrong in (
            "text/plain",
            "application/dicom",
            "multipart/related",
            "multipart/related; boundary=" + "x" * 99,
        ):
            assert client.post("/dicom-web/studies", content=b"", headers={"content-type": wrong}).status_code == 422
        wait_for(lambda: peer.kept)
        (kept,) = (tmp_path / "reports" / "results").glob("*.json")
        assert json.loads(kept.read_text())["record"]["prior"] == "camus"


def with_values(clip: Path, **raw: bytes) -> Path:
    """A copy of a clip under a SOP Instance UID of its own, with elements written as they must not be."""
    dataset = dcmread(clip)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in raw.items():
        tag = Tag(tag_for_keyword(keyword) or 0)
        dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
    path = clip.with_name(f"{'-'.join(raw)}.dcm")
    dataset.save_as(path)
    return path


def test_an_instance_of_an_odd_study_is_refused_by_its_sender(mailroom: Mailroom, clip: Path) -> None:
    node = Node(mailroom, host="127.0.0.1", port=0)
    odd = with_values(clip, StudyInstanceUID=b"1.2.3\\4.5")
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(UltrasoundMultiFrameImageStorage, dcmread(odd).file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", node.port, ae_title="MCSDR")
    assert association.send_c_store(odd).Status == 0xC210
    association.release()
    node.close()
    assert not list(mailroom.inbox.iterdir())
    assert not list((mailroom.folder / "incoming").iterdir())


def test_what_one_clip_holds_never_costs_the_next_its_report(mailroom: Mailroom, clip: Path) -> None:
    for keyword, value in (("NumberOfFrames", b"xx"), ("SeriesInstanceUID", b"1.2\\3 "), ("PatientAge", b"old ")):
        take_in(mailroom, with_values(clip, **{keyword: value}))
    take_in(mailroom, clip)
    Postman(mailroom, None).look()
    assert dcmread(clip).SOPInstanceUID in {read_back(dcmread(report))["source"] for report in mailroom.outgoing()}
    assert not list(mailroom.inbox.iterdir())
    (aside,) = mailroom.quarantine.iterdir()  # the one without a series, which no report can be filed beside
    assert dcmread(aside).PatientID == "ID-4711"


def test_a_study_that_fails_time_and_again_is_set_aside_and_the_others_are_answered(
    mailroom: Mailroom, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    mailroom.say = said.append
    take_in(mailroom, clip)
    (bad,) = mailroom.complete()
    other = dcmread(clip)
    other.StudyInstanceUID, other.SOPInstanceUID = generate_uid(), generate_uid()
    other.save_as(clip)
    take_in(mailroom, clip)
    report = mailroom.report
    monkeypatch.setattr(mailroom, "report", lambda study: 1 / 0 if study == bad else report(study))
    postman = Postman(mailroom, None)
    for _ in range(5):
        postman._later_s.clear()
        postman.look()
    assert len(mailroom.outgoing()) == 1
    assert [place.name for place in mailroom.quarantine.iterdir()] == [bad.name]
    assert sum("ZeroDivisionError" in line for line in said) == 3
    assert "quarantine" in [line for line in said if "ZeroDivisionError" in line][-1]


def test_a_report_that_the_archive_refuses_does_not_hold_up_the_next(mailroom: Mailroom, tmp_path: Path) -> None:
    for name in ("0" * 40, "1" * 40):
        (mailroom.outbox / f"{name}.dcm").write_bytes(b"report")
    sent: list[str] = []

    class Particular:
        def send(self, report: Path) -> None:
            if report.stem.startswith("0"):
                raise Refused("the archive's status is 0xc000")
            sent.append(report.stem)

    postman = Postman(mailroom, Particular())
    for _ in range(10):
        postman._later_s.clear()
        postman.look()
    assert sent == ["1" * 40]
    assert not mailroom.outgoing()
    assert [place.stem for place in mailroom.quarantine.iterdir()] == ["0" * 40]


def test_an_archive_that_cannot_be_reached_is_waited_for(mailroom: Mailroom) -> None:
    (mailroom.outbox / "report.dcm").write_bytes(b"report")

    class Down:
        def send(self, report: Path) -> None:
            raise NotTaken("no association with the archive")

    postman = Postman(mailroom, Down())
    for _ in range(20):
        postman._next_s = 0.0
        postman.look()
    assert len(mailroom.outgoing()) == 1


def test_what_was_half_written_is_removed_at_the_start_and_said_nothing_of(mailroom: Mailroom) -> None:
    said: list[str] = []
    study = mailroom.inbox / "study"
    study.mkdir()
    halves = [
        study / ".a.dcm.1.partial",
        mailroom.outbox / ".b.dcm.1.partial",
        mailroom.folder / "incoming" / "tmp1.dcm",
    ]
    for half in halves:
        half.write_bytes(b"half")
    mailroom.say = said.append
    Postman(mailroom, None).look()
    assert not said
    Mailroom(mailroom.folder, mailroom.model, mailroom.reader, say=said.append)
    assert not any(half.exists() for half in halves)


def test_a_message_that_stops_or_grows_too_large_is_hung_up_on(mailroom: Mailroom, clip: Path) -> None:
    node = Node(mailroom, host="127.0.0.1", port=0, most_bytes=100_000, pause_s=0.5)
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as half:
        half.sendall(b"\x01\x00\x00\x00\x01\x00half")  # 256 bytes are announced
        assert half.recv(100) == b""
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as forged:
        forged.sendall(b"\x01\x00\xff\xff\xff\xff")  # four gigabytes are
        assert forged.recv(100) == b""
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(UltrasoundMultiFrameImageStorage, dcmread(clip).file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", node.port, ae_title="MCSDR")
    assert "Status" not in association.send_c_store(clip)  # the clip has 250,000 bytes
    idle = entity.associate("127.0.0.1", node.port, ae_title="MCSDR")
    wait_for(lambda: not idle.is_established, 30)
    node.close()
    assert not list(mailroom.inbox.iterdir())


def test_who_says_nothing_gives_way_to_a_new_sender(mailroom: Mailroom, clip: Path) -> None:
    node = Node(mailroom, host="127.0.0.1", port=0, most_connections=2, lag_s=0.0)
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(UltrasoundMultiFrameImageStorage)
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as mute:
        wait_for(lambda: len(node._connections) == 1)
        first = entity.associate("127.0.0.1", node.port, ae_title="MCSDR")  # nothing follows
        second = entity.associate("127.0.0.1", node.port, ae_title="MCSDR")
        assert first.is_established
        assert second.is_established
        assert mute.recv(100) == b""
    assert store(clip, node.port) == 0
    wait_for(lambda: not first.is_established)
    assert second.is_established
    node.close()


def test_who_speaks_or_waits_for_an_answer_gives_way_to_nobody(
    mailroom: Mailroom, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(mailroom, host="127.0.0.1", port=0, most_connections=1, lag_s=0.01)
    take_in, came = mailroom.take_in, []

    def interrupted(files: list[Path]) -> list[str | None]:
        with socket.create_connection(("127.0.0.1", node.port), timeout=30) as late:
            came.append(late.recv(100))
        return take_in(files)

    monkeypatch.setattr(mailroom, "take_in", interrupted)
    assert store(clip, node.port) == 0
    assert came == [b""]
    node.lag_s = 60.0
    wait_for(lambda: not node._connections)
    with socket.create_connection(("127.0.0.1", node.port), timeout=30):
        wait_for(lambda: node._connections)
        with socket.create_connection(("127.0.0.1", node.port), timeout=30) as late:
            assert late.recv(100) == b""
    node.close()


def associated(node: Node, address: str = "127.0.0.1") -> Any:
    """An association with a node, from an address of this machine's own."""
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(UltrasoundMultiFrameImageStorage)
    return entity.associate("127.0.0.1", node.port, ae_title="MCSDR", bind_address=(address, 0))


def trickle(connection: socket.socket, stop: threading.Event) -> None:
    """The first bytes of an association that never comes, one by one."""
    announced = b"\x01\x00\x00\x00\x01\x00" + bytes(256)
    with connection, suppress(OSError):
        for place in range(len(announced)):
            connection.sendall(announced[place : place + 1])
            if stop.wait(0.02):
                break


def test_who_lets_bytes_trickle_gives_way_to_who_sends(mailroom: Mailroom, clip: Path) -> None:
    node = Node(mailroom, host="127.0.0.1", port=0, most_connections=3, lag_s=0.3)
    peers, stop = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(3)], threading.Event()
    threads = [threading.Thread(target=trickle, args=(peer, stop)) for peer in peers]
    for thread in threads:
        thread.start()
    wait_for(lambda: min((one.progress.lag_s for one in node._connections.values()), default=0) > 0.4)
    assert len(node._connections) == 3
    assert store(clip, node.port) == 0
    stop.set()
    for thread in threads:
        thread.join()
    node.close()


def test_one_address_never_holds_all_places(mailroom: Mailroom, clip: Path) -> None:
    node = Node(mailroom, host="127.0.0.1", port=0, most_connections=4, lag_s=60.0)  # nobody lags as much
    held = [associated(node, "127.0.0.2") for _ in range(5)]
    assert [one.is_established for one in held] == [True, True, True, False, False]
    assert store(clip, node.port) == 0
    node.close()


def test_a_slow_line_is_not_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcsdr.serve.node.LEAST_RATE", 100)
    ours, theirs = socket.socketpair()
    association = SimpleNamespace(dimse=SimpleNamespace(message=None, msg_queue=queue.Queue()))
    bounded = _Bounded(association, SimpleNamespace(socket=ours), "sender", 1 << 20, 0.2)
    with ours, theirs, ThreadPoolExecutor(1) as pool:
        taken = pool.submit(bounded, 80)
        for _ in range(8):  # four pauses' length in all
            theirs.sendall(b"x" * 10)
            time.sleep(0.1)
        assert taken.result() == b"x" * 80
        with pytest.raises(TimeoutError):
            bounded(1)


def test_senders_by_their_address() -> None:
    assert sender_of("10.0.0.1") == sender_of("::ffff:10.0.0.1") != sender_of("10.0.0.2")
    assert sender_of("2001:db8::1") == sender_of("2001:db8::2") == sender_of("2001:db8::3%eth0")
    assert sender_of("2001:db8::1") != sender_of("2001:db8:0:1::1")


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), KeyError("no such command")])
def test_what_fails_while_it_is_received_is_hung_up_on(
    mailroom: Mailroom, clip: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(**given: object) -> None:
        raise fault

    node = Node(mailroom, host="127.0.0.1", port=0)
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(UltrasoundMultiFrameImageStorage, dcmread(clip).file_meta.TransferSyntaxUID)
    with monkeypatch.context() as patch:
        patch.setattr("pynetdicom.dimse_messages.NamedTemporaryFile", fail)
        association = entity.associate("127.0.0.1", node.port, ae_title="MCSDR")
        assert "Status" not in association.send_c_store(clip)
    wait_for(lambda: not node._connections, 10)
    assert store(clip, node.port) == 0
    node.close()


@pytest.mark.parametrize(
    ("written", "titles"), [(None, None), (["A,B"], ["A", "B"]), (["A", " B , C"], ["A", "B", "C"])]
)
def test_senders_are_named_with_commas_between(written: list[str] | None, titles: list[str] | None) -> None:
    assert _titles(written) == titles
    for wrong in ("", "A,", "x" * 17, "a\\b"):
        with pytest.raises(InvalidConfig):
            _titles([wrong])


def test_what_a_header_holds_is_not_quoted_by_the_libraries(
    mailroom: Mailroom, capfd: pytest.CaptureFixture[str]
) -> None:
    keep_silent()
    with warnings.catch_warnings(record=True) as told:
        keep_silent()
        dataset = Dataset()
        dataset.add_new("PatientAge", "AS", "Quill")
        dataset.add_new("StudyInstanceUID", "UI", "Quill")
    assert not told
    assert "Quill" not in "".join(capfd.readouterr())
