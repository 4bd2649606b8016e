"""The HTTP service: a clip in, a job; from the job progress, the answer, and every form of it.

POST   /api/v1/clips?name=&age=&sex=…    the clip as the body or a form   202 {"id", "state", …}
GET    /api/v1/jobs/ID                   where it stands, and the answer   200
GET    /api/v1/jobs/ID/events            the same as it changes            text/event-stream
PATCH  /api/v1/jobs/ID                   other attributes or threshold     200, nothing is encoded again
DELETE /api/v1/jobs/ID                   cancel and forget                 204
GET    /api/v1/jobs/ID/{result.json, report.html, …}                       downloads
GET    /api/v1/change?before=&after=     P(ΔEF ≤ −10) of two exams
GET    /health                           alive?

>>> from mcsdr.serve import create_app
>>> app = create_app()                      # an ASGI application of your own server
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

import mcsdr
from mcsdr.errors import InputError, InvalidAttributes, McsdrError
from mcsdr.model import Model, load
from mcsdr.serve import downloads
from mcsdr.serve.archive import Archive
from mcsdr.serve.comparison import NoComparison, compare
from mcsdr.serve.desk import DONE, FINISHED, Desk, Job, LineIsFull
from mcsdr.serve.guard import LOOPBACK, Guard
from mcsdr.serve.mailroom import Mailroom
from mcsdr.serve.postman import Postman
from mcsdr.serve.stow import store
from mcsdr.serve.views import Sheet, sheet, view
from mcsdr.study import Attributes, sex_letter

PAGE = Path(__file__).parent / "page"
MOST_BYTES = 512 * 2**20  # of a clip
LOOK_S = 0.1  # between two looks at a job whose progress is told
LONGEST_NAME = 200
FALL = -10.0  # EF points


def _letter(sex: str | None) -> str | None:
    try:
        return sex_letter(sex)
    except InvalidAttributes as error:
        raise ValueError(error.cause) from None


class Known(BaseModel):
    """What is known of the patient, and what the answer is held against; absent is unknown."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    age: float | None = Field(None, description="years", ge=0, le=120)
    sex: Annotated[str | None, AfterValidator(_letter)] = Field(None, description="F or M, in any usual spelling")
    weight: float | None = Field(None, description="kg", ge=0.3, le=400)
    height: float | None = Field(None, description="cm", ge=20, le=250)
    threshold: float | None = Field(
        None, description="EF in %: abstain where it is open on which side EF lies", gt=0, lt=100
    )
    anyway: bool = Field(False, description="show the posterior also where the model abstains, marked")


class Upload(Known):
    """What goes with a clip that is sent."""

    name: str = Field("clip", max_length=LONGEST_NAME, description="what to call it in the answer")
    frame_rate: float | None = Field(None, description="Hz, for files that do not say it", gt=0)


def create_app(
    model: Model | str = mcsdr.DEFAULT_MODEL,
    *,
    token: str | None = None,
    hosts: tuple[str, ...] = LOOPBACK,
    line: int = 16,
    most_bytes: int = MOST_BYTES,
    reports: Path | None = None,
    archive: Archive | None = None,
) -> Guard:
    """The service as an ASGI application.

    Arguments:
        model: what answers, or its name.
        token: that every request must carry, for a service that others can reach.
        hosts: names that the service goes by.
        line: how many clips may wait.
        most_bytes: of a clip.
        reports: folder of what comes by STOW-RS and goes to an archive (`mcsdr.serve.mailroom`); None takes nothing in.
        archive: where reports go; None leaves them in the folder.
    """
    estimator = model if isinstance(model, Model) else load(model)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        desk = app.state.desk = await asyncio.to_thread(Desk, estimator, line=line)
        postman = None
        if reports is not None:
            app.state.mailroom = Mailroom(reports, estimator, desk.reader, say=lambda line: None)
            postman = Postman(app.state.mailroom, archive)
            postman.start()
        yield
        if postman is not None:
            await asyncio.to_thread(postman.close)
        await asyncio.to_thread(desk.close)

    app = FastAPI(
        title="mcsdr",
        version=mcsdr.__version__,
        description=f"The posterior of ejection fraction from an echocardiogram. {estimator.card.notice}",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from another host; /openapi.json is there
        redoc_url=None,
    )
    app.state.model, app.state.most_bytes = estimator, most_bytes
    _add_errors(app)
    _add_clips(app)
    _add_jobs(app)
    _add_files(app)
    if reports is not None:
        _add_stow(app)
    app.mount("/page", StaticFiles(directory=PAGE))
    return Guard(app, hosts=hosts, token=token, most_bytes=most_bytes)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _job(job_id: str, request: Request) -> Job:
    job = _desk(request).find(job_id)
    if job is None:
        cause = "There is no such job; answers are forgotten when newer ones need their room."
        raise HTTPException(404, {"code": "no-such-job", "cause": cause, "next_step": "Send the clip again."})
    return job


