"""How every kind of public class is built and used, for the scan of its arguments."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lightning_posenc import Dims, Encoder
from lightning_posenc.data import Batch, Lengths
from lightning_posenc.data.drawn import DrawnData
from lightning_posenc.data.order import EvalBatches, GlobalBatches, ShuffledPasses
from lightning_posenc.masks import Causal, Mask
from lightning_posenc.model import (
    MLP,
    Attention,
    CrossReading,
    Decoder,
    EncoderSpec,
    FeedForward,
    Frames,
    Inputs,
    Kernel,
    Memory,
    Mixer,
    Patches,
    Residual,
    Router,
    StagedEncoder,
)
from lightning_posenc.modules import (
    EncoderModule,
    GroupWarmup,
    ImageClassifier,
    SequenceClassifier,
)
from lightning_posenc.positional import ALiBi, PositionalEncoding, RoPE, Sinusoidal
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions import Places, Positions, Sequences
from lightning_posenc.positions.places import on_a_grid
from lightning_posenc.tasks import IGNORE, SCAN, Copy, Reverse, Task, generate
from tests.pretrained.tiny import shared

DIMS = Dims(32, 4, 2, causal=True)
CPU = torch.device("cpu")
T = 16  # a whole number of rows of the default Grid
TOKENS = torch.tensor([[1, 2, 10, 3, 11, 5, 6, 0] * 2, [4, 10, 5, 11, 9, 0, 0, 0] * 2])

# Where a parameter has no default, by its name; `DIMS` and others where the class wants another.
GIVEN: dict[str, Any] = {
    "measurements": ["rank_collapse"],
    "dims": DIMS,
    "encoding": ALiBi,
    "parts": [ALiBi, RoPE],
    "pattern": [ALiBi, RoPE],
    "factor": 2.0,
    "d_model": 32,
    "d_in": 8,
    "d_out": 8,
    "n_heads": 4,
    "n_layers": 2,
    "layer": 0,
    "low": 4,
    "high": 8,
    "samples": 10,
    "weights": {4: 1.0, 8: 1.0},
    "stages": {0: 4, 8: 8},
    "size": 4,
    "stride": 4,
    "mask": Causal(),
    "edges": [(node, node + 1) for node in range(T - 1)],
    "tasks": [Reverse(), Copy()],
    "at_step": 3,
    "n_items": 8,
    "batch_size": 4,
    "n_batches": 2,
    "vocab_size": 16,
    "n_classes": 16,
    "encoder": EncoderSpec(32, 4, 2),
    "name": "positional",
    "total_steps": 20,
    "feed_forward": MLP(Dims(32, 4, 2), 0),
    "norm": nn.LayerNorm,
}


def texts() -> dict[str, str]:
    """Small files for what reads some: data, and a model."""
    folder = Path(tempfile.mkdtemp())
    (folder / "tags.txt").write_text("a X\nb Y\n\n" * 8)
    (folder / "rows.csv").write_text("text,label\n" + "some words,1\nothers,0\n" * 8)
    (folder / "pairs.csv").write_text("source,target\n" + "some words,words some\na,b\n" * 8)
    np.savez(folder / "images.npz", images=np.ones((8, 4, 4), np.uint8), labels=[0, 1] * 4)
    shared("llama", "AutoModelForCausalLM").save_pretrained(folder / "llama")
    return {"PretrainedLanguageModel": str(folder / "llama"),
            "FrameData": str(folder / "rows.csv"),
            "ImageData": str(folder / "images.npz"),
            "TaggingData": str(folder / "tags.txt"),
            "TextPairData": str(folder / "pairs.csv"),
            "TextData": str(folder / "rows.csv"),
            "TextClassificationData": str(folder / "rows.csv")}  # fmt: skip


def used(kind: type, make: Callable[..., Any]) -> Any:
    """Build what `make` makes and use it as it is meant to be."""
    for base, use in USES.items():
        if issubclass(kind, base):
            return use(make)
    return make() and None


def _decoded(decoder: Decoder) -> Any:
    x = torch.randn(2, T, decoder.dims.d_model)
    return decoder(x, memory=Memory(x, Places(torch.arange(T)[None])))


def _staged(make: Callable[..., StagedEncoder]) -> Any:
    given: dict[str, Any] = make.keywords  # type: ignore[attr-defined]
    if given["dims"] is DIMS:
        given["dims"] = replace(DIMS, causal=False)
    encoder = make()
    return encoder(torch.randn(2, T, encoder.dims.d_model), positions=on_a_grid(4, T // 4, CPU))


def _in_each_layer(make: Callable[..., Any]) -> Callable[[Dims, int], Any]:
    """A factory that makes the suspect one first, then one of the other arguments a layer."""
    make()
    given: dict[str, Any] = dict(make.keywords)  # type: ignore[attr-defined]
    del given["dims"], given["layer"]
    return lambda dims, layer: make.func(dims, layer, **given)  # type: ignore[attr-defined]


def _forward(encoder: Encoder, positions: Tensor | None = None, backward: bool = True) -> Any:
    """Outputs and gradients of a model in training."""
    x = torch.randn(2, T, encoder.dims.d_model)
    y = encoder(x, positions=positions)
    if backward:
        y.square().sum().backward()
    grads = [parameter.grad for parameter in encoder.parameters() if parameter.grad is not None]
    return [y, *grads]


def _encoding(make: Callable[..., PositionalEncoding]) -> Any:
    dims = make.keywords.pop("dims")  # type: ignore[attr-defined]
    if dims is not DIMS:
        return make(dims=dims) and None
    encoder = Encoder(DIMS, make)
    penalty = encoder.positional.penalty()
    return [_forward(encoder, _served(encoder.positional)), penalty]


def _served(encoding: PositionalEncoding) -> Tensor | None:
    """Positions with as many axes as an encoding wants."""
    counted = torch.arange(T)[None]
    name = type(encoding).__name__
    if name in ("GraphDistanceBias", "LaplacianPE", "RandomWalkPE"):
        return (counted[..., None] - counted[:, None]).abs()
    axes = 2 if name == "LearnedGrid" else getattr(encoding, "axes", 1)
    axes = max(axes) if isinstance(axes, tuple) else axes
    return None if axes in (1, None) else (counted[..., None] % 8).expand(1, T, axes)


def _positions(make: Callable[..., Positions]) -> Any:
    sampler = make()
    documents = torch.zeros(2, T, dtype=torch.long)
    return [
        sampler.train(mode)(Sequences(2, T, CPU, documents, tokens=TOKENS))
        for mode in (True, False)
    ]


def _task(make: Callable[..., Task]) -> Any:
    task = make()
    length = next(length for length in range(8, 200) if _makes(task, length))
    sample = generate(task, 0, "train", torch.arange(4), length)
    tokens, targets = sample.tokens, sample.targets
    asked = targets[targets != IGNORE]
    assert tokens.min() >= 0
    assert tokens.max() < task.vocab_size
    assert asked.numel() == 0 or 0 <= asked.min() <= asked.max() < task.n_classes
    return [tokens, task.bag_of_tokens_bound(length)]


def _makes(task: Task, length: int) -> bool:
    try:
        task.check_length(length)
    except ValueError:
        return False
    return True


def _mixer(make: Callable[..., Mixer]) -> Any:
    given = make()
    dims = replace(given.dims, causal="causal" in given.serves)
    places = on_a_grid(4, T // 4, CPU).values if given.on_grid else None
    return _forward(Encoder(dims, mixer=_in_each_layer(make)), places)


def _module(make: Callable[..., EncoderModule]) -> Any:
    module = make()
    tokens = torch.randint(0, 2, (2, T))
    if isinstance(module, ImageClassifier):
        tokens = torch.randn(2, 3, 32, 32)
    per_token = not isinstance(module, SequenceClassifier | ImageClassifier)
    targets = torch.zeros(tokens.shape if per_token else 2, dtype=torch.long)
    if type(module).__name__ == "CTCModel":
        targets = targets[:, : T // 2]  # each of which wants a place, and a blank after it
    if type(module).__name__ in ("EncoderModule", "Classifier"):
        return None
    loss, logits, _ = module.score(Batch(tokens, targets), 0)
    return [loss, logits]


def _schedule(make: Callable[..., LRScheduler]) -> Any:
    schedule = make()
    rates = []
    for _ in range(5):
        schedule.optimizer.step()
        schedule.step()
        rates += schedule.get_last_lr()
    assert all(rate >= 0 for rate in rates)
    return rates


def _lengths(make: Callable[..., Lengths]) -> Any:
    drawn = make()(0, "train", torch.arange(20))
    assert drawn.min() >= 1
    return drawn


def _drawn(make: Callable[..., DrawnData]) -> Any:
    data = make()
    data.setup("fit")
    assert data.num_workers <= 1000
    return data.batch_size


def _order(make: Callable[..., ShuffledPasses]) -> Any:
    return make()(torch.arange(8))


def _batches(make: Callable[..., Any]) -> Any:
    return list(islice(make(), 1))


USES: dict[type, Callable[..., Any]] = {
    PositionalEncoding: _encoding,
    Scaling: lambda make: _forward(
        Encoder(DIMS, partial(RoPE, scaling=make())), torch.arange(T)[None] * 1000
    ),
    Positions: _positions,
    SCAN: lambda make: make() and None,  # its commands lie in the user's files
    Task: _task,
    Mask: lambda make: _forward(Encoder(Dims(32, 4, 2), mask=make())),
    Residual: lambda make: _forward(Encoder(DIMS, residual=_in_each_layer(make))),
    Mixer: _mixer,
    FeedForward: lambda make: _forward(Encoder(DIMS, feed_forward=_in_each_layer(make))),
    Router: lambda make: make()(torch.randn(2, T, 32)).weights,
    Patches: lambda make: make()(torch.randn(2, 3, 32, 32)),
    Frames: lambda make: make()(torch.randn(2, T, 80)),
    Inputs: lambda make: make()(TOKENS),
    Kernel: lambda make: _forward(
        Encoder(DIMS, mixer=partial(Attention, kernel=lambda dropout: make()))
    ),
    Dims: lambda make: _forward(Encoder(make())),
    CrossReading: lambda make: _decoded(Decoder(DIMS, cross=lambda dims: make())),
    Decoder: lambda make: _decoded(make()),
    StagedEncoder: _staged,
    Encoder: lambda make: _forward(make()),
    EncoderSpec: lambda make: _forward(make().build(Sinusoidal, None, True)),
    EncoderModule: _module,
    LambdaLR: _schedule,
    GroupWarmup: _schedule,
    Lengths: _lengths,
    DrawnData: _drawn,
    ShuffledPasses: _order,
    GlobalBatches: _batches,
    EvalBatches: _batches,
}
