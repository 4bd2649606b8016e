"""`mcsdr serve`: a page to drop clips on, and the same by HTTP, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mcsdr import DEFAULT_MODEL, DISCLAIMER
from mcsdr.cli.extras import need
from mcsdr.cli.listening import bound, make_private
from mcsdr.errors import InvalidConfig, MissingFile


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    name: Annotated[list[str] | None, Parameter(negative="")] = None,
    token_file: Path | None = None,
    model: str = DEFAULT_MODEL,
    line: int = 16,
    reports: Path | None = None,
    archive: str | None = None,
    stow: str | None = None,
    prior: str | None = None,
) -> None:
    """Serve a page on which clips are dropped and posteriors read, and the same by HTTP; nothing leaves the machine.

    Parameters
    ----------
    host
        Address to listen on. Any but this machine's own needs a token, and a proxy that encrypts before it.
    port
        Port to listen on; 0 takes a free one.
    name
        Name by which people reach the service, as their browser shows it, such as echo.example.org; may be given
        several times. A proxy needs one, and so does an address that stands for all of this machine's.
    token_file
        A file that holds the token which every request must carry; open the page as http://HOST:PORT/#token=TOKEN.
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    line
        How many clips may wait; who comes later is asked to come again.
    reports
        Take DICOM clips in by STOW-RS too (POST /dicom-web/studies), and keep them and their reports in this folder,
        which is made readable by its owner alone, until they are sent.
    archive
        Where those reports go by C-STORE, as TITLE@HOST:PORT.
    stow
        Where they go by STOW-RS, as http://HOST:PORT/dicom-web. With neither they stay in REPORTS/outbox.
    prior
        Tell the belief for another population than the model has learnt from: flat, echonet-dynamic, camus,
        heart-failure, or a table with a column ef of your own laboratory's readings in per cent.
    """
    need("serve")
    if archive or stow:
        need("dicom")
    from mcsdr.files.memory import share_pools
    from mcsdr.serve.archive import archive_of
    from mcsdr.serve.guard import LOOPBACK

    token = None if token_file is None else _token(token_file)
    if host not in (*LOOPBACK, "::1") and token is None:
        raise InvalidConfig(
            f"others could reach the service at {host}, and anybody could use it.",
            next_step="Give --token-file with a secret in it, or leave --host at 127.0.0.1.",
        )
    names = _names(name or [])
    if host in ("0.0.0.0", "::") and not names:
        raise InvalidConfig(
            f"{host} stands for every address of this machine, and is no name that a browser asks for.",
            next_step="Say by what name people reach it: --name echo.example.org.",
        )
    where = archive_of(archive, stow, "MCSDR")
    if where is not None and reports is None:
        raise InvalidConfig("reports need a folder to wait in.", next_step="Give --reports FOLDER too.")
    with bound(host, port) as socket:
        if reports is not None:
            make_private(reports)
        share_pools()
        import uvicorn  # only now what takes seconds

        from mcsdr.serve.app import create_app
        from mcsdr.serve.protocol import Bounded

        shown = f"[{host}]" if ":" in host else host
        known = (*names, shown)
        app = create_app(model, token=token, names=known, line=line, reports=reports, archive=where, prior=prior)
        config = uvicorn.Config(
            app, http=Bounded, ws="none", access_log=False, log_level="error", server_header=False,
            timeout_graceful_shutdown=10,
        )  # fmt: skip
        socket.listen()  # whoever comes while the service starts waits, and a second service is told
        print(f"mcsdr listens on http://{shown}:{socket.getsockname()[1]}/ (Ctrl-C ends it)", flush=True)
        print(DISCLAIMER, flush=True)
        uvicorn.Server(config).run(sockets=[socket])


def _names(names: list[str]) -> tuple[str, ...]:
    from mcsdr.serve.guard import HOST

    for name in names:
        if HOST.fullmatch(name.lower()) is None:
            raise InvalidConfig(f"{name!r} is no name of a host.", next_step="Give it as --name echo.example.org.")
    return tuple(names)


def _token(path: Path) -> str:
    if not path.is_file():
        raise MissingFile("there is no such file", path=path)
    token = path.read_text().strip()
    if len(token) < 16:
        raise InvalidConfig(
            "the token is shorter than 16 characters.",
            path=path,
            next_step="Write a long random one: python -c 'import secrets; print(secrets.token_urlsafe())'.",
        )
    return token