def _answered(job_id: str, request: Request) -> Job:
    job = _job(job_id, request)
    if job.result is None or job.state != DONE:
        cause = f"This job is {job.state}; there is no answer to give."
        raise HTTPException(409, {"code": "no-answer", "cause": cause, "next_step": "Wait for it, or see its error."})
    return job


DeskOf = Annotated[Desk, Depends(_desk)]
JobOf = Annotated[Job, Depends(_job)]
Answered = Annotated[Job, Depends(_answered)]


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)

    @app.exception_handler(McsdrError)
    async def ours(request: Request, error: McsdrError) -> JSONResponse:
        return JSONResponse({"error": {**error.record(), "path": None}}, 422 if isinstance(error, InputError) else 400)


def _add_clips(app: FastAPI) -> None:
    @app.get("/health")
    async def health(request: Request) -> dict[str, Any]:
        """Whether the service lives, what answers, and how many clips wait."""
        card = app.state.model.card
        return {"status": "ok", "version": mcsdr.__version__, "model": card.name, "waiting": _desk(request).waiting}

    @app.get("/api/v1/about")
    async def about(request: Request) -> dict[str, Any]:
        """The model, its notice, and what may be sent."""
        model: Model = app.state.model
        return {
            "version": mcsdr.__version__,
            "model": model.card.name,
            "model_sha256": model.sha256,
            "notice": model.card.notice,
            "most_bytes": app.state.most_bytes,
            "adults_only": model.card.adults_only,
        }

    @app.post("/api/v1/clips", status_code=202)
    async def clips(request: Request, desk: DeskOf, said: Annotated[Upload, Query()]) -> dict[str, Any]:
        """Put a clip, which is the request's body or the one file of a form in it, into the line."""
        with _told_when_full():
            upload = desk.place()
            sent_as = await _receive(request, upload)
            name = said.name if "name" in said.model_fields_set else sent_as or said.name
            given = said.model_dump(include={"age", "sex", "weight", "height"}) | {"frame_rate_hz": said.frame_rate}
            job = desk.submit(upload, name, given, threshold=said.threshold, anyway=said.anyway)
        return _standing(job)


async def _receive(request: Request, upload: Path) -> str:
    """Write the clip beside nothing else, and return the name that a form gives it; what breaks off leaves no file."""
    try:
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return await _receive_form(request, upload)
        with upload.open("wb") as file:
            async for chunk in request.stream():
                await asyncio.to_thread(file.write, chunk)
        return ""
    except ClientDisconnect:
        upload.unlink(missing_ok=True)
        cause = "The upload broke off, or was larger than a clip may be."
        raise HTTPException(413, {"code": "too-large", "cause": cause, "next_step": "Send a smaller clip."}) from None
    except BaseException:
        upload.unlink(missing_ok=True)
        raise


async def _receive_form(request: Request, upload: Path) -> str:
    """Write the one file of a form (`curl -F file=@clip.dcm`), and return its name.

    Raises:
        HTTPException: it holds no file, several, or anything else, which would be lost without a word.
    """
    async with request.form(max_files=2, max_fields=20) as form:
        parts = form.multi_items()
        if len(parts) != 1 or not isinstance(parts[0][1], UploadFile):
            cause = "A form must hold one file and nothing else."
            step = (
                "Send curl -F file=@clip.dcm 'ADDRESS?age=63', what is known in the address; or the clip as the body."
            )
            raise HTTPException(422, {"code": "not-one-file", "cause": cause, "next_step": step})
        sent = parts[0][1]
        with upload.open("wb") as file:
            await asyncio.to_thread(shutil.copyfileobj, sent.file, file, 1 << 20)
        return (sent.filename or "")[-LONGEST_NAME:]


@contextmanager
def _told_when_full() -> Iterator[None]:
    try:
        yield
    except LineIsFull as full:
        wait = str(full.retry_s)
        detail = {"code": "line-is-full", "cause": "Too many clips wait.", "next_step": f"Try again in {wait} s."}
        raise HTTPException(429, detail, headers={"retry-after": wait}) from None


def _standing(job: Job) -> dict[str, Any]:
    """Where a job stands, and its answer once it has one."""
    said: dict[str, Any] = {"id": job.id, "state": job.state}
    if job.record is not None and job.state in FINISHED:
        said["result"] = job.record
    return said


