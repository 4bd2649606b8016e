"""What is true of a phantom's pictures: label maps, contours, the long axis, and when the ventricle is full and empty.

Everything follows from the implicit heart of `heart` and the plane of `planes`, nothing from the pictures. Labels
threshold the surfaces at the pixel centres; contours solve them. With the radius of the cavity's ellipse,

    (x/a)² + (y/b)² = p(s)²,

and x, y linear in the place u across the long axis, the endocardium of an apical plane is the two roots in u of a
quadratic at each level along it; in the short axis it is the ellipse itself. Papillary muscles and leaflets count to
the cavity, as readers draw it. What lies outside the sector is labelled all the same.

Points are (x, y) in pixels, x to the right and y downwards, with pixel centres at ½: (x, y) lies in
frames[⌊y⌋, ⌊x⌋]. Times are seconds of the view's own recording; sizes are (height, width).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import anatomy, archive, heart, planes, ranges, ultrasound
from mcsdr.phantom.cohort import Person, rendered
from mcsdr.phantom.contraction import moment
from mcsdr.phantom.heart import Beat
from mcsdr.phantom.outline import Parameters, profile
from mcsdr.study import View

Array = NDArray[np.float64]

BACKGROUND, CAVITY, MYOCARDIUM, LEFT_ATRIUM = 0, 1, 2, 3
SIZE = (ultrasound.SIZE, ultrasound.SIZE)
PIXELS_AT_ONCE = 1 << 20
LEVELS = 96  # of an apical contour, on either side of its tip


def film(person: Person, view: View, times_s: Array, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """The recording's pictures at the given instants, [T, H, W]; the clip of `PhantomCohort` at its own instants.

    Arguments:
        person: a phantom, see `cohort.draw_person`.
        view: A4C, A2C or PSAX.
        times_s: seconds, [T].
        size: height and width of the pictures in pixels; pixels are square.
    """
    pictures = rendered([person.recording(view)], np.asarray(times_s)[None], view, size)
    return np.asarray(pictures[0])


def labels(person: Person, view: View, times_s: Array, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """What lies at each pixel's centre: 0 background, 1 LV cavity, 2 myocardium, 3 left atrium; [T, H, W].

    Arguments: as `film`.
    """
    p = _parameters(person, view)
    right, down = (side.expand(1, *size).reshape(1, 1, -1) for side in planes.pixels_mm(p, size))
    at_once = max(1, PIXELS_AT_ONCE // (size[0] * size[1]))
    chunks = [
        _labels(p, view, _instants(times_s[start : start + at_once]), right, down)
        for start in range(0, len(times_s), at_once)
    ]
    return np.concatenate(chunks).reshape(-1, *size)


def archived_labels(person: Person, view: View, times_s: Array, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """What lies at each pixel of the clip that the cohort has of a view: mirrored, shaken and frozen as the clip is.

    Arguments: as `labels`.
    """
    return archive.moved(labels(person, view, times_s, size), person.recording(view).parameters)


def ejected(person: Person, view: View, times_s: Array) -> Array:
    """The share of the end-diastolic volume that the left ventricle has ejected at the given instants, [T]."""
    p, times = _parameters(person, view), _instants(times_s)
    _, _, ef = moment(p, times)
    return np.asarray((ef * heart.beat(p, times).contraction)[0, :, 0].numpy())


def contour(person: Person, view: View, time_s: float, size: tuple[int, int] = SIZE) -> Array:
    """The endocardium, (x, y) in pixels [N, 2].

    Apical: from one end of the mitral annulus (the septal one in A4C, the inferior one in A2C) over the apex to the
    other. PSAX: a closed ring, its last point its first.

    Arguments: as `film`.

    Raises:
        InvalidConfig: a phantom of another appearance than plain.
    """
    p = _parameters(person, view)
    times = _instants([time_s])
    beat = heart.beat(p, times)
    if beat.unevenness is not None:
        raise InvalidConfig("a varied phantom has no drawn contour.", next_step="Take its labels, which are exact.")
    u, v = _ring(p, beat) if view == View.PSAX else _outline(p, view, beat)
    return _pixels(p, view, times, u, v, size)


def apex_and_base(person: Person, view: View, time_s: float, size: tuple[int, int] = SIZE) -> Array:
    """The long axis in an apical picture: the contour's tip, and the middle of its two ends; (x, y) in pixels [2, 2].

    Raises:
        InvalidConfig: the view is not apical.
    """
    line = contour(person, planes.check(view, planes.APICAL), time_s, size)
    return np.stack([line[len(line) // 2], (line[0] + line[-1]) / 2])


def key_times(person: Person, view: View) -> tuple[float, float]:
    """The first end-diastole at or after 0 in the view's recording, and the end-systole that follows, in seconds."""
    p = person.recording(view).parameters
    beat_s = 60 / p["heart_rate_bpm"]
    to_next: float = (-p["phase"] % 1.0) if "beat_starts" not in p else _to_next(p["beat_starts"], p["phase"])
    systole: float = p["systolic_share"]
    return to_next * beat_s, (to_next + systole) * beat_s


def _to_next(starts: Array, phase: float) -> float:
    return float(starts[np.searchsorted(starts, phase)] - phase)


