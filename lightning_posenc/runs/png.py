"""Figures as PNG, and PNG within a page that needs no other file."""

import base64
import io
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png(figure: "Figure", dpi: int) -> bytes:
    """A figure as a PNG file has it."""
    return saved(figure, format="png", dpi=dpi)


def saved(figure: "Figure", **options: Any) -> bytes:
    """A figure as a file has it. A sign that the font lacks is a box, which tables beside it spell.

    Args:
        figure: Of matplotlib.
        options: Of its `savefig`.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(file, **options)
    return file.getvalue()


def data_uri(image: bytes) -> str:
    """A PNG as the `src` of an `<img>`."""
    return "data:image/png;base64," + base64.b64encode(image).decode()