def _add_jobs(app: FastAPI) -> None:
    @app.get("/api/v1/jobs/{job_id}")
    async def job(job: JobOf) -> dict[str, Any]:
        """Where a job stands; with its result once it is done or has failed."""
        return _standing(job)

    @app.get("/api/v1/jobs/{job_id}/events")
    async def events(job: JobOf) -> StreamingResponse:
        """The job's state as it changes, as server-sent events; the last one carries the result."""
        return StreamingResponse(_events(job), media_type="text/event-stream")

    @app.patch("/api/v1/jobs/{job_id}")
    async def revise(job: Answered, desk: DeskOf, known: Known) -> dict[str, Any]:
        """Answer again with other attributes, another threshold or insistence; nothing is encoded again."""
        attributes = Attributes.of(known.age, known.sex, known.weight, known.height)
        await asyncio.to_thread(desk.revise, job, attributes, known.threshold, known.anyway)
        return _standing(job)

    @app.delete("/api/v1/jobs/{job_id}", status_code=204)
    async def cancel(job: JobOf, desk: DeskOf) -> None:
        """Stop a job, and forget it and its answer."""
        await asyncio.to_thread(desk.cancel, job.id)

    @app.get("/api/v1/change")
    async def change(
        request: Request, before: str, after: str, at_most: Annotated[float, Query(ge=-100, le=100)] = FALL
    ) -> dict[str, Any]:
        """P(EF after − EF before ≤ at_most) of two answered jobs of one patient, in the order of their dates."""
        one, other = _answered(before, request), _answered(after, request)
        try:
            found = await asyncio.to_thread(compare, one, other, at_most)
        except NoComparison as error:
            raise HTTPException(409, {**error.record(), "path": None}) from None
        return {
            "at_most": at_most,
            "probability": round(found.probability, 4),
            "before": found.before.id,
            "after": found.after.id,
            "by_date": found.by_date,
            "warnings": list(found.warnings),
            "notice": app.state.model.card.notice,
        }


async def _events(job: Job) -> AsyncIterator[str]:
    last = None
    while last not in FINISHED:
        state = job.state
        if state != last:
            yield f"event: state\ndata: {json.dumps(_standing(job))}\n\n"
            last = state
        if state not in FINISHED:
            await asyncio.sleep(LOOK_S)


def _add_files(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response((PAGE / "index.html").read_bytes(), media_type="text/html")

    @app.get("/api/v1/jobs/{job_id}/view")
    async def shown(job_id: str, request: Request) -> dict[str, Any]:
        """What the page draws: the result with its words and drawings."""
        job = _job(job_id, request)
        if job.result is None:
            raise HTTPException(409, {"code": "no-answer", "cause": f"This job is {job.state}.", "next_step": "Wait."})
        return await asyncio.to_thread(view, job.result, job.marks)

    @app.get("/api/v1/jobs/{job_id}/sheet")
    async def sheet_about(job: Answered) -> dict[str, Any]:
        """How the frames lie on the sheet, and which show end-diastole and end-systole."""
        found = await _sheet(job)
        return found.about

    @app.get("/api/v1/jobs/{job_id}/sheet.jpg")
    async def sheet_picture(job: Answered) -> Response:
        """The clip's sector, all frames on one picture."""
        return Response((await _sheet(job)).jpeg, media_type="image/jpeg")

    @app.get("/api/v1/jobs/{job_id}/{name}")
    async def download(job: Answered, name: str) -> Response:
        """result.json, result.csv, report.html, report.pdf, report.dcm (structured report), observation.json (FHIR)."""
        make = downloads.BY_NAME.get(name)
        if make is None or job.result is None:
            detail = {"code": "no-such-file", "cause": f"It is none of {', '.join(downloads.BY_NAME)}."}
            raise HTTPException(404, {**detail, "next_step": "Ask for one of them."})
        content = await asyncio.to_thread(make.content, job)
        disposition = f'attachment; filename="ejection-fraction-{job.id}.{name.partition(".")[2]}"'
        return Response(content, media_type=make.media_type, headers={"content-disposition": disposition})


def _add_stow(app: FastAPI) -> None:
    @app.post("/dicom-web/studies")
    async def stow(request: Request) -> JSONResponse:
        """Take DICOM instances in (STOW-RS); a report on each clip that can be answered goes to the archive."""
        body, kind = await request.body(), request.headers.get("content-type", "")
        status, said = await asyncio.to_thread(store, app.state.mailroom, body, kind)
        return JSONResponse(said, status, media_type="application/dicom+json")


async def _sheet(job: Job) -> Sheet:
    assert job.encoded is not None
    found = await asyncio.to_thread(sheet, job.encoded.study, job.marks)
    if found is None:
        raise HTTPException(404, {"code": "no-clip", "cause": "There is no clip.", "next_step": "Send one."})
    return found
