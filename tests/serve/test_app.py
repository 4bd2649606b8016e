"""The service as a client meets it: a clip in, progress, the answer, other attributes, downloads, and every refusal."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pypdf import PdfReader
from starlette.testclient import TestClient

import mcsdr
from mcsdr.errors import OutputInUse
from mcsdr.files import locked_folder
from mcsdr.interop.structured_report import read_back
from mcsdr.model import Answer
from mcsdr.prediction import predict
from mcsdr.report import SOCIETIES, bands_of
from mcsdr.serve import app, create_app
from mcsdr.serve.desk import Desk, Job
from mcsdr.serve.views import checks
from mcsdr.study import Clip, Study

BASE = "http://127.0.0.1:8765"


def settled(client: TestClient, job_id: str) -> dict[str, Any]:
    """A job once it is finished, by its events."""
    with client.stream("GET", f"/api/v1/jobs/{job_id}/events") as response:
        blocks = "".join(response.iter_text()).strip().split("\n\n")
    states = [json.loads(block.split("data: ")[1]) for block in blocks]
    assert [one["state"] for one in states] == sorted({one["state"] for one in states}, key=ORDER.index)
    last: dict[str, Any] = states[-1]
    return last


ORDER = ["waiting", "reading", "encoding", "done", "failed", "cancelled"]


def sent(client: TestClient, content: bytes, **said: Any) -> str:
    response = client.post("/api/v1/clips", params=said, content=content)
    assert response.status_code == 202, response.text
    job_id: str = response.json()["id"]
    return job_id


@pytest.fixture(scope="module")
def job(client: TestClient, real_clip: Path) -> str:
    job_id = sent(client, real_clip.read_bytes(), name="exam.dcm", age=63, sex="F")
    assert settled(client, job_id)["state"] == "done"
    return job_id


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("file", "seconds", "analysed")}


def test_the_answer_is_that_of_the_command_line(client: TestClient, job: str, real_clip: Path) -> None:
    job_id = sent(client, real_clip.read_bytes(), name="exam.dcm", age=63, sex="F")
    record = settled(client, job_id)["result"]
    direct = next(predict([real_clip], mcsdr.load(), age=63, sex="F"))
    assert isinstance(direct, Answer)
    assert without_times(record) == json.loads(json.dumps(without_times(direct.record())))


def test_a_form_is_answered_as_its_file_is(client: TestClient, job: str, real_clip: Path) -> None:
    """As `curl -F file=@exam.dcm` sends it."""
    form = {"file": ("exam.dcm", real_clip.read_bytes(), "application/octet-stream")}
    response = client.post("/api/v1/clips", params={"age": 63, "sex": "F"}, files=form)
    assert response.status_code == 202, response.text
    record = settled(client, response.json()["id"])["result"]
    assert record["file"] == "exam.dcm"
    assert record["median"] == client.get(f"/api/v1/jobs/{job}").json()["result"]["median"]


@pytest.mark.parametrize(
    "form", [{"files": {"a": ("a", b"1"), "b": ("b", b"2")}}, {"data": {"age": "63"}, "files": {"a": b"1"}}]
)
def test_a_form_with_more_than_a_file_is_told_how(client: TestClient, form: dict[str, Any]) -> None:
    response = client.post("/api/v1/clips", **form)
    assert response.status_code == 422
    assert "curl -F file=@" in response.json()["error"]["next_step"]


def test_attributes_change_the_answer_without_the_clip(client: TestClient, job: str, real_clip: Path) -> None:
    changed = client.patch(f"/api/v1/jobs/{job}", json={"age": 30, "sex": "M", "weight": 90, "height": 185}).json()
    direct = next(predict([real_clip], mcsdr.load(), age=30, sex="M", weight=90, height=185))
    assert changed["result"]["median"] == pytest.approx(direct.record()["median"], abs=1e-3)
    assert changed["result"]["attributes"]["age_years"] == 30
    unknown = client.patch(f"/api/v1/jobs/{job}", json={}).json()
    assert unknown["result"]["attributes"] == {}


def test_a_threshold_withholds_and_insisting_marks(client: TestClient, job: str) -> None:
    median = client.patch(f"/api/v1/jobs/{job}", json={}).json()["result"]["median"]
    held = client.patch(f"/api/v1/jobs/{job}", json={"threshold": median}).json()["result"]
    assert held["abstained"]["code"] == "at-threshold"
    assert held["median"] is None
    view = client.get(f"/api/v1/jobs/{job}/view").json()
    assert view["kind"] == "abstention"
    assert "cdf" not in view
    marked = client.patch(f"/api/v1/jobs/{job}", json={"threshold": median, "anyway": True}).json()["result"]
    assert marked["median"] == median
    assert client.get(f"/api/v1/jobs/{job}/view").json()["insisted"].startswith("Shown because it was asked for")
    client.patch(f"/api/v1/jobs/{job}", json={})


def test_what_the_page_draws_says_what_the_record_says(client: TestClient, job: str) -> None:
    view = client.get(f"/api/v1/jobs/{job}/view").json()
    prob = view["record"]["prob"]
    assert view["cdf"][80] == pytest.approx(prob["<=40"], abs=1e-4)
    assert view["cdf"][100] == pytest.approx(prob["<50"], abs=1e-4)
    assert view["cdf"] == sorted(view["cdf"])
    assert [c["p"] for c in view["categories"]] == [prob["<=40"], prob["40-50"], prob[">=50"]]
    assert {row["name"] for row in view["checks"]} == {"View", "Frame rate", "Beats", "Sector", "Picture"}
    assert "<svg" in view["dotplot"]


def test_bands_are_the_societys_and_by_sex_where_it_has_them_by_sex(client: TestClient, job: str) -> None:
    client.patch(f"/api/v1/jobs/{job}", json={"sex": "F", "anyway": True})  # at the limit of width
    bands = client.get(f"/api/v1/jobs/{job}/view").json()["bands"]
    assert bands["ASE/EACVI 2015"][-1][:2] == ["normal", "EF ≥ 54 %"]
    assert [len(rows) for rows in bands.values()] == [4, 4]
    client.patch(f"/api/v1/jobs/{job}", json={})
    assert client.get(f"/api/v1/jobs/{job}/view").json()["bands"]["ASE/EACVI 2015"] == []


@pytest.mark.parametrize(("society", "sex"), [(name, sex) for name, rows in SOCIETIES.items() for sex in rows])
def test_bands_leave_no_gap_and_do_not_overlap(society: str, sex: str | None) -> None:
    bands = bands_of(society, sex)
    assert [bands[0].low, *(band.high for band in bands)] == [*(band.low for band in bands), 100]


def test_the_checklist_ticks_only_what_was_measured(client: TestClient) -> None:
    """White noise moves, but not as a heart does; and where nothing was cut no sector was found."""
    noise = Clip(np.random.default_rng(0).integers(0, 255, (40, 112, 112), dtype=np.uint8), np.arange(40) / 30)
    answer = mcsdr.load()(Study((noise,)))
    found = {row["name"]: row["ok"] for row in checks(answer, [[{"ed": 0, "es": 5}]])}
    assert found == {"View": False, "Frame rate": True, "Beats": None, "Sector": None, "Picture": False}
    familiar = replace(answer, failed=("wrong-view-or-not-echo",))
    picture = checks(familiar, [[]])[-1]
    assert picture["ok"] is None
    assert "as a heart does was not measured" in picture["text"]


def test_the_sheet_holds_all_frames(client: TestClient, job: str) -> None:
    about = client.get(f"/api/v1/jobs/{job}/sheet").json()
    response = client.get(f"/api/v1/jobs/{job}/sheet.jpg")
    assert response.headers["content-type"] == "image/jpeg"
    assert about["count"] == len(about["outlines"]) == 30
    assert any(about["outlines"])
    assert about["rate_hz"] == pytest.approx(30, abs=0.1)


def test_downloads_say_the_same(client: TestClient, job: str) -> None:
    record = client.get(f"/api/v1/jobs/{job}").json()["result"]
    assert client.get(f"/api/v1/jobs/{job}/result.json").json() == record
    page = client.get(f"/api/v1/jobs/{job}/report.html")
    assert f"{record['median']:.0f} %" in page.text.replace("\xa0", " ")
    assert "attachment" in page.headers["content-disposition"]
    pdf = PdfReader(BytesIO(client.get(f"/api/v1/jobs/{job}/report.pdf").content))
    assert f"{record['median']:.0f} %" in pdf.pages[0].extract_text().replace("\xa0", " ")
    assert (
        read_back(dcmread(BytesIO(client.get(f"/api/v1/jobs/{job}/report.dcm").content)))["median"] == record["median"]
    )
    observation = client.get(f"/api/v1/jobs/{job}/observation.json").json()
    assert observation["valueQuantity"]["value"] == record["median"]
    (row,) = csv.DictReader(StringIO(client.get(f"/api/v1/jobs/{job}/result.csv").text))
    assert float(row["median"]) == record["median"]
    missing = client.get(f"/api/v1/jobs/{job}/passwd")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no-such-file")


def test_two_exams_are_compared_as_a_probability(client: TestClient, job: str, real_clip: Path) -> None:
    other = sent(client, real_clip.read_bytes(), name="later.dcm")
    settled(client, other)
    twice = client.get("/api/v1/change", params={"before": job, "after": other})
    assert (twice.status_code, twice.json()["error"]["code"]) == (409, "no-comparison")
    content = BytesIO()
    exam = dcmread(real_clip)
    exam.PatientID, exam.ContentDate, exam.StudyDate = "another", "19800101", "19800101"
    exam.save_as(content)
    older = sent(client, content.getvalue(), name="older.dcm", sex="M", anyway="true")
    settled(client, older)
    client.patch(f"/api/v1/jobs/{job}", json={"sex": "F", "anyway": True})  # at the limit of width
    asked = {"before": job, "after": older, "at_most": 0}
    same = client.get("/api/v1/change", params=asked).json()
    fall = client.get("/api/v1/change", params={"before": job, "after": older}).json()
    assert 0.3 < same["probability"] < 0.7
    assert 0 <= fall["probability"] < same["probability"]
    assert (fall["before"], fall["after"], fall["by_date"]) == (older, job, True)  # by date, not as they were named
    assert any("different patients" in warning for warning in fall["warnings"])
    assert any("sexes" in warning for warning in fall["warnings"])
    client.patch(f"/api/v1/jobs/{job}", json={})
    assert client.get("/api/v1/change", params={"before": job, "after": "none"}).status_code == 404


def test_a_file_that_is_no_clip_fails_by_name_of_the_fault(client: TestClient) -> None:
    last = settled(client, sent(client, b"no clip at all", name="../../etc/passwd"))
    assert last["state"] == "failed"
    assert last["result"]["error"]["code"] == "unsupported-format"
    assert last["result"]["error"]["path"] is None
    assert last["status"] == 422
    view = client.get(f"/api/v1/jobs/{last['id']}/view").json()
    assert (view["kind"], view["name"]) == ("failure", "passwd")
    assert client.get(f"/api/v1/jobs/{last['id']}/result.json").status_code == 409


@pytest.mark.parametrize("said", [{"age": 400}, {"sex": "X"}, {"age": "nan"}, {"frame_rate": -1}, {"unknown": 1}])
def test_what_is_out_of_range_is_refused_before_the_clip(client: TestClient, said: dict[str, Any]) -> None:
    response = client.post("/api/v1/clips", params=said, content=b"x")
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid-request")
    assert next(iter(said)) in response.json()["error"]["cause"]
    assert "400" not in response.text  # a value may be a name


def test_uploads_are_gone_once_they_are_read_or_refused(client: TestClient, job: str) -> None:
    desk: Desk = client.app.app.state.desk  # type: ignore[attr-defined]
    assert list(desk.folder.iterdir()) == []


def test_cancelling_forgets(client: TestClient, real_clip: Path) -> None:
    job_id = sent(client, real_clip.read_bytes())
    assert client.delete(f"/api/v1/jobs/{job_id}").status_code == 204
    assert client.get(f"/api/v1/jobs/{job_id}").status_code == 404
    assert client.delete(f"/api/v1/jobs/{job_id}").status_code == 404


def test_a_full_line_says_when_to_come_again(client: TestClient, real_clip: Path) -> None:
    content, ids = real_clip.read_bytes(), []
    for _ in range(20):
        response = client.post("/api/v1/clips", content=content)
        if response.status_code != 202:
            break
        ids.append(response.json()["id"])
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["code"] == "line-is-full"
    assert client.get("/health").json()["waiting"] <= 4
    for job_id in ids:
        client.delete(f"/api/v1/jobs/{job_id}")
    deadline = time.monotonic() + 30
    desk: Desk = client.app.app.state.desk  # type: ignore[attr-defined]
    while desk.waiting and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(desk.folder.iterdir()) == []


@pytest.fixture(scope="module")
def guarded() -> Iterator[TestClient]:
    with TestClient(create_app(token="a-long-secret-token", most_bytes=1000), base_url=BASE) as client:  # type: ignore[arg-type]
        yield client


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (("GET", "/health", {"host": "evil.example"}), 421, "wrong-host"),
        (("GET", "/api/v1/about", {}), 401, "token"),
        (("GET", "/api/v1/about", {"authorization": "Bearer wrong"}), 401, "token"),
        (("POST", "/api/v1/clips", {"origin": "http://evil.example"}), 403, "wrong-origin"),
        (
            ("POST", "/api/v1/clips", {"authorization": "Bearer a-long-secret-token", "content-length": "9999"}),
            413,
            "too-large",
        ),
        (
            ("POST", "/api/v1/clips", {"authorization": "Bearer a-long-secret-token", "content-length": "-1"}),
            413,
            "too-large",
        ),
    ],
)
def test_who_may_not_speak(
    guarded: TestClient, request_: tuple[str, str, dict[str, str]], status: int, code: str
) -> None:
    method, path, headers = request_
    response = guarded.request(method, path, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_who_may(guarded: TestClient) -> None:
    assert guarded.get("/health").status_code == 200
    assert guarded.get("/").status_code == 200
    allowed = guarded.get("/api/v1/about", headers={"authorization": "Bearer a-long-secret-token"})
    assert allowed.status_code == 200
    assert "Research use only" in allowed.json()["notice"]


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(guarded: TestClient) -> None:
    endless = (b"x" * 500 for _ in range(100))
    headers = {"authorization": "Bearer a-long-secret-token"}
    response = guarded.post("/api/v1/clips", content=endless, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too-large")


def test_the_page_asks_nobody_else(client: TestClient) -> None:
    response = client.get("/")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    for path in ("/", "/page/page.js", "/page/player.js", "/page/style.css"):
        text = client.get(path).text.replace("http://www.w3.org/2000/svg", "").replace("http://host:port", "")
        assert "http://" not in text, path
        assert "https://" not in text, path
    assert "Research use only; not for diagnosis" in response.text
    assert client.get("/page/../app.py").status_code == 404


def test_the_interface_is_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/api/v1/clips", "/api/v1/jobs/{job_id}", "/api/v1/change", "/health"} <= paths.keys()


def test_the_ten_lines_of_the_guide_run(real_clip: Path, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
    source = re.search(r"```python\n(import json.*?)```", guide, re.DOTALL)
    assert source is not None
    server = subprocess.Popen(
        [sys.executable, "-m", "mcsdr", "serve", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[3].rstrip("/")
        script = tmp_path / "client.py"
        script.write_text(source[1].replace("http://127.0.0.1:8765", address))
        run = subprocess.run(
            [sys.executable, script, real_clip], capture_output=True, text=True, check=True, timeout=120
        )
        assert run.stdout.startswith(("(", "{'code'"))
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/health", 405)])
def test_every_refusal_has_one_shape(client: TestClient, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"code", "cause", "next_step", "path"}


def test_a_download_is_of_the_revision_that_is_asked_for(client: TestClient, job: str) -> None:
    stands = client.patch(f"/api/v1/jobs/{job}", json={"age": 50}).json()["revision"]
    page = client.get(f"/api/v1/jobs/{job}/view").json()
    assert (page["revision"], page["record"]["attributes"]) == (stands, {"age_years": 50.0})
    same = client.get(f"/api/v1/jobs/{job}/result.csv", params={"revision": stands})
    assert same.headers["mcsdr-revision"] == str(stands)
    other = client.get(f"/api/v1/jobs/{job}/result.csv", params={"revision": stands - 1})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "other-revision")


def test_a_job_to_which_nobody_listens_any_more_is_cancelled(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "UNHEARD_S", 0.01)
    desk: Desk = client.app.app.state.desk  # type: ignore[attr-defined]

    async def listen_and_go(job: Job, comes_back: bool) -> None:
        async with aclosing(app._events(job, desk)) as events:
            await anext(events)
        if comes_back:
            job.asked_s = time.monotonic() + 1
        await asyncio.sleep(0.2)

    for comes_back in (True, False):
        job = Job("listened", "x", desk.folder / "none", {}, desk.model)
        desk._jobs[job.id] = job
        asyncio.run(listen_and_go(job, comes_back))
        assert (desk.find(job.id) is None, job.state) == ((False, "waiting") if comes_back else (True, "cancelled"))
    assert job.listeners == 0


def test_two_services_do_not_share_a_folder_of_reports(tmp_path: Path) -> None:
    service = create_app(reports=tmp_path)
    with (
        locked_folder(tmp_path, "mcsdr node"),
        pytest.raises(OutputInUse, match="mcsdr node"),
        TestClient(service),  # type: ignore[arg-type]
    ):
        pass
