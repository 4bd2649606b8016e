"""The command line: one small file per command, each importing what it needs only when it runs."""

from __future__ import annotations

import sys

from cyclopts import App

import mcsdr
from mcsdr.errors import McsdrError

app = App(
    name="mcsdr",
    help="The whole posterior of left-ventricular ejection fraction from an echocardiogram.\n\n"
    "Research use only; not for diagnosis. A clinician reads the images.",
    version=mcsdr.__version__,
)
COMMANDS = {
    "predict": "Estimate the posterior of ejection fraction for each clip.",
    "batch": "Answer every clip of a folder or a list, one row each, and go on where it stopped.",
    "sr": "Write a result as a DICOM structured report beside its clip.",
    "fhir": "Print results as FHIR R4 Observations.",
    "deidentify": "Copy ultrasound DICOM without names, identifiers, dates and text in the picture.",
    "evaluate": "Measure a model on a cohort: accuracy, CRPS, calibration.",
    "calibrate": "Recalibrate a model's posteriors on studies that it never saw.",
    "gate": "Teach a model which clips it must refuse.",
    "train": "Train a model, or go on with a training that was stopped.",
    "reproduce": "Repeat the paper's experiment, or ours, on one of the three data sets.",
    "simulate": "Write synthetic echocardiograms with known ejection fraction.",
    "check": "Read every row and clip of a data set, and list what is wrong.",
    "benchmark": "Measure again what this project claims: known posteriors, rivals, real tables, robustness.",
    "import-official": "Turn a checkpoint that the MCSDR authors released into a model.",
    "serve": "Drop clips on a page of this machine, or send them by HTTP, and read posteriors.",
    "node": "Take clips by DICOM C-STORE, and file a structured report on each in an archive.",
    "info": "Print a model's size, training data, hash and figures.",
}
for command, summary in COMMANDS.items():
    module = command.replace("-", "_")
    app.command(f"mcsdr.cli.{module}:{module}", name=command, help=summary)


def main() -> None:
    """Entry point: typed errors become one paragraph on standard error and exit status 2."""
    try:
        app()
    except McsdrError as error:
        print(f"mcsdr: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # whoever read the output, `head` say, has had enough
        sys.stdout = None  # nothing more to flush
        sys.exit(1)
    except KeyboardInterrupt:
        print("mcsdr: interrupted; what was finished is on disk.", file=sys.stderr)
        sys.exit(130)
