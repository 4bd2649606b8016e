"""`mcsdr sr`: a result and its DICOM clip in, a DICOM structured report out."""

from __future__ import annotations

from pathlib import Path


def sr(result: Path, source: Path, out: Path, /) -> None:
    """Write a result as a DICOM structured report that files under its clip's patient and study.

    The report is Comprehensive 3D SR, TID 1500, unverified and preliminary. The same result on the same clip makes the
    same SOP Instance UID. A clip that was refused or could not be read gets a report without a number.

    Parameters
    ----------
    result
        What `mcsdr predict CLIP --json` printed. Of several results the one made from SOURCE's very
        bytes is taken (SHA-256), whatever its name.
    source
        The DICOM clip that the result was made from.
    out
        DICOM file of the report.
    """
    from mcsdr.errors import InputError
    from mcsdr.files import write_atomically
    from mcsdr.interop.record import read_records, record_of
    from mcsdr.interop.structured_report import structured_report, to_bytes
    from mcsdr.io.dicom import one_error, open_dicom

    record = record_of(read_records(result), source)
    header = open_dicom(source)
    try:
        with one_error(source):
            report = structured_report(record, header)
            content = to_bytes(report)
    except InputError as error:
        raise type(error)(error.cause, path=error.path or source, next_step=error.next_step) from None
    write_atomically(out, content)
    print(f"{out}: SOP Instance UID {report.SOPInstanceUID}")
