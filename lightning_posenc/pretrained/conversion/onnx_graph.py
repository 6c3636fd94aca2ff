"""A model as a graph of ONNX, of any number of sequences of any length.

Shapes: B sequences, T tokens, V scores.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.data.batch import Batch
from lightning_posenc.mistakes.one_line import reason
from lightning_posenc.modules import EncoderModule
from lightning_posenc.pretrained.conversion.proof import MOST_TOKENS, probe
from lightning_posenc.runs.whole_files import whole_folder
from lightning_posenc.tasks import IGNORE

GRAPH = "model.onnx"
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


class _Scores(nn.Module):
    """What a graph computes: scores of tokens (B, T) and their lengths (B,), or of images."""

    def __init__(self, module: EncoderModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.module.logits(Batch(tokens, tokens.new_full((1,), IGNORE), lengths))


def save(module: EncoderModule, folder: Path, longest: int) -> float:
    """Write `model.onnx` and run it: inputs `tokens` and `lengths`, output `scores`.

    Args:
        module: The model, in evaluation mode.
        folder: Where to; nothing is there yet.
        longest: The longest sequence that the model may be given.

    Returns:
        The largest difference of its scores from the model's, on sequences of other lengths.

    Raises:
        ValueError: If the packages for it are not installed, or the model has what ONNX has not.
    """
    for name in _NEEDED:
        try:
            __import__(name)
        except ImportError:
            raise ValueError(
                f"{name} is not installed: pip install {' '.join(_NEEDED)}, or --format safetensors"
            ) from None
    batch, again = probe(module, longest), probe(module, min(longest, MOST_TOKENS) - 1, seed=1)
    with whole_folder(folder) as unfinished:
        try:
            _write(module, batch, unfinished / GRAPH)
        except Exception as error:  # of every kind
            raise ValueError(
                f"--format onnx: torch.onnx cannot write this model ({type(error).__name__}: "
                f"{reason(error)[:200]}); --format safetensors writes it"
            ) from error
        return max(_difference(module, each, unfinished / GRAPH) for each in (batch, again))


def _write(module: EncoderModule, batch: Batch, path: Path) -> None:
    rows = torch.export.Dim("sequences", min=1)
    shapes: dict[str, Any] = {"tokens": {0: rows}}
    if batch.lengths is not None:
        shapes["tokens"][1] = torch.export.Dim("length", min=1)
        shapes["lengths"] = {0: rows}
    else:
        shapes["lengths"] = None
    torch.onnx.export(
        _Scores(module).eval(),
        (batch.tokens, batch.lengths),
        path,
        input_names=["tokens", *(["lengths"] if batch.lengths is not None else [])],
        output_names=["scores"],
        dynamic_shapes=shapes,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


@torch.no_grad()
def _difference(module: EncoderModule, batch: Batch, path: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {"tokens": batch.tokens, "lengths": batch.lengths}
    inputs = {name: value.numpy() for name, value in given.items() if value is not None}
    (found,) = session.run(["scores"], inputs)
    return float((torch.from_numpy(found) - module.logits(batch)).abs().max())
