"""`mcsdr node`: a DICOM node that takes clips and files reports."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mcsdr import DEFAULT_MODEL
from mcsdr.cli.extras import need
from mcsdr.cli.listening import bound, explained, make_private
from mcsdr.errors import InvalidConfig

LONGEST_TITLE = 16  # characters


def node(
    folder: Path,
    /,
    *,
    archive: str | None = None,
    stow: str | None = None,
    title: str = "MCSDR",
    host: str = "127.0.0.1",
    port: int = 11112,
    only_from: Annotated[list[str] | None, Parameter(negative="")] = None,
    quiet: float = 5.0,
    model: str = DEFAULT_MODEL,
    prior: str | None = None,
) -> None:
    """Take clips by C-STORE, and send a structured report on each to an archive, again and again until it has it.

    A study counts as complete when nothing of it has come for a few seconds. Each clip that the model answers gets a
    report; where it answers none, one report says why not. What was taken in or made lies in FOLDER until it is sent,
    so that nothing is lost when either side goes down, and a report that is sent twice is the same object.

    Parameters
    ----------
    folder
        Where clips wait and reports lie. It holds patients' data, and is made readable by its owner alone.
    archive
        Where reports go by C-STORE, as TITLE@HOST:PORT.
    stow
        Where reports go by STOW-RS, as http://HOST:PORT/dicom-web. With neither they stay in FOLDER/outbox.
    title
        The node's own application entity title.
    host
        Address to listen on. DICOM neither encrypts nor asks for a password: keep it to a network that does.
    port
        Port to listen on; 0 takes a free one.
    only_from
        Application entity titles that may send, with commas between; may be given several times. Anybody unless given.
    quiet
        Seconds without anything new after which a study is complete.
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    prior
        Tell the belief for another population than the model has learnt from: flat, echonet-dynamic, camus,
        heart-failure, or a table with a column ef of your own laboratory's readings in per cent.
    """
    need("dicom")
    from mcsdr.prediction.priors import prior_for, prior_of
    from mcsdr.serve.archive import archive_of

    where = archive_of(archive, stow, title)
    _titles(only_from)
    stated = prior_of(prior)
    bound(host, port).close()  # what is not to be had is said before the seconds that a model takes
    make_private(folder)
    from mcsdr.files import locked_folder
    from mcsdr.io.sandbox import Reader
    from mcsdr.model import load
    from mcsdr.serve.mailroom import Mailroom
    from mcsdr.serve.node import Node, keep_incoming_in
    from mcsdr.serve.postman import Postman

    with locked_folder(folder, "mcsdr node"):
        ended = threading.Event()
        for sign in (signal.SIGINT, signal.SIGTERM):  # before anybody is told that it listens
            signal.signal(sign, lambda *_: ended.set())
        estimator, reader = load(model), Reader()
        stated = prior_for(estimator, stated)
        mailroom = Mailroom(
            folder, estimator, reader, quiet_s=quiet, say=lambda line: print(line, flush=True), prior=stated
        )
        keep_incoming_in(mailroom)
        with explained(host, port):
            entity = Node(mailroom, title=title, host=host, port=port, callers=_titles(only_from))
        postman = Postman(mailroom, where)
        postman.start()
        print(f"{title} listens on {host}:{entity.port} (Ctrl-C ends it)", flush=True)
        print(estimator.card.notice, flush=True)
        ended.wait()
        entity.close()
        postman.close()
        reader.close()


def _titles(written: list[str] | None) -> list[str] | None:
    """Application entity titles, several of them with commas between; None where none is named.

    Raises:
        InvalidConfig: one of them is none.
    """
    titles = [title.strip() for some in written or [] for title in some.split(",")]
    for title in titles:
        if not 0 < len(title) <= LONGEST_TITLE or not title.isascii() or "\\" in title:
            raise InvalidConfig(
                f"{title!r} is no application entity title.", next_step="Give 1 to 16 plain characters."
            )
    return titles or None
