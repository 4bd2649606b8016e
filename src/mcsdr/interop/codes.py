"""Coded concepts: what a number in a DICOM report or a FHIR resource is, said by its code (PS3.16, SNOMED CT, LOINC).

Every code stands here once. Two say nothing of the statistic and all of the subject: LVEF by ultrasound for DICOM
(TID 5200's own code) and LVEF for FHIR. Neither says "method of discs": the number is not a traced volume.
"""

from __future__ import annotations

from typing import NamedTuple

from mcsdr.study import View


class Code(NamedTuple):
    """A code value, its scheme and its meaning, as in DICOM's Code Sequence."""

    value: str
    scheme: str
    meaning: str


# --- what is measured, where, and how spread -------------------------------------------------------------------------
LVEF_BY_ULTRASOUND = Code("18043-0", "LN", "Left Ventricular Ejection Fraction by US")
LVEF_LOINC = Code("10230-1", "LN", "Left ventricular Ejection fraction")
LVEF_SNOMED = Code("250908004", "SCT", "Left ventricular ejection fraction")
PROBABILITY = Code("122157", "DCM", "Probability")
LEFT_VENTRICLE = Code("87878005", "SCT", "Left ventricle")
MEDIAN = Code("373099004", "SCT", "Median")
MEAN = Code("373098007", "SCT", "Mean")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
FIFTH_PERCENTILE = Code("371888009", "SCT", "Fifth percentile (qualifier value)")
NINETY_FIFTH_PERCENTILE = Code("371889001", "SCT", "Ninety-fifth percentile (qualifier value)")
PERCENT = Code("%", "UCUM", "Percent")
NO_UNITS = Code("1", "UCUM", "no units")

# --- why there is no number ------------------------------------------------------------------------------------------
INDETERMINATE = Code("114011", "DCM", "Value indeterminate")
FAILURE = Code("114006", "DCM", "Measurement failure")

# --- the report (TID 1500, 1501, 1204, 1004, 1600, 4019, 300) --------------------------------------------------------
MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
DEVICE = Code("121007", "DCM", "Device")
DEVICE_UID = Code("121012", "DCM", "Device Observer UID")
DEVICE_NAME = Code("121013", "DCM", "Device Observer Name")
DEVICE_MANUFACTURER = Code("121014", "DCM", "Device Observer Manufacturer")
DEVICE_MODEL = Code("121015", "DCM", "Device Observer Model Name")
DEVICE_SERIAL = Code("121016", "DCM", "Device Observer Serial Number")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
ECHOCARDIOGRAPHY = Code("40701008", "SCT", "Echocardiography")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
MODALITY = Code("121139", "DCM", "Modality")
ULTRASOUND = Code("US", "DCM", "Ultrasound")
IMAGE_VIEW = Code("111031", "DCM", "Image View")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
ALGORITHM_PARAMETERS = Code("111002", "DCM", "Algorithm Parameters")
SOURCE = Code("260753009", "SCT", "Source")
DERIVATION = Code("121401", "DCM", "Derivation")
EQUIVALENT_MEANING = Code("121050", "DCM", "Equivalent Meaning of Concept Name")
COMMENT = Code("121106", "DCM", "Comment")

# --- de-identification (CID 7050) ------------------------------------------------------------------------------------
BASIC_PROFILE = Code("113100", "DCM", "Basic Application Confidentiality Profile")
CLEAN_PIXELS = Code("113101", "DCM", "Clean Pixel Data Option")
RETAIN_CHARACTERISTICS = Code("113108", "DCM", "Retain Patient Characteristics Option")

# --- views (CID 12226), each with its retired SRT code, which older machines write ------------------------------------
VIEWS = {
    View.A4C: Code("399214001", "SCT", "Apical four chamber"),
    View.A2C: Code("399232001", "SCT", "Apical two chamber"),
    View.PSAX: Code("399306005", "SCT", "Parasternal short axis"),
    View.PLAX: Code("399139001", "SCT", "Parasternal long axis"),
}
RETIRED_VIEWS = {"G-A19C": View.A4C, "G-A19B": View.A2C, "G-0397": View.PSAX, "G-0396": View.PLAX}


def view_of(value: str) -> View:
    """The view that a code value of SNOMED CT, or of its retired SRT form, stands for."""
    current = {code.value: view for view, code in VIEWS.items()}
    return current.get(value) or RETIRED_VIEWS.get(value, View.UNKNOWN)
