"""The command `export`: write a checkpoint's model for others to use."""

from collections.abc import Sequence
from pathlib import Path

from lightning_posenc.mistakes.arguments import OneLineParser

HELP = """usage: python -m lightning_posenc export --ckpt_path FILE --out DIR
           [--format huggingface|safetensors|onnx] [OPTIONS of test]

Write a checkpoint's model to a new folder, read it again, and compare what the two say.

  --ckpt_path FILE  a checkpoint of this package; what else is given beats its config
  --out DIR         the folder; nothing is there yet
  --format FORMAT   huggingface (the default): a plain folder of the family whose wiring the model
                      has (Llama, GPT-NeoX, GPT-2, BERT, BLOOM, ViT), which transformers reads and
                      pipelines run, the tokenizer with it; one line says which option prevents it
                    safetensors: weights and arguments of any model, which
                      lightning_posenc.pretrained.from_pretrained(DIR) reads
                    onnx: a graph for other runtimes, of sequences of any length
"""


def run(args: Sequence[str]) -> None:
    """Write the folder, and print what was compared.

    Raises:
        ValueError: What the user can mend.
    """
    if not args or "--help" in args or "-h" in args:
        print(HELP)
        return
    parser = OneLineParser("export", add_help=False)
    parser.add_argument("--ckpt_path", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--format", choices=("huggingface", "safetensors", "onnx"), default="huggingface"
    )
    given, rest = parser.parse_known_args(args)
    # Late, so that --help and mistakes do not wait for them.
    from lightning_posenc.export.writing import export

    export(given.ckpt_path, given.out, given.format, rest)
