"""The command line: one small file per command, each importing what it needs only when it runs."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import Any

from cyclopts import App, Group

import mcsdr
from mcsdr.cli.adapt import adapt
from mcsdr.cli.batch import batch
from mcsdr.cli.benchmark import benchmark
from mcsdr.cli.calibrate import calibrate
from mcsdr.cli.check import check
from mcsdr.cli.deidentify import deidentify
from mcsdr.cli.evaluate import evaluate
from mcsdr.cli.features import features
from mcsdr.cli.fhir import fhir
from mcsdr.cli.gate import gate
from mcsdr.cli.import_official import import_official
from mcsdr.cli.info import info
from mcsdr.cli.node import node
from mcsdr.cli.outline import outline
from mcsdr.cli.predict import predict
from mcsdr.cli.reproduce import reproduce
from mcsdr.cli.serve import serve
from mcsdr.cli.simulate import simulate
from mcsdr.cli.sr import sr
from mcsdr.cli.train import train
from mcsdr.errors import EXTRAS, McsdrError, MissingExtra, UnwritableFile

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)

# Every command with an example, by what it is for, in the order of `mcsdr --help`.
COMMANDS: dict[str, list[tuple[Callable[..., None] | App, str]]] = {
    "Read": [
        (predict, "mcsdr predict clip.dcm --age 63 --sex F --report clip.html"),
        (batch, "mcsdr batch exams/ answers.csv --workers 2"),
        (info, "mcsdr info --list"),
    ],
    "Serve and exchange": [
        (serve, "mcsdr serve --port 8765"),
        (node, "mcsdr node /var/lib/mcsdr --archive ARCHIVE@pacs.local:104"),
        (sr, "mcsdr sr answers.json clip.dcm report.dcm"),
        (fhir, "mcsdr fhir answers.json clip.dcm --subject Patient/17"),
        (deidentify, "mcsdr deidentify exams/ copies/"),
    ],
    "Data": [
        (check, "mcsdr check /data/EchoNet-Dynamic --out out/check"),
        (simulate, "mcsdr simulate out/phantoms --layout camus --n 20"),
        (features, "mcsdr features /data/EchoNet-Dynamic --out features.csv"),
    ],
    "Research": [
        (train, "mcsdr train phantom --optim.epochs 4 --out runs/phantom"),
        (evaluate, "mcsdr evaluate phantom-a4c phantom:200:9 --out out/evaluation"),
        (calibrate, "mcsdr calibrate runs/phantom/model /data/own --split val"),
        (adapt, "mcsdr adapt phantom-a4c /data/own --split val --out adapted"),
        (gate, "mcsdr gate runs/phantom/model phantom:600:12 phantom:800:13 --out gated"),
        (outline, "mcsdr outline gated phantom:400:14 phantom:100:10 --out outlined"),
        (reproduce, "mcsdr reproduce camus --root /data/CAMUS --reduced"),
        (benchmark, "mcsdr benchmark posterior --part exactness --quick"),
        (import_official, "mcsdr import-official best.pth --dataset camus --out model"),
    ],
}


def _app() -> App:
    whole = App(
        name="mcsdr",
        help=f"The whole posterior of left-ventricular ejection fraction from an echocardiogram.\n\n{mcsdr.DISCLAIMER}",
        help_epilogue="Every command explains itself: `mcsdr predict --help`",
        version=lambda: mcsdr.__version__,
    )
    place = 0
    for title, commands in COMMANDS.items():
        group = Group.create_ordered(title)
        for command, example in commands:
            place += 1
            given: dict[str, Any] = {"group": group, "sort_key": place, "help_epilogue": f"Example: `{example}`"}
            if isinstance(command, App):
                command.group, command.sort_key, command.help_epilogue = given.values()
                whole.command(command)
            else:
                whole.command(command, **given)
    about = Group.create_ordered("About mcsdr")
    for flag in (*whole.help_flags, *whole.version_flags):
        whole[flag].group = about
    return whole


app = _app()


def main() -> None:
    """Entry point: typed errors become one paragraph on standard error and exit status 2."""
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # what does not fit shows here, and not when the interpreter ends
    except McsdrError as error:
        _refuse(error)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        _refuse(MissingExtra.of(module))
    except BrokenPipeError:  # whoever read the output, `head` say, has had enough
        sys.stdout = None  # nothing more to flush
        sys.exit(1)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = error.filename or "standard output"
        sys.stdout = None
        _refuse(UnwritableFile(f"it cannot be written: {error.strerror}.", path=where))
    except KeyboardInterrupt:
        print("mcsdr: interrupted; what was finished is on disk.", file=sys.stderr)
        sys.exit(130)


def _refuse(error: McsdrError) -> None:
    print(f"mcsdr: {error}", file=sys.stderr)
    sys.exit(error.exit_status)
