"""Sending a report to an archive, by C-STORE or by STOW-RS; either it has been taken, or `NotTaken` is raised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom import dcmread

from mcsdr.errors import InvalidConfig

TIMEOUT_S = 30
OUT_OF_RESOURCES = 0xA700
OF_ONE_REPORT = (400, 409, 413, 422)  # statuses that blame what was sent, not the way or the moment
ADDRESS = re.compile(r"(?P<title>[^@\s]{1,16})@(?P<host>\[[^\]]+\]|[^:]+):(?P<port>\d{1,5})")


class NotTaken(Exception):
    """The archive did not take a report, this time; why, without a word of whose it is."""


class Refused(NotTaken):
    """The archive was reached, and does not want this one report."""


class Archive(Protocol):
    """Where reports go."""

    def send(self, report: Path) -> None: ...


@dataclass(frozen=True)
class CStore:
    """An archive that speaks DIMSE: its title, where it listens, and what we call ourselves."""

    title: str
    host: str
    port: int
    calling: str

    @classmethod
    def parse(cls, address: str, calling: str) -> CStore:
        """From TITLE@HOST:PORT.

        Raises:
            InvalidConfig: it is not of this form.
        """
        found = ADDRESS.fullmatch(address)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise InvalidConfig(f"{address!r} is no archive.", next_step="Name it as TITLE@HOST:PORT.")
        return cls(found["title"], found["host"].strip("[]"), int(found["port"]), calling)

    def send(self, report: Path) -> None:
        """Store one report.

        Raises:
            NotTaken: no association, or no room.
            Refused: another status than success or a warning.
        """
        from pynetdicom import AE
        from pynetdicom.sop_class import Comprehensive3DSRStorage

        peer = AE(ae_title=self.calling)
        peer.acse_timeout = peer.dimse_timeout = peer.network_timeout = peer.connection_timeout = TIMEOUT_S
        peer.add_requested_context(Comprehensive3DSRStorage)
        association = peer.associate(self.host, self.port, ae_title=self.title)
        if not association.is_established:
            raise NotTaken("no association with the archive")
        try:
            if not association.accepted_contexts:
                raise NotTaken("the archive takes no structured reports")
            status = association.send_c_store(dcmread(report))
            code = getattr(status, "Status", None)
            if code is None:
                raise NotTaken("no answer from the archive")
            if code & 0xFF00 == OUT_OF_RESOURCES:
                raise NotTaken(f"the archive has no room (status {code:#06x})")
            if not (code == 0 or 0xB000 <= code <= 0xBFFF):
                raise Refused(f"the archive's status is {code:#06x}")
        except RuntimeError as error:
            raise NotTaken(f"the association was lost ({type(error).__name__})") from None
        except (ValueError, AttributeError) as error:
            raise Refused(f"the archive takes no such report ({type(error).__name__})") from None
        finally:
            association.release()


@dataclass(frozen=True)
class Stow:
    """An archive that speaks DICOMweb: the address of its studies service."""

    url: str

    def send(self, report: Path) -> None:
        """Store one report.

        Raises:
            NotTaken: it cannot be reached, or takes nothing at present.
            Refused: it does not want this one.
        """
        from dicomweb_client import DICOMwebClient

        client = DICOMwebClient(self.url)
        client.set_http_retry_params(retry=False)  # the postman comes again
        try:
            answer = client.store_instances([dcmread(report)])
        except OSError as error:  # requests' errors are such
            status = getattr(getattr(error, "response", None), "status_code", None)
            kind = Refused if status in OF_ONE_REPORT else NotTaken
            raise kind(f"status {status}" if status else "the archive cannot be reached") from None
        if answer.get("FailedSOPSequence"):
            raise Refused("the archive failed on it")


def archive_of(address: str | None, stow: str | None, calling: str) -> Archive | None:
    """The archive that is named, by one of the two ways; None where none is.

    Raises:
        InvalidConfig: both are, or one that cannot be.
    """
    if address and stow:
        raise InvalidConfig("two archives are named.", next_step="Give --archive or --stow.")
    if stow:
        if not stow.startswith(("http://", "https://")):
            raise InvalidConfig(f"{stow!r} is no address.", next_step="Name it as http://HOST:PORT/dicom-web.")
        return Stow(stow)
    return CStore.parse(address, calling) if address else None


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row: 1, 2, 4, … at most 300 seconds."""
    return float(min(300, 2 ** max(0, failures - 1)))
