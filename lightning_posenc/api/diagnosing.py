"""`diagnose` from Python."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc import shipped
from lightning_posenc.api.shown import ShownResult
from lightning_posenc.api.words import Paths, following, options, settings
from lightning_posenc.diagnose import page
from lightning_posenc.diagnose.ailments import Finding
from lightning_posenc.diagnose.command import Examined, examined
from lightning_posenc.diagnose.pictures import drawn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class DiagnosisResult(ShownResult):
    """What the doctor found.

    Args:
        found: As the command leaves it.
    """

    def __init__(self, found: Examined) -> None:
        self._found = found
        self._summary = page.summary(*found[:3])
        self.html_page = found.files[1]

    @property
    def verdict(self) -> str:
        """The worst: `ill`, `watch` or `healthy`."""
        return str(self._summary.verdict)

    @property
    def title(self) -> str:
        return self._summary.line

    @property
    def said(self) -> list[str]:
        sentences = self._summary.cause, self._summary.about, f"The whole page: {self.html_page}"
        return [sentence for sentence in sentences if sentence]

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each ailment, the worst first: name, verdict, what was measured, what helps."""
        import pandas as pd

        rows = [
            (ailment.number, ailment.name, str(found.verdict), found.said, _helps(found))
            for ailment, found in page.worst_first(self._found.diagnosis)
        ]
        columns = ["number", "ailment", "verdict", "measured", "what helps"]
        return pd.DataFrame(rows, columns=columns).set_index("number")

    @property
    def by_layer(self) -> "pd.DataFrame":
        """A column for each quantity, a row for each layer; of heads, what stands for the layer."""
        import pandas as pd

        found = page.measured_by_layer(self._found.examination)
        frame = pd.DataFrame({title: pd.Series(values) for title, values in found.items()})
        frame.index.name = "layer"
        return frame

    @property
    def figures(self) -> "dict[str, Figure]":
        return drawn(self._found.examination)

    def __repr__(self) -> str:
        ill = self.table[["ailment", "verdict"]]
        shown = ill[ill.verdict.isin(("ill", "watch"))]
        return "\n".join([self.title, *self.said, *([] if shown.empty else [shown.to_string()])])


def diagnose(
    checkpoint: str | Path | None = None,
    given: Mapping[str, Any] | None = None,
    *,
    config: str | Path | None = None,
    hf: str | Path | None = None,
    text: Paths | None = None,
    length: int | None = None,
    sequences: int | None = None,
    skip: Paths | None = None,
    device: str | None = None,
    dtype: str | None = None,
    gguf_file: str | None = None,
    cause_seconds: float | None = None,
    out: str | Path | None = None,
) -> DiagnosisResult:
    """Examine a model: a verdict on each ailment of deep stacks, by layer, and what helps.

    Example:
        >>> from lightning_posenc import api
        >>> api.diagnose()
        Traceback (most recent call last):
        ...
        ValueError: diagnose: name --ckpt_path, --config or --hf: see --help

    Args:
        checkpoint: A checkpoint of this package, or its run directory.
        given: Settings that beat those of its config.
        config: A config, whose model is examined untrained, in place of a checkpoint.
        hf: A Hugging Face model, in place of both: a folder, a GGUF file, or owner/name.
        text: Files of text for `hf`.
        length: Tokens of a sequence, of `hf`.
        sequences: How many, of `hf`.
        skip: What is left out, of `hf`: "context", "passkey", "order".
        device: Of `hf`; None for the CPU.
        dtype: Of the weights of `hf`; None for float32.
        gguf_file: A file in the folder of `hf`.
        cause_seconds: How long copies of an ill model may be trained to find the cause; None for
            120.
        out: Where the page goes; None for the run's directory, else the working directory.

    Raises:
        ValueError: On what the command line refuses, in its words.
    """
    found = None if config is None else shipped.path_of("configs", str(config))
    words = options(
        ckpt_path=checkpoint, config=found, hf=hf, length=length, sequences=sequences,
        device=device, dtype=dtype, gguf_file=gguf_file, cause_seconds=cause_seconds, out=out,
    )  # fmt: skip
    words += [*following("text", text), *following("skip", skip), *settings(given or {})]
    return DiagnosisResult(examined(words))


def _helps(found: Finding) -> str:
    return "; ".join(
        f"{each.line} ({each.why})" if each.line else each.why for each in found.remedies
    )
