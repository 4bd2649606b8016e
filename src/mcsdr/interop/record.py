"""What a record of `mcsdr predict --json` says, as statistics and sentences that every format then writes its own way.

    record --statistics--> Statistic(code, meaning, value, unit), …       record --remarks--> "Disclaimer: …", …

Nothing here computes: a report's numbers are the record's numbers. Error messages and paths are left out, because a
path may hold a name; code, cause and next step are enough.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from mcsdr import DISCLAIMER, __version__
from mcsdr.errors import InputError, MismatchedSource, MissingFile, UnreadableFile
from mcsdr.files import sha256_of
from mcsdr.interop.codes import (
    FIFTH_PERCENTILE,
    MEAN,
    MEDIAN,
    NINETY_FIFTH_PERCENTILE,
    NO_UNITS,
    PERCENT,
    PROBABILITY,
    STANDARD_DEVIATION,
    Code,
)
from mcsdr.report import LIMIT_SOURCE, heart_line

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Record = Mapping[str, Any]

NEEDED = ("file", "error", "abstained", "median", "interval_90", "prob")
MISSING_FRAMES = 0.05  # of a clip's frames may not have been decoded; more is another clip
INEQUALITIES = {"40-50": "40 % < EF < 50 %"}
LIMITS = {"<52": "men", "<54": "women"}


class Statistic(NamedTuple):
    """One number: what kind of statistic, in words, its value and its unit."""

    code: Code
    meaning: str
    value: float
    unit: Code


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records that `mcsdr predict --json` printed into a file.

    Raises:
        MissingFile, UnreadableFile: there is no such file, or it holds something else.
    """
    step = "Give a file that `mcsdr predict CLIP --json` printed."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFile("there is no such file", path=path) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableFile("it is not JSON", path=path, next_step=step) from error
    records = content if isinstance(content, list) else [content]
    if not records or not all(isinstance(record, dict) for record in records):
        raise UnreadableFile("it holds something else than results", path=path, next_step=step)
    results = [
        record for record in records if record.keys() != {"summary"}
    ]  # a folder's ends with what was passed over
    try:
        return [dict(checked(record)) for record in results]
    except InputError as error:
        raise UnreadableFile(error.cause, path=path, next_step=step) from error


def record_of(records: Sequence[dict[str, Any]], source: Path) -> dict[str, Any]:
    """The record of one clip: of these very bytes; where no record tells its bytes, the only one or that of its name.

    Raises:
        MismatchedSource: none is, or several are.
    """
    step = "Give the file that was read, or run `mcsdr predict FILE --json` on this one and give what it prints."
    if any(record.get("input_sha256") for record in records) and (digest := sha256_of(source)):
        records = [record for record in records if record.get("input_sha256") == digest]
        if not records:
            cause = "none of the results is of this file: its bytes are others (SHA-256)"
            raise MismatchedSource(cause, path=source, next_step=step)
    if len(records) == 1:
        return records[0]
    named = [record for record in records if PurePath(record["file"]).name == source.name]
    if len(named) != 1:
        cause = f"{len(named) or 'none'} of the {len(records)} results are of a file of this name"
        raise MismatchedSource(cause, path=source, next_step=step)
    return named[0]


def statistics(record: Record) -> list[Statistic]:
    """Median, mean, SD, the ends of the 90 % interval and the probabilities; none where the belief is withheld."""
    if record["median"] is None:
        return []
    low, high = record["interval_90"]
    return [
        Statistic(MEDIAN, "Median of the posterior of EF", record["median"], PERCENT),
        Statistic(MEAN, "Mean of the posterior of EF", record["mean"], PERCENT),
        Statistic(STANDARD_DEVIATION, "Standard deviation of the posterior of EF", record["sd"], PERCENT),
        *interval(low, high),
        *(Statistic(PROBABILITY, f"P({inequality(key)})", p, NO_UNITS) for key, p in record["prob"].items()),
    ]


