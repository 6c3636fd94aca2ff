"""`extend` from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_posenc.api.shown import ShownResult
from lightning_posenc.api.words import Paths, following, joined, options
from lightning_posenc.extend.command import extended
from lightning_posenc.extend.comparing import Compared
from lightning_posenc.extend.pictures import drawn
from lightning_posenc.extend.tables import StudyTable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class ExtensionResult(ShownResult):
    """What ways to a longer context came to.

    Args:
        compared: As the command leaves it.
    """

    def __init__(self, compared: Compared) -> None:
        self._compared = compared
        self.html_page = compared.files[1]

    @property
    def title(self) -> str:
        return self._compared.page.title

    @property
    def said(self) -> list[str]:
        page = self._compared.page
        left = [f"left out: {reason}" for reason in page.left_out]
        return [*page.conclusion, *page.about, *left, f"The whole page: {self.html_page}"]

    @property
    def table(self) -> "pd.DataFrame":
        """A line for each method: what it gains, and what it costs."""
        return _frame(self._compared.page.tables[0])

    @property
    def tables(self) -> "dict[str, pd.DataFrame]":
        """All tables of the page by title."""
        return {table.title: _frame(table) for table in self._compared.page.tables}

    @property
    def figures(self) -> "dict[str, Figure]":
        return dict(drawn(self._compared.found))


def extend(
    hf: str | Path,
    to: int,
    text: Paths | None = None,
    *,
    methods: str | Sequence[str] | None = None,
    method: str | None = None,
    save: str | Path | None = None,
    finetune: int = 0,
    rate: float | None = None,
    train_text: Paths | None = None,
    sequences: int | None = None,
    lengths: Sequence[int] | None = None,
    task_lengths: Sequence[int] | None = None,
    depths: Sequence[float] | None = None,
    last: int | None = None,
    passkeys: int | None = None,
    orders: int | None = None,
    seed: int = 0,
    gguf: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    attention: str | None = None,
    out: str | Path | None = None,
) -> ExtensionResult | None:
    """Compare ways to let a trained language model read longer texts, and save one of them.

    Example:
        >>> from lightning_posenc import api
        >>> api.extend("model", to=16384)
        Traceback (most recent call last):
        ...
        ValueError: extend: name a text by --text FILE, or --save alone what is known

    Args:
        hf: A Hugging Face model: a folder, or owner/name.
        to: Tokens to extend to, at least 4.
        text: Files of text to read; None to save without comparing.
        methods: Which are compared: "yarn", "ntk", …; None for all that the model can take.
        method: The one that is saved or fine-tuned.
        save: Folder for the model extended by `method`; None for none.
        finetune: Steps of training for each method, or for `method` alone.
        rate: Peak of its learning rate; None for 0.001.
        train_text: Files to train on; None for what `text` has left.
        sequences: Of `to` tokens from each text, at most; None for 4.
        lengths: At which losses are told; None for halves and doubles of the trained length.
        task_lengths: Of passkeys and orders; None for those of `lengths` that have room.
        depths: Where passkeys are hidden, in [0, 1].
        last: How many tokens are the last ones.
        passkeys: Prompts for each length and depth; None for 2.
        orders: Prompts of the order task for each length; None for 8.
        seed: Of prompts and training.
        gguf: The file of weights in the folder, if they are in GGUF.
        device: None for CUDA where there is one.
        dtype: Of the weights; None for float32.
        attention: "sdpa" or "eager"; None for the first.
        out: Where the page goes; None for `runs/extend/MODEL-TO`.

    Returns:
        What was compared; None without a text.

    Raises:
        ValueError: On what the command line refuses, in its words.
    """
    words = options(
        hf=hf, to=to, methods=joined(methods), method=method, save=save, finetune=finetune,
        rate=rate, sequences=sequences, lengths=joined(lengths), task_lengths=joined(task_lengths),
        depths=joined(depths), last=last, passkeys=passkeys, orders=orders, seed=seed, gguf=gguf,
        device=device, dtype=dtype, attention=attention, out=out,
    )  # fmt: skip
    words += [*following("text", text), *following("train_text", train_text)]
    compared = extended(words)
    return None if compared is None else ExtensionResult(compared)


def _frame(table: StudyTable) -> "pd.DataFrame":
    import pandas as pd

    first, *others = table.header
    rows = [[str(cell) for cell in row] for row in table.rows]
    frame = pd.DataFrame([row[1:] for row in rows], columns=others)
    frame.index = pd.Index([row[0] for row in rows], name=first)
    return frame
