"""Cohorts by name: a description goes in, a sequence of studies comes out.

    open_cohort(CohortSpec.parse("phantom:1000:7"))            a thousand phantoms of seed 7
    open_cohort(CohortSpec.parse("/data/EchoNet-Dynamic"))     a folder; its layout says which data set it is
    open_cohort(CohortSpec.parse("camus:/data/CAMUS", split="test", fold=3))

To add a data set, write one file with a class over `FolderCohort` that has `kind`, `layout` and `fits`, name it in
`FOLDERS` and `CohortSpec.kind`, and open it in `open_cohort`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcsdr.datasets.camus import Camus
from mcsdr.datasets.clip_table import ClipTable
from mcsdr.datasets.echonet_dynamic import EchoNetDynamic
from mcsdr.datasets.echonet_pediatric import EchoNetPediatric
from mcsdr.datasets.entries import FolderCohort
from mcsdr.datasets.mimic_iv_echo import MimicIvEcho
from mcsdr.datasets.table import beside
from mcsdr.errors import InvalidCohort, InvalidConfig, MissingFile
from mcsdr.phantom.cohort import SAMPLING_HZ, PhantomCohort
from mcsdr.phantom.strangers import WithStrangers
from mcsdr.phantom.table import Appearance as Varied
from mcsdr.phantom.twins import TwinCohort
from mcsdr.study import Study, View

Population = Literal["adult", "child", "camus", "laboratory", "flat"]
Appearance = Literal["plain", "mixed", Varied]
Ambiguity = Literal["control", "hidden-wall", "lateral-dropout", "arrhythmia", "foreshortening"]
Kind = Literal["phantom", "echonet-dynamic", "echonet-pediatric", "camus", "mimic-iv-echo", "table"]

# In the order in which a folder is tried; a table is what any of the others may look like.
FOLDERS = (EchoNetPediatric, EchoNetDynamic, Camus, MimicIvEcho, ClipTable)


class CohortSpec(BaseModel):
    """Which studies: phantoms by number and seed, or a folder in a data set's own layout.

    Arguments:
        kind: the data set.
        n, seed, population: of phantoms; how many, which, and what people.
        appearance: of phantoms; how varied people, exams and pictures are.
        ambiguity, clean: of phantoms that hide something, so that their posterior is known; what, and how they look.
        seconds: of phantoms; how long their clips last, the 1.28 s of one window where None.
        twins: of varied phantoms; each followed by one that differs in its ejection fraction alone ("apart"), or that
            shares it alone ("alike"), so that there are 2 n studies; see `phantom.twins`.
        strangers: of phantoms; the share whose clip shows nothing of their heart, see `phantom.strangers`.
        root: the folder, or a table's path.
        split: "train", "val" or "test"; for phantoms the name that every study carries. All where None.
        views: the clips wanted; the data set's own where None.
        fold: of a cross-validation, for the data sets that have one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Kind
    n: int | None = Field(None, gt=0, le=10_000_000)
    seed: int | None = Field(None, ge=0, lt=2**63)
    root: Path | None = None
    split: Literal["train", "val", "test"] | None = None
    views: tuple[View, ...] | None = Field(None, min_length=1, max_length=32)
    fold: int | None = Field(None, ge=0, le=1000)
    population: Population = "adult"
    appearance: Appearance = "plain"
    ambiguity: Ambiguity | None = None
    clean: bool = True
    seconds: float | None = Field(None, ge=1, le=60)
    strangers: float = Field(0.0, ge=0, lt=1)
    twins: Literal["apart", "alike"] | None = None

    @property
    def label_of_one_beat(self) -> bool:
        """Whether an ejection fraction was read off one beat of those that a clip shows; of the beats on average else.

        EchoNet-Dynamic's tracings are of two frames of one beat, and its label is the tracing's; EchoNet-Pediatric is
        taken to be alike; a half sequence of CAMUS is one beat.
        """
        return self.ambiguity == "arrhythmia" or self.kind in ("echonet-dynamic", "echonet-pediatric", "camus")

    @classmethod
    def parse(
        cls,
        text: str,
        split: str | None = None,
        views: Sequence[View | str] | None = None,
        fold: int | None = None,
    ) -> CohortSpec:
        """From the command line: "phantom:N:SEED", "phantom:N:SEED:child", "phantom:N:SEED:varied[:flat]",
        "phantom:N:SEED:hidden-wall[:randomised]", any of them with ":SECONDSs" behind it, "KIND:PATH", or a path
        whose layout tells.

        Raises:
            InvalidConfig: what is asked for has no meaning.
            InvalidCohort, MissingFile: the folder is of no known layout, or is not there.
        """
        kind, _, rest = text.partition(":")
        if kind == "phantom":
            return cls._parse_phantoms(text, split, views)
        if kind not in (folder.kind for folder in FOLDERS):
            kind, rest = detect(text), text
        given = {"kind": kind, "root": rest, "split": split, "views": views, "fold": fold}
        return _validated(given, f"{text!r} with split {split}, views {views}, fold {fold}")

    @classmethod
    def _parse_phantoms(cls, text: str, split: str | None, views: Sequence[View | str] | None) -> CohortSpec:
        kind, *numbers = text.split(":")
        words, numbers = numbers[2:], numbers[:2]
        given: dict[str, Any] = {"kind": kind, "split": split, "views": views}
        if words and words[-1].endswith("s") and words[-1][:1].isdigit():
            given["seconds"] = words.pop()[:-1]
        match words:
            case []:
                pass
            case [population] if population in get_args(Population):
                given["population"] = population
            case [appearance] if appearance in get_args(Appearance):
                given["appearance"] = appearance
            case [appearance, population] if appearance in get_args(Appearance) and population in get_args(Population):
                given |= {"appearance": appearance, "population": population}
            case [ambiguity, *how] if how in ([], ["randomised"]):
                given |= {"ambiguity": ambiguity, "clean": not how}
            case _:
                numbers = []
        if len(numbers) != 2:
            raise InvalidConfig(f"{text!r} is not phantom:N:SEED.", next_step="Write phantom:1000:7.")
        return _validated(given | {"n": numbers[0], "seed": numbers[1]}, repr(text))

    def describe(self) -> str:
        """One phrase for a table or a card."""
        views = f", {' and '.join(self.views)}" if self.views else ""
        if self.kind == "phantom":
            words = [self.appearance] * (self.appearance != "plain") + [self.population] * (self.population != "adult")
            people = f" ({', '.join(words)})" if words else ""
            if self.ambiguity:
                people = f" ({self.ambiguity}, {'clean' if self.clean else 'randomised'} pictures)"
            strangers = f", {100 * self.strangers:g} % strangers" if self.strangers else ""
            strangers += f", twins {self.twins}" if self.twins else ""
            length = f", {self.seconds:g} s" if self.seconds else ""
            return f"{self.n} synthetic phantoms{people}, seed {self.seed}{length}{views}{strangers}"
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.kind} {self.split or 'all splits'}{fold}{views}"


