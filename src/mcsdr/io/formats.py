"""Every kind of file that a laboratory has, and what becomes of it: the one registry of readers.

    first bytes --fits--> Format --reader--> Recording

A kind is told by what a file holds, whatever its suffix or none. A format with a reader is read; one without is refused
with what to do instead. To add one, write a reader that returns a `Recording` and name it in `FORMATS`; the table of
docs/formats.md is made from here (`python docs/make_formats.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mcsdr.io.dicom_signature import begins_as_dicom
from mcsdr.io.signatures import (
    begins,
    is_archive,
    is_array_archive,
    is_dicomdir,
    is_metaimage,
    is_nifti,
    is_picture,
    is_quicktime,
    is_raw_coded,
    is_sequence_array,
    is_text,
    is_transport_stream,
    riff,
)

HEAD = 4096  # bytes that tell a format
ANY, ONE_FILE, DICOM_ONLY = ("predict", "batch", "check"), ("serve",), ("node", "deidentify")
WAYS = (*ANY, *ONE_FILE, *DICOM_ONLY)
CONVERT = "Convert it: ffmpeg -i IN OUT.mp4, or export the clip as AVI, MP4 or DICOM."
UNPACK = "Unpack it, and give the folder."


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Arguments:
        name: a word for the code.
        title: what messages and tables call it.
        suffixes: as it is usually named; a file that is named so and holds nothing known is an error, not a stranger.
        told_by: how its content is recognised, in words.
        fits: whether a file's first bytes are of this kind.
        reader: "module:function" below `mcsdr.io`, empty where the kind is refused.
        rate: where the frame rate comes from: "file", or "given" by whoever asks.
        alone: whether the one file is the whole clip.
        next_step: what to do with a kind that is refused.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    told_by: str
    fits: Callable[[bytes], bool]
    reader: str = ""
    rate: str = "file"
    alone: bool = True
    next_step: str = ""

    @property
    def ways(self) -> tuple[str, ...]:
        """The commands that take files of this kind."""
        if not self.reader:
            return ()
        return ANY + (ONE_FILE if self.alone else ()) + (DICOM_ONLY if self.name == "dicom" else ())

    def load(self) -> Callable[..., Any]:
        """The reader; imported when it is asked for, since decoders are slow to import."""
        module, _, function = self.reader.partition(":")
        reader: Callable[..., Any] = getattr(import_module(f"mcsdr.io.{module}"), function)
        return reader


def format_of(head: bytes) -> Format | None:
    """The kind of file that begins with these bytes, None where it is not known; `HEAD` of them tell."""
    return next((kind for kind in FORMATS if kind.fits(head)), None)


def named_as(name: str) -> Format | None:
    """The format with a reader whose suffix a file's name carries, None where there is none."""
    readable = (kind for kind in FORMATS if kind.reader)
    return next((kind for kind in readable if kind.suffixes and name.lower().endswith(kind.suffixes)), None)


def suffixes_of(*modules: str) -> tuple[str, ...]:
    """The suffixes of all formats that these modules of `mcsdr.io` read."""
    return tuple(suffix for kind in FORMATS if kind.reader.partition(":")[0] in modules for suffix in kind.suffixes)


def import_readers() -> None:
    """Import every reader now, for a process that may not open files later."""
    for kind in FORMATS:
        if kind.reader:
            kind.load()


