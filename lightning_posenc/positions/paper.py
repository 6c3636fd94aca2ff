"""Where a method comes from."""

from typing import NamedTuple


class Paper(NamedTuple):
    """The paper that a class transcribes.

    Args:
        authors: As it is cited: "Su et al.", "Shaw, Uszkoreit, Vaswani".
        year: Of the version that is meant.
        title: Of the paper.
        arxiv: Its number at arXiv.
        where: The equations or sections that the class is; empty if it is all of the paper.
    """

    authors: str
    year: int
    title: str
    arxiv: str
    where: str = ""

    @property
    def name(self) -> str:
        """First author and year."""
        first = self.authors.split(",")[0].removesuffix(" et al.")
        return f"{first} {self.year}"

    @property
    def link(self) -> str:
        """In Markdown."""
        return f"{self.name}, [{self.arxiv}](https://arxiv.org/abs/{self.arxiv})"