def open_cohort(spec: CohortSpec) -> Sequence[Study]:
    """The studies of a cohort, each read when it is asked for.

    Raises:
        InvalidCohort: the folder is not as its layout says.
        InvalidConfig: the description lacks what its kind needs, or asks for what it has not.
    """
    _refuse_what_has_no_meaning(spec)
    views: dict[str, Any] = {} if spec.views is None else {"views": spec.views}
    match spec:
        case CohortSpec(kind="phantom", n=int(n), seed=int(seed)):
            what = spec.model_dump(include={"population", "appearance", "ambiguity", "clean"})
            if spec.seconds:
                what["frames"] = round(spec.seconds * SAMPLING_HZ)
            cohort = PhantomCohort(n, seed, split=spec.split, **what, **views)
            if spec.twins:
                return TwinCohort(cohort, spec.twins)
            return WithStrangers(cohort, spec.strangers) if spec.strangers else cohort
        case CohortSpec(kind="echonet-dynamic", root=Path() as root):
            return EchoNetDynamic(root, spec.split)
        case CohortSpec(kind="echonet-pediatric", root=Path() as root):
            return EchoNetPediatric(root, spec.split, fold=spec.fold, **views)
        case CohortSpec(kind="camus", root=Path() as root):
            return Camus(root, spec.split, fold=spec.fold, **views)
        case CohortSpec(kind="mimic-iv-echo", root=Path() as root):
            return MimicIvEcho(root, spec.split)
        case CohortSpec(kind="table", root=Path() as root):
            return ClipTable(root, spec.split, **views)
    lacks, step = "root", "Name its folder; for a training with --data.train.root FOLDER --data.val.root FOLDER."
    if spec.kind == "phantom":
        lacks, step = "n and seed", "Write phantom:1000:7; for a training set data.train.n and data.train.seed."
    raise InvalidConfig(f"a {spec.kind} cohort needs {lacks}.", next_step=step)


