"""The HTTP service: a clip in, a job; from the job progress, the answer, and every form of it.

POST   /api/v1/clips?name=&age=&sex=…    the clip as the body or a form   202 {"id", "state", …}
GET    /api/v1/jobs/ID                   where it stands, and the answer   200
GET    /api/v1/jobs/ID/events            the same as it changes            text/event-stream
PATCH  /api/v1/jobs/ID                   other attributes or threshold     200, the next revision; nothing is encoded
DELETE /api/v1/jobs/ID                   cancel and forget                 204
GET    /api/v1/jobs/ID/{result.json, report.html, …}?revision=             downloads, all of one revision
GET    /api/v1/change?before=&after=     P(ΔEF ≤ −10) of two exams
GET    /health                           alive?

>>> from mcsdr.serve import create_app
>>> app = create_app()                      # an ASGI application of your own server
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

import mcsdr
from mcsdr.errors import InvalidAttributes
from mcsdr.files import locked_folder
from mcsdr.model import Model, load
from mcsdr.posterior import Population
from mcsdr.prediction import Failure
from mcsdr.prediction.priors import prior_for
from mcsdr.serve import downloads
from mcsdr.serve.archive import Archive
from mcsdr.serve.comparison import NoComparison, compare
from mcsdr.serve.desk import DONE, FAILED, FINISHED, Desk, Job
from mcsdr.serve.guard import Guard
from mcsdr.serve.keeping import Kept, Revision
from mcsdr.serve.mailroom import Mailroom
from mcsdr.serve.pictures import Sheet
from mcsdr.serve.postman import Postman
from mcsdr.serve.receiving import LONGEST_NAME, boundary_of, header_of, out_of_form, received
from mcsdr.serve.refusals import add_handlers, refusal, status_of
from mcsdr.serve.silence import keep_silent
from mcsdr.serve.stow import store
from mcsdr.serve.views import view
from mcsdr.study import Attributes, sex_letter

PAGE = Path(__file__).parent / "page"
MOST_BYTES = 512 * 2**20  # of a clip
LOOK_S = 0.1  # between two looks at a job whose progress is told
BREATH_S = 15.0  # between two signs of life to who listens, so that proxies keep the line open
UNHEARD_S = 10.0  # after its last listener has gone and nobody asked again, a job is cancelled
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

    name: str | None = Field(
        None,
        max_length=LONGEST_NAME,
        description="what to call it in the answer; else its file's name in a form, or clip",
    )
    frame_rate: float | None = Field(None, description="Hz, for files that do not say it", gt=0)


def create_app(
    model: Model | str = mcsdr.DEFAULT_MODEL,
    *,
    token: str | None = None,
    names: tuple[str, ...] = (),
    line: int = 16,
    most_bytes: int = MOST_BYTES,
    reports: Path | None = None,
    archive: Archive | None = None,
    prior: Population | str | Path | None = None,
) -> Guard:
    """The service as an ASGI application.

    Arguments:
        model: what answers, or its name.
        token: that every request must carry, for a service that others can reach.
        names: that the service goes by, besides those of this machine's own loopback: what a browser shows, with the
            port where one should be insisted on.
        line: how many clips may wait.
        most_bytes: of a clip.
        reports: folder of what comes by STOW-RS and goes to an archive (`mcsdr.serve.mailroom`); None takes nothing in.
        archive: where reports go; None leaves them in the folder.
        prior: the population that every clip comes from (`mcsdr.prediction.priors`).

    Raises:
        InvalidConfig, InvalidModel: there is no such population, or that which the model learnt from is not known.
    """
    keep_silent()
    estimator = model if isinstance(model, Model) else load(model)
    stated = prior_for(estimator, prior)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as ending:
            if reports is not None:
                ending.enter_context(locked_folder(reports, "mcsdr serve"))
            desk = app.state.desk = await asyncio.to_thread(Desk, estimator, line=line, prior=stated)
            ending.callback(desk.close)
            if reports is not None:
                app.state.mailroom = Mailroom(reports, estimator, desk.reader, say=lambda line: None, prior=stated)
                postman = Postman(app.state.mailroom, archive)
                postman.start()
                ending.callback(postman.close)
            yield
            await asyncio.to_thread(ending.close)

    app = FastAPI(
        title="mcsdr",
        version=mcsdr.__version__,
        description=f"The posterior of ejection fraction from an echocardiogram. {estimator.card.notice}",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from another host; /openapi.json is there
        redoc_url=None,
    )
    app.state.model, app.state.most_bytes = estimator, most_bytes
    add_handlers(app)
    _add_clips(app)
    _add_jobs(app)
    _add_files(app)
    if reports is not None:
        _add_stow(app)
    app.mount("/page", StaticFiles(directory=PAGE))
    return Guard(app, names=names, token=token, most_bytes=most_bytes)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _job(job_id: str, request: Request) -> Job:
    job = _desk(request).find(job_id)
    if job is None:
        cause = "There is no such job; answers are forgotten when newer ones need their room."
        raise refusal(404, "no-such-job", cause, "Send the clip again.")
    job.asked_s = time.monotonic()
    return job


def _answered(job_id: str, request: Request) -> Job:
    job = _job(job_id, request)
    if job.state != DONE:
        cause = f"This job is {job.state}; there is no answer to give."
        raise refusal(409, "no-answer", cause, "Wait for it, or see its error.")
    return job


def _told(
    job: Annotated[Job, Depends(_answered)],
    revision: Annotated[int | None, Query(ge=1, description="refuse any other")] = None,
) -> tuple[Job, Kept]:
    """A job and its answer as it stands; who names a revision is given no other."""
    kept = job.kept
    assert kept is not None
    stands = kept.revision
    if revision not in (None, stands.number):
        cause = f"The answer was changed: revision {stands.number} stands."
        raise refusal(409, "other-revision", cause, "Ask for the revision that stands, or for none.")
    return job, kept


DeskOf = Annotated[Desk, Depends(_desk)]
JobOf = Annotated[Job, Depends(_job)]
Answered = Annotated[Job, Depends(_answered)]
Told = Annotated[tuple[Job, Kept], Depends(_told)]


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
        async with received(request, desk) as upload:
            sent_as = await out_of_form(request, desk, upload)
            name = sent_as or "clip" if said.name is None else said.name
            given = said.model_dump(include={"age", "sex", "weight", "height"}) | {"frame_rate_hz": said.frame_rate}
            job = desk.submit(upload, name, given, threshold=said.threshold, anyway=said.anyway)
        return _standing(job, job.revision)


def _standing(job: Job, revision: Revision | None) -> dict[str, Any]:
    """Where a job stands, and its answer once it has one; of a failed one the status that tells why."""
    said: dict[str, Any] = {"id": job.id, "state": job.state}
    if revision is not None and job.state in FINISHED:
        said |= {"revision": revision.number, "result": revision.record}
        if job.state == FAILED and isinstance(revision.result, Failure):
            said["status"] = status_of(revision.result.error)
    return said


def _add_jobs(app: FastAPI) -> None:
    @app.get("/api/v1/jobs/{job_id}")
    async def job(job: JobOf) -> dict[str, Any]:
        """Where a job stands; with its result once it is done or has failed."""
        return _standing(job, job.revision)

    @app.get("/api/v1/jobs/{job_id}/events")
    async def events(job: JobOf, desk: DeskOf) -> StreamingResponse:
        """The job's state as it changes, as server-sent events; the last one carries the result.

        When the last who listens has gone and does not come back, the job is cancelled.
        """
        return StreamingResponse(_events(job, desk), media_type="text/event-stream")

    @app.patch("/api/v1/jobs/{job_id}")
    async def revise(job: Answered, desk: DeskOf, known: Known) -> dict[str, Any]:
        """Answer again with other attributes, another threshold or insistence; nothing is encoded again."""
        attributes = Attributes.of(known.age, known.sex, known.weight, known.height)
        return _standing(job, await asyncio.to_thread(desk.revise, job, attributes, known.threshold, known.anyway))

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
            raise refusal(409, error.code, error.cause, error.next_step) from None
        return {
            "at_most": at_most,
            "probability": round(found.probability, 4),
            "before": found.before.id,
            "after": found.after.id,
            "by_date": found.by_date,
            "warnings": list(found.warnings),
            "notice": app.state.model.card.notice,
        }


async def _events(job: Job, desk: Desk) -> AsyncIterator[str]:
    last, breath_s = None, time.monotonic()
    job.listeners += 1
    try:
        while last not in FINISHED:
            state = job.state
            if state != last:
                yield f"event: state\ndata: {json.dumps(_standing(job, job.revision))}\n\n"
                last = state
            elif time.monotonic() - breath_s > BREATH_S:
                breath_s = time.monotonic()
                yield ": waiting\n\n"
            if state not in FINISHED:
                await asyncio.sleep(LOOK_S)
    finally:
        job.listeners -= 1
        if job.state not in FINISHED and not job.listeners:
            asyncio.get_running_loop().call_later(UNHEARD_S, _cancel_unheard, job, desk, time.monotonic())


def _cancel_unheard(job: Job, desk: Desk, since_s: float) -> None:
    """Cancel a job to which nobody listens and for which nobody has asked since its last listener went."""
    if not job.listeners and job.asked_s <= since_s and job.state not in FINISHED:
        asyncio.get_running_loop().run_in_executor(None, desk.cancel, job.id)


def _add_files(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response((PAGE / "index.html").read_bytes(), media_type="text/html")

    @app.get("/api/v1/jobs/{job_id}/view")
    async def shown(job_id: str, request: Request) -> dict[str, Any]:
        """What the page draws: the result with its words and drawings."""
        job = _job(job_id, request)
        kept = job.kept
        if kept is None:
            raise refusal(409, "no-answer", f"This job is {job.state}.", "Wait.")
        return {"revision": kept.revision.number, **await asyncio.to_thread(view, kept.revision.result, kept.marks)}

    @app.get("/api/v1/jobs/{job_id}/sheet")
    async def sheet_about(job: Answered) -> dict[str, Any]:
        """How the frames lie on the sheet, and which show end-diastole and end-systole."""
        return _sheet(job).about

    @app.get("/api/v1/jobs/{job_id}/sheet.jpg")
    async def sheet_picture(job: Answered) -> Response:
        """The clip's sector, all frames on one picture."""
        return Response(_sheet(job).jpeg, media_type="image/jpeg")

    @app.get("/api/v1/jobs/{job_id}/{name}")
    async def download(told: Told, name: str) -> Response:
        """result.json, result.csv, report.html, report.pdf, report.dcm (structured report), observation.json (FHIR).

        The header Mcsdr-Revision says of which revision; all of one number say the same.
        """
        job, kept = told
        stands = kept.revision
        make = downloads.BY_NAME.get(name)
        if make is None:
            raise refusal(404, "no-such-file", f"It is none of {', '.join(downloads.BY_NAME)}.", "Ask for one of them.")
        content = await asyncio.to_thread(make.content, stands, kept.header)
        called = f"ejection-fraction-{job.id}-{stands.number}.{name.partition('.')[2]}"
        headers = {"content-disposition": f'attachment; filename="{called}"', "mcsdr-revision": str(stands.number)}
        return Response(content, media_type=make.media_type, headers=headers)


def _add_stow(app: FastAPI) -> None:
    @app.post("/dicom-web/studies")
    async def stow(request: Request, desk: DeskOf) -> JSONResponse:
        """Take DICOM instances in (STOW-RS); a report on each clip that can be answered goes to the archive."""
        kind = header_of(request)
        if kind.get_content_type() != "multipart/related":
            step = 'Send multipart/related; type="application/dicom".'
            raise refusal(422, "unsupported-format", "The body is not multipart/related.", step)
        boundary = boundary_of(kind)
        async with received(request, desk) as body:
            try:
                status, said = await asyncio.to_thread(store, app.state.mailroom, body, boundary)
            finally:
                desk.give_up(body)
        return JSONResponse(said, status, media_type="application/dicom+json")


def _sheet(job: Job) -> Sheet:
    kept = job.kept
    if kept is None or kept.sheet is None:
        raise refusal(404, "no-clip", "There is no clip.", "Send one.")
    return kept.sheet
