"""Every refusal over HTTP has one shape: {"error": {"code", "cause", "next_step", "path"}}.

    400 a result and a request that do not fit      401 no token             403 a foreign page
    404 no such job, file or page                   405 not by this method   408 too slow
    409 no answer yet, or another revision          413 too large            421 another name
    422 what was sent cannot be used                429 the line is full     500 a fault of ours

No value that was sent stands in one: it may be a name.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from mcsdr.errors import InputError, McsdrError, UnwritableFile

WORDS = {
    404: ("no-such-page", "There is no such page.", "See /openapi.json for what there is."),
    405: ("wrong-method", "This page is not asked in that way.", "See /openapi.json for what there is."),
}


def refusal(status: int, code: str, cause: str, next_step: str, headers: dict[str, str] | None = None) -> HTTPException:
    """What to raise."""
    return HTTPException(status, body(code, cause, next_step), headers=headers)


def body(code: str, cause: str, next_step: str) -> dict[str, Any]:
    """An error as plain data, as `McsdrError.record` gives it."""
    return {"code": code, "cause": cause, "next_step": next_step, "path": None}


def status_of(error: McsdrError) -> int:
    """The status that tells an error: 422 of what cannot be used, 507 of no room, 500 of a fault of ours."""
    if isinstance(error, UnwritableFile):
        return 507
    return 500 if type(error) is McsdrError else 422


def add_handlers(app: FastAPI) -> None:
    """Give every refusal of an application its shape."""

    @app.exception_handler(AnyHTTPException)
    async def http(request: Request, error: AnyHTTPException) -> JSONResponse:
        said: Any = error.detail
        if not isinstance(said, dict):
            said = body(*WORDS.get(error.status_code, ("refused", "The request was refused.", "Send it otherwise.")))
        return JSONResponse({"error": said}, error.status_code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [f"{'.'.join(map(str, one['loc'][1:])) or one['loc'][0]}: {one['msg']}" for one in error.errors()]
        said = body("invalid-request", "; ".join(faults)[:500], "Correct it; /openapi.json says what may be sent.")
        return JSONResponse({"error": said}, 422)

    @app.exception_handler(McsdrError)
    async def ours(request: Request, error: McsdrError) -> JSONResponse:
        status = status_of(error) if isinstance(error, InputError | UnwritableFile) else 400
        return JSONResponse({"error": {**error.record(), "path": None}}, status)
