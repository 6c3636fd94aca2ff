"""From a checkpoint to a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_posenc.pretrained.conversion import onnx_graph
from lightning_posenc.pretrained.conversion.folders import save_pretrained
from lightning_posenc.training.built import Built


def export(ckpt_path: Path, out: Path, format: str, rest: Sequence[str] = ()) -> None:
    """Write a checkpoint's model, and print what was compared.

    Args:
        ckpt_path: The checkpoint, or a run's directory.
        out: The folder; nothing is there yet.
        format: "huggingface", "safetensors" or "onnx".
        rest: Other arguments of `test`, which beat the checkpoint's config.

    Raises:
        ValueError: What the user can mend; nothing is left then.
    """
    made = Built(["--ckpt_path", str(ckpt_path), *rest])
    module, data = made.model.eval(), made.datamodule
    known: dict[str, Any] = {
        "vocabulary": getattr(data, "vocabulary", None),
        "class_names": tuple(getattr(data, "class_names", None) or ()),
        "trained_length": trained_length(data),
    }
    if format == "onnx":
        difference = onnx_graph.save(module, out, known["trained_length"])
        print(f"{out}: ONNX; scores differ by {difference:.1e} at most")
        return
    saved = save_pretrained(module, out, format, **known)  # type: ignore[arg-type]
    what = f"a plain folder of {saved.family}" if saved.family else "weights and arguments"
    print(f"{out}: {what}{', with its tokenizer' if saved.has_tokenizer else ''}")
    for who, difference in saved.differences.items():
        print(f"{who}: scores differ by {difference:.1e} at most")


def trained_length(data: Any) -> int:
    """The longest sequence of a data module's training, in tokens; 2048 if it does not say."""
    length = getattr(data, "train_length", 2048)
    if (task := getattr(data, "task", None)) is not None:
        return task.width(data.trained_lengths[1])
    return length if isinstance(length, int) else 2048
