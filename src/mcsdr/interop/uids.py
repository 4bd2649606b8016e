"""UIDs that follow from what they name: the same thing gets the same UID, on every machine and at every retry.

    UID = "2.25." + UUID₅(parts)        (PS3.5 B.2)

A retry must not file a second report beside the first, so a report's UID is made of the clip's UID and of all that the
report says; what differs between two runs on the same clip (the file's path, the clock) takes no part.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "mcsdr")
OUTSIDE = ("file", "error", "analysed")  # of a record: its path and the time stand in them


def derived_uid(*parts: str) -> str:
    """The UID of what these parts name together."""
    return f"2.25.{uuid.uuid5(NAMESPACE, json.dumps(parts)).int}"


def report_uid(record: Mapping[str, Any], source_uid: str) -> str:
    """The SOP Instance UID of the report of this record on the clip of this SOP Instance UID."""
    said = {key: value for key, value in record.items() if key not in OUTSIDE}
    error = record.get("error") or {}
    said["failed"] = {key: error.get(key) for key in ("code", "cause")}
    return derived_uid("report", source_uid, json.dumps(said, sort_keys=True))
