"""What a notebook shows of a result: a title, sentences, a table, pictures."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from lightning_posenc.runs.png import data_uri, png

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DPI = 100
WIDTH = 420  # pixels of a picture


class ShownResult(ABC):
    """A result that shows itself, in a notebook as in a terminal."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is, in a few words."""

    @property
    @abstractmethod
    def said(self) -> list[str]:
        """What it comes to, in sentences."""

    @property
    @abstractmethod
    def table(self) -> "pd.DataFrame":
        """Its most important numbers."""

    @property
    @abstractmethod
    def figures(self) -> "Mapping[str, Figure]":
        """Its pictures by title."""

    def __repr__(self) -> str:
        table = self.table
        shown = [] if table.empty else [table.to_string()]
        return "\n".join([self.title, *self.said, *shown])

    def _repr_html_(self) -> str:
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.said)
        table = self.table
        shown = "" if table.empty else table.to_html(escape=True, float_format=_short, na_rep="")
        pictures = "".join(
            f'<figure style="display:inline-block;margin:4px"><img width="{WIDTH}" '
            f'alt="{escape(title)}" src="{data_uri(png(figure, DPI))}">'
            f"<figcaption>{escape(title)}</figcaption></figure>"
            for title, figure in self.figures.items()
        )
        return f"<h4>{escape(self.title)}</h4>{sentences}{shown}<div>{pictures}</div>"


def _short(value: float) -> str:
    return f"{value:.4g}"
