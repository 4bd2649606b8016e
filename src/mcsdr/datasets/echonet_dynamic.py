"""EchoNet-Dynamic: `FileList.csv`, `Videos/*.avi`, one row per clip.

Columns FileName, EF, ESV, EDV, FrameHeight, FrameWidth, FPS, NumberOfFrames, Split; FileName without ".avi", but names
that carry it are read too. The release holds no attributes; where a table `Attributes.csv` (FileName, Age, Sex, Weight,
Height, and TrueEF for phantoms) lies beside it, as this package's own phantoms write it, it is joined by FileName.

Reference: Ouyang et al. 2020, "Video-based AI for beat-to-beat assessment of cardiac function".
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from mcsdr import io
from mcsdr.errors import InvalidCohort
from mcsdr.study import Attributes, Study, View

REQUIRED = ("FileName", "EF", "Split", "FPS")


class EchoNetDynamic(Sequence[Study]):
    """The studies of one split ("train", "val", "test") or of all, read from disk when asked for.

    Raises:
        InvalidCohort: no FileList.csv, a column is missing, or a row's numbers are not numbers.
    """

    def __init__(self, root: str | Path, split: str | None = None) -> None:
        self.root = Path(root)
        rows = _table(self.root / "FileList.csv", REQUIRED)
        extra = self.root / "Attributes.csv"
        attributes = {_stem(row["FileName"]): row for row in _table(extra, ("FileName",))} if extra.exists() else {}
        self.rows = [
            (row, attributes.get(_stem(row["FileName"]), {}))
            for row in rows
            if split is None or row["Split"].lower() == split
        ]
        if not self.rows:
            raise InvalidCohort(f"FileList.csv has no row of split {split!r}.", path=self.root)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> list[Study]: ...
    def __getitem__(self, index: int | slice) -> Study | list[Study]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        row, extra = self.rows[index]
        name = _stem(row["FileName"])
        path = self.root / "Videos" / f"{name}.avi"
        # The table's rate is the machine's; a converted file may carry any other.
        clip = io.read_clip(path, frame_rate_hz=self._number(row, "FPS"), view=View.A4C)
        true_ef = extra.get("TrueEF")
        return Study(
            clips=(clip,),
            attributes=Attributes(
                _optional(extra.get("Age")),
                extra.get("Sex") or None,
                _optional(extra.get("Weight")),
                _optional(extra.get("Height")),
            ),
            study_id=name,
            patient_id=name,
            ef_percent=self._number(row, "EF"),
            true_ef_percent=float(true_ef) if true_ef else None,
            split=row["Split"].lower(),
        )

    def _number(self, row: dict[str, str], column: str) -> float:
        try:
            return float(row[column])
        except ValueError as error:
            cause = f"row {row['FileName']!r}: {column} is {row[column]!r}, not a number."
            raise InvalidCohort(cause, path=self.root / "FileList.csv") from error


def _table(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.exists():
        raise InvalidCohort("no such table.", path=path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in required if name not in (reader.fieldnames or ())]
        if missing:
            raise InvalidCohort(f"the table lacks the column {', '.join(missing)}.", path=path)
        return list(reader)


def _stem(name: str) -> str:
    return name.removesuffix(".avi")


def _optional(text: str | None) -> float | None:
    return float(text) if text and text.lower() != "nan" else None
