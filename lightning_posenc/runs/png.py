"""Figures as PNG, and PNG within a page that needs no other file."""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png(figure: "Figure", dpi: int) -> bytes:
    """A figure as a PNG file has it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def data_uri(image: bytes) -> str:
    """A PNG as the `src` of an `<img>`."""
    return "data:image/png;base64," + base64.b64encode(image).decode()
