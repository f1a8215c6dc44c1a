"""A contact sheet: all figures of a gallery as one small picture."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from xfer_bench.errors import ResultsError
from xfer_bench.plotting.style import figure_style
from xfer_bench.results import write_whole

_DPI = 100
_GAP = 0.06


def contact_sheet(figures: Sequence[Path], *, across: int = 2, width: float = 12.0) -> bytes:
    """A PNG with these PNGs in so many columns, each under the shortest column so far; width in inches of 100 dots.

    Raises ResultsError for no figures and for a file that is no PNG.
    """
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    if not figures:
        raise ResultsError("a contact sheet needs figures; draw them as PNG first")
    try:
        images = [imread(path) for path in figures]
    except (OSError, SyntaxError, ValueError) as error:
        raise ResultsError(f"cannot read a figure as PNG: {error}") from None
    columns = min(across, len(images))
    wide = (width - _GAP * (columns + 1)) / columns
    # All on one scale: a figure that is narrower than the widest stays so.
    inches = [wide * image.shape[1] / max(one.shape[1] for one in images) for image in images]
    below = [_GAP] * columns
    places = []
    for image, across_it in zip(images, inches, strict=True):
        column = min(range(columns), key=lambda one: below[one])
        high = across_it * image.shape[0] / image.shape[1]
        left = _GAP + column * (wide + _GAP) + (wide - across_it) / 2
        places.append((left, below[column], across_it, high))
        below[column] += high + _GAP
    height = max(below)
    with figure_style():
        sheet = Figure(figsize=(width, height), facecolor="white")
        for image, (left, top, across_it, high) in zip(images, places, strict=True):
            ax = sheet.add_axes((left / width, 1 - (top + high) / height, across_it / width, high / height))
            ax.set_axis_off()
            ax.imshow(image, aspect="auto", interpolation="lanczos")
        buffer = BytesIO()
        sheet.savefig(buffer, format="png", dpi=_DPI, pil_kwargs={"optimize": True})
    return buffer.getvalue()


def save_contact_sheet(folder: Path, path: Path) -> None:
    """The PNGs of a gallery's folder, by name, as one. Raises ResultsError as `contact_sheet` does."""
    write_whole(path, contact_sheet(sorted(one for one in folder.glob("*.png") if one.resolve() != path.resolve())))