def fingerprint(spec: CohortSpec, cohort: Sequence[Study]) -> str:
    """A hash of what a cohort is read from: clips of another renderer or of a changed folder are not taken for it."""
    if isinstance(cohort, FolderCohort):
        return cohort.fingerprint()
    study = open_cohort(spec.model_copy(update={"n": 1}))[0]
    facts = b"".join(clip.frames.tobytes() for clip in study.clips)
    facts += repr((study.ef_percent, study.attributes, study.known_posterior)).encode()
    return hashlib.sha256(facts).hexdigest()[:16]


def detect(path: str | Path) -> str:
    """The kind of data set that a folder, or a table, is laid out as.

    Raises:
        MissingFile: there is no such folder.
        InvalidCohort: it is of no known layout.
    """
    root = Path(path)
    if not root.exists():
        raise MissingFile("there is no such folder", path=root)
    for folder in FOLDERS if root.is_dir() else (ClipTable,):
        if folder.fits(root):
            return folder.kind
    known = "; ".join(f"{folder.kind}: {folder.layout}" for folder in FOLDERS)
    raise InvalidCohort(f"it is laid out as no known data set. Looked for {known}.", path=root)


def is_synthetic(spec: CohortSpec) -> bool:
    """Whether a cohort holds phantoms: drawn here, or written by this package into a folder."""
    if spec.root is None:
        return spec.kind == "phantom"
    folder = spec.root if spec.root.is_dir() else spec.root.parent
    return beside(folder, "SYNTHETIC.txt") is not None


def _refuse_what_has_no_meaning(spec: CohortSpec) -> None:
    if spec.fold is not None and spec.kind not in ("echonet-pediatric", "camus"):
        raise InvalidConfig(f"{spec.kind} has no folds.", next_step="Leave the fold out.")
    if spec.views is not None and spec.kind == "mimic-iv-echo":
        raise InvalidConfig(f"{spec.kind} does not say which view a clip shows.", next_step="Leave the views out.")
    if spec.views is not None and spec.kind == "echonet-dynamic" and View.A4C not in spec.views:
        raise InvalidConfig(f"{spec.kind} holds the view A4C only.", next_step="Leave the views out.")
    chosen = (spec.population, spec.appearance, spec.ambiguity, spec.strangers, spec.twins, spec.seconds)
    if spec.kind != "phantom" and chosen != ("adult", "plain", None, 0, None, None):
        raise InvalidConfig(
            "a population, an appearance, an ambiguity, strangers, twins or a length can be chosen for phantoms only.",
            next_step="Leave it out.",
        )
    if spec.strangers and spec.twins:
        raise InvalidConfig("strangers have no twins.", next_step="Leave one of the two out.")
    if spec.strangers and (spec.ambiguity or spec.views):
        raise InvalidConfig("strangers are among phantoms of one clip that hide nothing else.")


def _validated(given: dict[str, Any], said: str) -> CohortSpec:
    try:
        return CohortSpec.model_validate(given)
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, e['loc'][:1]))}: {e['msg'].lower()}" for e in error.errors())
        raise InvalidConfig(f"{said} names no cohort: {why}.", next_step="Write phantom:1000:7, or a folder.") from None


__all__ = [
    "Camus",
    "ClipTable",
    "CohortSpec",
    "EchoNetDynamic",
    "EchoNetPediatric",
    "InvalidCohort",
    "MimicIvEcho",
    "PhantomCohort",
    "detect",
    "is_synthetic",
    "open_cohort",
]
