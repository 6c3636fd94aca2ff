"""Do our encoders say what the families of Hugging Face say, in both directions?

    python benchmarks/conversion.py --write        (to docs/conversion.md)

Needs what the tests need: the models are those of `tests/pretrained/conversion/`.
"""

import argparse
import contextlib
import logging
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml

from lightning_posenc.pretrained.conversion import FAMILIES, to_ours, to_theirs
from lightning_posenc.pretrained.conversion.families import family_for
from lightning_posenc.pretrained.conversion.proof import largest_difference, probe
from lightning_posenc.pretrained.conversion.wiring import Wiring
from lightning_posenc.training.built import Built
from tests.pretrained.conversion import ours, theirs
from tests.pretrained.conversion.test_parity import SCALINGS

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "conversion.md"
SEEDS = range(5)
TEXTS = {  # for configs whose data are an argument
    "TextData": ("text.txt", "Some text, which is enough. " * 40),
    "TextClassificationData": ("texts.csv", "text,label\n" + "some words,1\nothers,0\n" * 40),
    "TaggingData": ("tags.conll", "a X\nb Y\n\n" * 40),
}


def reading(name: str) -> list[str]:
    """A row: a model of theirs, read."""
    model = theirs.made(name)
    module = to_ours(model)
    pad = getattr(model.config, "pad_token_id", None)
    batches = (probe(module, theirs.T, seed, pad) for seed in SEEDS)
    worst = max(largest_difference(module, model, batch) for batch in batches)
    return [name, type(model).__name__, type(module).__name__, f"{worst:.1e}"]


def writing(name: str) -> list[str]:
    """A row: a model of ours, written and read back."""
    module = ours.made(name)
    model = to_theirs(module)
    back = to_ours(model)
    found = [
        max(largest_difference(module, other, probe(module, theirs.T, seed)) for seed in SEEDS)
        for other in (model, back)
    ]
    family = family_for(Wiring(module)).name
    return [name, type(module).__name__, family, type(model).__name__, *(f"{x:.1e}" for x in found)]


def scaling(each: Any) -> list[str]:
    """A row: a scaling of RoPE, within its trained length and at three times it."""
    from functools import partial

    from lightning_posenc.modules import LanguageModel
    from lightning_posenc.positional import RoPE

    encoding = partial(RoPE, base=100.0, scaling=each)
    module = theirs.drawn(LanguageModel(ours.spec(**ours.LLAMA), theirs.V, positional=encoding))
    model = to_theirs(module.eval())
    back = to_ours(model)
    worst = []
    for other in (model, back):
        for length in (8, 24):
            batches = (probe(module, length, seed)._replace(lengths=None) for seed in SEEDS)
            worst.append(max(largest_difference(module, other, batch) for batch in batches))
    kind = model.config.rope_parameters["rope_type"]
    ramp = ", by turns" if getattr(each, "ramp", "") == "rotations" else ""
    return [type(each).__name__ + ramp, kind, f"{max(worst[:2]):.1e}", f"{max(worst[2:]):.1e}"]


def config(path: Path, folder: Path) -> list[str]:
    """A row: the family of a config's model, or what is in its way."""
    args = [f"--config={path}"]
    data = yaml.safe_load(path.read_text("utf-8"))["data"]
    if not data["init_args"].get("path", "made"):  # it is an argument
        name, text = TEXTS[data["class_path"]]
        (folder / name).write_text(text)
        args.append(f"--data.path={folder / name}")
    with contextlib.redirect_stdout(None):
        module = Built(args).model.eval()
    try:
        family = family_for(Wiring(module))
    except ValueError as error:
        return [path.stem, str(error)]
    return [path.stem, f"{family.name}, {type(family.write(Wiring(module))).__name__}"]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--write", action="store_true", help="to docs/conversion.md")
    args = parser.parse_args()
    logging.getLogger("lightning_posenc").setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted((ROOT / "configs").glob("*.yaml"))
        encoders = [path for path in paths if "PretrainedLanguageModel" not in path.read_text()]
        configs = [config(path, Path(folder)) for path in encoders]
    page = PAGE.format(
        versions=f"transformers {transformers.__version__}, torch {torch.__version__}",
        known=", ".join(f"`{name}`" for family in FAMILIES for name in family.reads),
        reading=table(
            ["model", "class there", "class here", "difference"], [*map(reading, theirs.CONFIGS)]
        ),
        writing=table(
            ["model", "class here", "family", "class there", "there", "read back"],
            [*map(writing, ours.MODELS)],
        ),
        scalings=table(["scaling", "rope_type", "there", "read back"], [*map(scaling, SCALINGS)]),
        configs=table(["config", "exports as"], configs),
    )
    print(page)
    if args.write:
        OUT.write_text(page, "utf-8")


PAGE = """# Our encoders and the families of Hugging Face

Made by `python benchmarks/conversion.py --write` ({versions}).

```sh
python -m lightning_posenc export --ckpt_path runs/NAME/ID --out DIR
```

```python
from lightning_posenc import from_pretrained, save_pretrained

model = from_pretrained("DIR")  # LanguageModel, SequenceClassifier, … of this package
save_pretrained(model, "OTHER")  # and back
```

Differences are the largest of any score, float32, over five batches of three sequences of which two
are padded (or of images). Every weight is drawn, biases and norms too, so that a name in the wrong
place shows.

## Read

Known are {known}.

{reading}

What is read so: of BERT's two token types the first is part of every position's vector, so that
pairs of texts are read as one; class tokens of images have their positions in their own vectors; a
model of masked words gets one token more, which is its own symbol for what is hidden, with the
vector of theirs.

## Written, and read back

{writing}

A tied head's factor (`HEAD_STD / embed_std`) is written into the last norm; missing biases are
written as zeros; weights of learned spectral norm as they work out.

## Scalings of RoPE, as `rope_parameters`

Sequences of one length, within the trained length and at three times it. (`dynamic` and `longrope`
look at the longest sequence of a batch there, at each sequence here.)

{scalings}

`NoPE` is written as `proportional` with `partial_rotary_factor` 0, `PRoPE` as `proportional`.

## Configs of this repository

{configs}

What has no family: `--format safetensors` writes any model, and `from_pretrained` reads it.
"""

if __name__ == "__main__":
    main()