def pixel_mm(person: Person, view: View, size: tuple[int, int] = SIZE) -> float:
    """Side of a pixel in millimetres of this person's heart."""
    p = _parameters(person, view)
    return (planes.image_side_mm(p) / min(size)).item() * float(person.parameters["size"])


def _parameters(person: Person, view: View) -> Parameters:
    """The recording's row in double precision, in millimetres of an adult's heart."""
    p = ranges.stack([person.recording(view).parameters], torch.device("cpu"))
    return planes.at_adult_size({name: value.double() for name, value in p.items()})


def _instants(times_s: Array | list[float]) -> Tensor:
    return torch.as_tensor(times_s, dtype=torch.float64)[None, :, None]


def _labels(p: Parameters, view: View, times: Tensor, right: Tensor, down: Tensor) -> NDArray[np.uint8]:
    """Labels of the pixels [1, 1, P] at the instants [1, T, 1], as [T, P]; a later line overrules an earlier one."""
    beat = heart.beat(p, times)
    x, y, z = planes.to_heart(p, view, *planes.to_plane(p, view, times, right, down), times)
    lies = heart.surfaces(p, beat, x, y, z)
    ventricle = lies.beyond_base_mm < 0
    label = torch.full(x.shape, BACKGROUND, dtype=torch.uint8)
    if "la_mm" in p:
        label[~ventricle & (anatomy.left_atrium_mm(p, beat, times, x, y, z) < 0)] = LEFT_ATRIUM
    else:
        chambers = heart.chambers(p, beat)
        beside = chambers["ra"]
        label[~ventricle & (chambers["la"].distance_mm(x, y, z) < 0)] = LEFT_ATRIUM
        label[~ventricle & (beside.distance_mm(x, y, z) < beside.wall_mm)] = BACKGROUND
    label[ventricle & (lies.epi_mm < 0)] = MYOCARDIUM
    label[ventricle & (lies.endo_mm < 0)] = CAVITY
    return np.asarray(label[0].numpy(), dtype=np.uint8)


def _ring(p: Parameters, beat: Beat) -> tuple[Tensor, Tensor]:
    """The short axis of the cavity in the plane, u and v, each [1, 1, P]."""
    angle = torch.linspace(0, 2 * math.pi, 2 * LEVELS + 1, dtype=torch.float64)[None, None, :]
    outline = profile((p["level"] * p["length_mm"] - beat.apex_mm) / beat.length_mm, p)
    return beat.a_mm * outline * torch.cos(angle), beat.b_mm * outline * torch.sin(angle)


def _outline(p: Parameters, view: View, beat: Beat) -> tuple[Tensor, Tensor]:
    """The apical contour in the plane, from the end of negative u over the tip to the other, each [1, 1, P]."""
    base = p["length_mm"] + (beat.base_mm - p["length_mm"]) / torch.cos(p["foreshortening"])
    tip = _tip(p, view, beat, base)
    share = torch.linspace(1, 0, LEVELS + 1, dtype=torch.float64)[None, None, :]
    v = tip + (base - tip) * share**2
    middle, half = _roots(p, view, beat, v)
    half = half.clamp(min=0).sqrt()
    return torch.cat([middle - half, (middle + half).flip(-1)[..., 1:]], -1), torch.cat([v, v.flip(-1)[..., 1:]], -1)


def _tip(p: Parameters, view: View, beat: Beat, base: Tensor) -> Tensor:
    """The least v at which the plane meets the cavity: first on a grid, then by halving."""
    grid = torch.linspace(-0.2, 1, 1201, dtype=torch.float64)[None, None, :] * base
    _, square = _roots(p, view, beat, grid)
    first = int((square[0, 0] > 0).nonzero()[0])
    outside, inside = grid[..., first - 1 : first], grid[..., first : first + 1]
    for _ in range(50):
        middle = (outside + inside) / 2
        meets = _roots(p, view, beat, middle)[1] > 0
        outside, inside = torch.where(meets, outside, middle), torch.where(meets, middle, inside)
    return inside


def _roots(p: Parameters, view: View, beat: Beat, v: Tensor) -> tuple[Tensor, Tensor]:
    """Of (x/a)² + (y/b)² = p(s)² at the levels v: the middle of the roots in u, and half their distance squared.

    x and y are c + e·u with c and e read off the plane at u = 0 and u = 1.
    """
    x0, y0, z = planes.to_heart(p, view, torch.zeros_like(v), v)
    x1, y1, _ = planes.to_heart(p, view, torch.ones_like(v), v)
    (cx, ex), (cy, ey) = (x0 / beat.a_mm, (x1 - x0) / beat.a_mm), (y0 / beat.b_mm, (y1 - y0) / beat.b_mm)
    square = ex**2 + ey**2
    middle = -(cx * ex + cy * ey) / square
    outline = profile((z - beat.apex_mm) / beat.length_mm, p)
    return middle, middle**2 - (cx**2 + cy**2 - outline**2) / square


def _pixels(p: Parameters, view: View, times: Tensor, u: Tensor, v: Tensor, size: tuple[int, int]) -> Array:
    right, down = planes.to_picture(p, view, times, u, v)
    return np.asarray(planes.to_pixels(p, size, right, down)[0, 0].numpy(), dtype=np.float64)
