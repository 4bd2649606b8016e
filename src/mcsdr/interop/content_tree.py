"""The items of a DICOM structured report's content tree, one function per value type (PS3.3 C.17.3, Table C.17-5).

    item = relationship to the parent, value type, concept name, value, children

Text is written in ASCII, so that a report can carry whatever character set its clip's patient name needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from mcsdr.interop.codes import Code

CONTAINS, HAS_CONCEPT_MOD, HAS_OBS_CONTEXT = "CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT"
HAS_ACQ_CONTEXT, INFERRED_FROM = "HAS ACQ CONTEXT", "INFERRED FROM"
ASCII = {"≤": "<=", "≥": ">=", "–": "-", "—": "-", "−": "-", "×": "x", "±": "+/-", "Δ": "Delta ", "’": "'", "…": "..."}


def coded(code: Code) -> Dataset:
    """An item of a code sequence."""
    dataset = Dataset()
    dataset.CodeValue, dataset.CodingSchemeDesignator, dataset.CodeMeaning = code
    return dataset


def container(
    name: Code, children: Sequence[Dataset], template: str | None = None, relation: str = CONTAINS
) -> Dataset:
    """A heading with what stands below it; the root has no relation."""
    dataset = _item(relation, "CONTAINER", name, children)
    dataset.ContinuityOfContent = "SEPARATE"
    if template is not None:
        used = Dataset()
        used.MappingResource, used.TemplateIdentifier = "DCMR", template
        dataset.ContentTemplateSequence = [used]
    return dataset


def text(relation: str, name: Code, value: str) -> Dataset:
    """Words."""
    dataset = _item(relation, "TEXT", name)
    dataset.TextValue = ascii_of(value)
    return dataset


def code(relation: str, name: Code, value: Code) -> Dataset:
    """A concept as the value of another."""
    dataset = _item(relation, "CODE", name)
    dataset.ConceptCodeSequence = [coded(value)]
    return dataset


def uid_reference(relation: str, name: Code, value: str) -> Dataset:
    """A UID as a value."""
    dataset = _item(relation, "UIDREF", name)
    dataset.UID = value
    return dataset


def number(name: Code, value: float, unit: Code, children: Sequence[Dataset] = ()) -> Dataset:
    """A measurement; where the decimal string cannot hold all of its digits, the binary number stands beside it."""
    dataset = _item(CONTAINS, "NUM", name, children)
    measured = Dataset()
    measured.NumericValue = f"{value:.10g}"  # at most the 16 characters of a decimal string
    if float(f"{value:.10g}") != value:
        measured.FloatingPointValue = float(value)
    measured.MeasurementUnitsCodeSequence = [coded(unit)]
    dataset.MeasuredValueSequence = [measured]
    return dataset


def no_number(name: Code, why: Code, children: Sequence[Dataset] = ()) -> Dataset:
    """A measurement without a value, and the coded reason."""
    dataset = _item(CONTAINS, "NUM", name, children)
    dataset.MeasuredValueSequence = []
    dataset.NumericValueQualifierCodeSequence = [coded(why)]
    return dataset


def image(
    relation: str, name: Code | None, source: Dataset, frames: Sequence[int] = (), children: Sequence[Dataset] = ()
) -> Dataset:
    """A reference to an image, or to some of its frames, counted from 1; no frames are named where all are meant."""
    dataset = _item(relation, "IMAGE", name, children)
    dataset.ReferencedSOPSequence = [reference(source)]
    if frames:
        dataset.ReferencedSOPSequence[0].ReferencedFrameNumber = list(frames)
    return dataset


def reference(instance: Dataset) -> Dataset:
    """SOP class and instance of another object."""
    dataset = Dataset()
    dataset.ReferencedSOPClassUID, dataset.ReferencedSOPInstanceUID = instance.SOPClassUID, instance.SOPInstanceUID
    return dataset


def ascii_of(value: str) -> str:
    """The same words in ASCII, inequality signs and dashes spelt out."""
    for sign, spelt in ASCII.items():
        value = value.replace(sign, spelt)
    return value.encode("ascii", "replace").decode()


# --- reading ---------------------------------------------------------------------------------------------------------


def below(item: Dataset, name: Code, value_type: str | None = None) -> Iterator[Dataset]:
    """The direct children of an item that have this concept name, by its code, not by its meaning."""
    for child in item.get("ContentSequence") or ():
        if concept(child.get("ConceptNameCodeSequence")) == key_of(name) and value_type in (
            None,
            child.get("ValueType"),
        ):
            yield child


def concept(sequence: Sequence[Dataset] | None) -> tuple[str, str] | None:
    """Value and scheme of the first code of a sequence."""
    if not sequence:
        return None
    return str(sequence[0].get("CodeValue", "")), str(sequence[0].get("CodingSchemeDesignator", ""))


def key_of(code: Code) -> tuple[str, str]:
    """Value and scheme, which tell a code; its meaning may be worded otherwise."""
    return code.value, code.scheme


def value_of(item: Dataset) -> float | None:
    """The value of a NUM item; None where there is none."""
    measured = item.get("MeasuredValueSequence")
    if not measured:
        return None
    return float(measured[0].get("FloatingPointValue", measured[0].NumericValue))


def _item(relation: str, value_type: str, name: Code | None, children: Sequence[Dataset] = ()) -> Dataset:
    dataset = Dataset()
    if relation:
        dataset.RelationshipType = relation
    dataset.ValueType = value_type
    if name is not None:
        dataset.ConceptNameCodeSequence = [coded(name)]
    if children:
        dataset.ContentSequence = list(children)
    return dataset