FORMATS = (
    Format(
        "dicomdir",
        "DICOMDIR",
        (),
        "DICM and its media storage class",
        is_dicomdir,
        next_step="It lists the files of a study: give the folder that it lies in.",
    ),
    Format(
        "dicom",
        "DICOM, multi-frame ultrasound",
        (".dcm", ".dicom", ".ima"),
        "DICM after 128 bytes, or an element of group 2 or 8 at the start",
        begins_as_dicom,
        "dicom:read_dicom",
    ),
    Format("avi", "AVI", (".avi",), "RIFF … AVI", riff(b"AVI ", b"AVIX"), "video:read_avi"),
    Format(
        "mov",
        "MP4, MOV and relatives",
        (".mp4", ".mov", ".m4v", ".3gp", ".3g2", ".qt"),
        "a box ftyp, moov, mdat, wide, free, skip or pnot at the start",
        is_quicktime,
        "video:read_mov",
    ),
    Format(
        "matroska",
        "Matroska and WebM",
        (".mkv", ".webm"),
        "1A 45 DF A3",
        begins(b"\x1aE\xdf\xa3"),
        "video:read_matroska",
    ),
    Format(
        "asf",
        "Windows Media",
        (".wmv", ".asf"),
        "30 26 B2 75 8E 66 CF 11",
        begins(b"0&\xb2u\x8ef\xcf\x11"),
        "video:read_asf",
    ),
    Format(
        "mpeg",
        "MPEG program stream",
        (".mpg", ".mpeg", ".vob"),
        "00 00 01 BA",
        begins(b"\0\0\1\xba"),
        "video:read_mpeg",
    ),
    Format(
        "mpegvideo",
        "MPEG-1 or MPEG-2 video alone",
        (".m1v", ".m2v"),
        "00 00 01 B3",
        begins(b"\0\0\1\xb3"),
        "video:read_mpegvideo",
    ),
    Format(
        "mpegts",
        "MPEG transport stream",
        (".ts", ".m2ts", ".mts"),
        "0x47 every 188 or 192 bytes",
        is_transport_stream,
        "video:read_mpegts",
    ),
    Format("flv", "Flash video", (".flv",), "FLV", begins(b"FLV\1"), "video:read_flv"),
    Format("gif", "animated GIF", (".gif",), "GIF87a or GIF89a", begins(b"GIF87a", b"GIF89a"), "pictures:read_gif"),
    Format("webp", "animated WebP", (".webp",), "RIFF … WEBP", riff(b"WEBP"), "pictures:read_webp"),
    Format(
        "tiff",
        "multi-page TIFF",
        (".tif", ".tiff"),
        "II or MM, then 42 or 43",
        begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "pictures:read_tiff",
        rate="given",
    ),
    Format("nifti", "NIfTI", (".nii", ".nii.gz"), "n+1 or n+2, gzipped or not", is_nifti, "nifti:read_nifti"),
    Format(
        "mhd",
        "MetaImage (.mhd with its raw file, .mha)",
        (".mhd", ".mha"),
        "lines NDims and DimSize",
        is_metaimage,
        "metaimage:read_metaimage",
        rate="given",
        alone=False,
    ),
    Format("nrrd", "NRRD", (".nrrd",), "NRRD000", begins(b"NRRD000"), "nrrd:read_nrrd"),
    Format(
        "npy",
        "NumPy array",
        (".npy",),
        "\\x93NUMPY and a shape of 3 or 4 axes",
        is_sequence_array,
        "arrays:read_npy",
        rate="given",
    ),
    Format("npz", "NumPy archive", (".npz",), "a zip that begins with an .npy", is_array_archive, "arrays:read_npz"),
    Format(
        "picture",
        "single picture",
        (),
        "PNG, JPEG, BMP, JPEG 2000, HEIF",
        is_picture,
        next_step=(
            "Give the loop that it was taken from; pictures that are numbered make a clip as a folder of their own."
        ),
    ),
    Format(
        "stream",
        "H.264 or HEVC without a container",
        (),
        "a start code and a parameter set",
        is_raw_coded,
        next_step="It does not say how fast it plays: wrap it with ffmpeg -r HZ -i IN -c copy OUT.mp4.",
    ),
    Format("ogg", "Ogg", (), "OggS", begins(b"OggS"), next_step=CONVERT),
    Format("pdf", "PDF document", (), "%PDF", begins(b"%PDF"), next_step="Give the clip that it reports on."),
    Format(
        "hdf5",
        "HDF5",
        (),
        "89 HDF",
        begins(b"\x89HDF\r\n"),
        next_step=("Save its frames as .npz with `frames` [T, H, W] and `frame_rate_hz`, or export the clip as DICOM."),
    ),
    Format(
        "mat",
        "MATLAB file",
        (),
        "MATLAB 5.0",
        begins(b"MATLAB 5.0"),
        next_step=("Save its frames as .npz with `frames` [T, H, W] and `frame_rate_hz`."),
    ),
    Format("zip", "ZIP archive", (), "PK", begins(b"PK\3\4", b"PK\5\6"), next_step=UNPACK),
    Format(
        "archive",
        "archive",
        (),
        "7z, RAR, tar, gzip, bzip2, xz, zstd",
        is_archive,
        next_step=UNPACK,
    ),
    Format(
        "text",
        "text or table",
        (),
        "no control characters",
        is_text,
        next_step=("`mcsdr batch` takes a table whose column `file` names clips, `mcsdr check` a data set."),
    ),
)
