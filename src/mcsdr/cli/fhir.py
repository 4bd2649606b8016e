"""`mcsdr fhir`: results in, FHIR R4 Observations out."""

from __future__ import annotations

import json
from pathlib import Path


def fhir(result: Path, source: Path | None = None, /, *, out: Path | None = None, subject: str | None = None) -> None:
    """Print a result as a FHIR R4 Observation, or several as a Bundle of them.

    No patient is named unless you name one. Where the model abstained or failed, the Observation has a
    dataAbsentReason in place of a value.

    Parameters
    ----------
    result
        What `mcsdr predict CLIP --json` printed.
    source
        The DICOM clip that the result was made from; its UIDs say what the Observation is derived from. Of several
        results the one made from its very bytes is taken (SHA-256), whatever its name.
    out
        File to write instead of printing.
    subject
        Reference to the patient on your server, such as Patient/17.
    """
    from mcsdr.errors import InputError
    from mcsdr.files import write_atomically
    from mcsdr.interop.fhir import bundle, observation
    from mcsdr.interop.record import read_records, record_of

    records = read_records(result)
    if source is not None:
        from mcsdr.io.dicom import one_error, open_dicom

        record, header = record_of(records, source), open_dicom(source)
        try:
            with one_error(source):
                observations = [observation(record, header, subject=subject)]
        except InputError as error:
            raise type(error)(error.cause, path=error.path or source, next_step=error.next_step) from None
    else:
        observations = [observation(record, subject=subject) for record in records]
    resource = observations[0] if len(observations) == 1 else bundle(observations)
    text = json.dumps(resource, indent=2, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, text.encode())
