"""`mcsdr deidentify`: ultrasound DICOM in, copies that say nothing of who the patient is out."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path


def deidentify(clips: Path, out: Path, /, *, salt: str | None = None) -> None:
    """Write copies of ultrasound DICOM files without names, identifiers, dates and text in the picture.

    Only what is needed to read the clip, and the patient's age, sex, size and weight, is kept. The picture is blanked
    outside the ultrasound sector. A file whose sector is not found is refused unless its header says that nothing is
    burnt in. Look at the copies before you pass them on: text drawn over the sector itself is not found.

    Parameters
    ----------
    clips
        A DICOM file, or a folder of them. The exit status is 1 if any was refused.
    out
        The copy's file name; for a folder the folder of the copies, which are named by their new UIDs.
    salt
        A secret: with the same salt the same patient, study and series get the same new identifiers in another run.
    """
    from mcsdr.errors import InvalidConfig, McsdrError
    from mcsdr.interop.deidentify import deidentified, new_salt
    from mcsdr.interop.deidentify import deidentify as write_copy
    from mcsdr.io import in_words, survey

    secret = salt or new_salt()
    if not clips.is_dir():
        write_copy(clips, out, salt=secret)
        print(f"{clips} -> {out}")
        return
    if out.resolve().is_relative_to(clips.resolve()):
        raise InvalidConfig("the copies would lie among the originals", path=out, next_step="Choose another folder.")
    failed, made = 0, Counter[str]()
    found = survey(clips)
    for file in found.clips:
        try:
            copy = deidentified(file, salt=secret)
            made[copy.uid] += 1
            if made[copy.uid] > 1:  # two originals, one SOP Instance UID: two copies, and each has one of its own
                copy = deidentified(file, salt=secret, instance=made[copy.uid])
                print(
                    f"mcsdr: {file} has the SOP Instance UID of an earlier file; its copy has its own.", file=sys.stderr
                )
            copy.write(out / f"{copy.uid}.dcm")
            print(f"{file} -> {copy.uid}.dcm")
        except McsdrError as error:
            failed += 1
            print(f"mcsdr: {error}", file=sys.stderr)
    if found.passed_over:
        print(f"Passed over, as no clips: {in_words(found.passed_over)}.", file=sys.stderr)
    if failed:
        sys.exit(1)