def interval(low: float, high: float) -> list[Statistic]:
    """The two ends of a 90 % interval."""
    return [
        Statistic(
            FIFTH_PERCENTILE, "Lower end of the 90 % interval of a reader's report of EF (5th percentile)", low, PERCENT
        ),
        Statistic(
            NINETY_FIFTH_PERCENTILE,
            "Upper end of the 90 % interval of a reader's report of EF (95th percentile)",
            high,
            PERCENT,
        ),
    ]


def inequality(key: str) -> str:
    """The inequality that a key of a record's probabilities stands for: "<=40" is EF ≤ 40 %."""
    if key in LIMITS:
        return f"EF < {key[1:]} %, lower limit of normal for {LIMITS[key]}, {LIMIT_SOURCE}"
    sign = key.rstrip("0123456789.")
    plain = f"EF {sign.replace('<=', '≤').replace('>=', '≥')} {key[len(sign) :]} %"
    return INEQUALITIES.get(key, plain)


def remarks(record: Record) -> list[str]:
    """What must be said with the numbers, or instead of them; the disclaimer first."""
    said = [f"Disclaimer: {record.get('disclaimer') or DISCLAIMER}"]
    why = record["abstained"]
    if why is not None:
        if record["median"] is not None:
            said.append("Given although the model abstained, because it was asked for; do not rely on it.")
        said += [f"Abstained [{why['code']}]: {why['reason']}", f"Next step: {why['next_step']}"]
    if (heart := heart_line(record)) is not None:
        said.append(heart)
    failed = record["error"]
    if failed is not None:
        said += [f"Failed [{failed['code']}]: {failed['cause']}", f"Next step: {failed['next_step']}"]
    return said + [f"Notice [{notice['code']}]: {notice['text']}" for notice in record.get("notices") or ()]


def version_of(record: Record) -> str:
    """The version that made the record; a failure does not say, then it is the version that reports it."""
    return str(record.get("version") or __version__)


def parameters(record: Record) -> list[str]:
    """What makes the answer repeatable: model, hash, seed, sampler, calibration, attributes; nothing of a failure."""
    if record.get("model") is None:
        return []
    named = {key: record.get(key) for key in ("model", "model_sha256", "seed")}
    named |= {f"sampler.{key}": value for key, value in (record.get("sampler") or {}).items() if key != "seed"}
    named |= {"prior": record["prior"]} if record.get("prior") else {}
    named["calibration"] = "yes" if record.get("calibration") else "no"
    named |= {f"attributes.{key}": value for key, value in (record.get("attributes") or {}).items()}
    return [f"{key} = {value}" for key, value in named.items()]


def checked(record: Record) -> Record:
    """The record itself, where it has all that a report is made of, and finite numbers.

    Raises:
        InputError: it has not.
    """
    step = "Give a record of `mcsdr predict --json`."
    lacking = [key for key in NEEDED if key not in record]
    if lacking:
        raise InputError(f"the result lacks {', '.join(lacking)}", next_step=step)
    try:
        remarks(record), parameters(record)
        clips = [(clip["frames"] + 0, clip["frame_rate_hz"] + 0.0) for clip in record.get("clips") or ()]
        beats = record.get("beats") or ()
        values = [number.value for number in statistics(record)]
        values += [value for beat in beats for value in (beat["start_s"], beat["median"], *beat["interval_90"])]
        sound = all(math.isfinite(value) for value in (*values, *(value for clip in clips for value in clip)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError("the result is not as it was printed", next_step=step) from error
    if not sound or not isinstance(record["file"], str) or (beats and not clips):
        raise InputError("a number of the result is not one", next_step=step)
    return record


def check_source(record: Record, source: Dataset) -> None:
    """Whether a header can be the one of the clip that a record was made from.

    Raises:
        UnreadableFile: it lacks a UID.
        MismatchedSource: the clip has another number of frames.
    """
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if not source.get(keyword):
            raise UnreadableFile(f"the clip's header has no {keyword}")
    clips, count = record.get("clips") or [], int(source.get("NumberOfFrames") or 0)
    if len(clips) != 1 or not count:
        return
    read = clips[0]["frames"]
    if not (1 - MISSING_FRAMES) * count - 1 <= read <= count:
        raise MismatchedSource(f"the result is of a clip of {read} frames, and this one has {count}")
