"""Random features: what they stand for, how they are drawn, and when anew.

Shapes: T tokens, M features, K channels of a head.
"""

from pathlib import Path

import lightning as L
import pytest
import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.callbacks import RedrawFeatures
from lightning_posenc.data import SyntheticData
from lightning_posenc.model import Attention, EncoderSpec, Performer
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.positional import PoPE, RoPE
from lightning_posenc.tasks import Copy

DIMS = Dims(32, 2, 1)


def test_features_are_orthogonal_and_as_long_as_normal_vectors() -> None:
    features = Performer(DIMS, 0, n_features=4096).features
    blocks = features.unflatten(0, (-1, 16))
    products = blocks @ blocks.mT
    off = products - torch.diag_embed(products.diagonal(dim1=-2, dim2=-1))
    assert off.abs().amax() < 1e-4
    assert features.square().sum(dim=-1).mean().item() == pytest.approx(16, rel=0.03)
    assert features.mean().item() == pytest.approx(0, abs=0.02)


def test_draws_are_of_seed_layer_and_number() -> None:
    def drawn(layer: int, number: int, seed: int) -> torch.Tensor:
        performer = Performer(Dims(32, 2, 2), layer, seed=seed)
        performer.draw(number)
        return performer.features

    first = drawn(0, 0, 0)
    assert torch.equal(first, drawn(0, 0, 0))
    for other in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert (drawn(*other) - first).abs().mean() > 0.5


@torch.no_grad()
def test_more_features_come_nearer_to_the_softmax() -> None:
    """The error of a mean of M draws falls as 1/√M: 64 times as many, 8 times nearer."""
    torch.manual_seed(0)
    x, errors = torch.randn(4, 20, 32), []
    softmax = Encoder(DIMS, RoPE, mixer=Attention, init_std=0.05).eval()
    for n in (64, 4096):
        many = [Encoder(DIMS, RoPE, mixer=lambda d, at, s=s, n=n: Performer(d, at, n, seed=s))
                for s in range(4)]  # fmt: skip
        for model in many:
            model.load_state_dict(softmax.state_dict(), strict=False)
        errors.append(sum((m.eval()(x) - softmax(x)).square().mean().sqrt().item() for m in many))
    assert errors[1] < errors[0] / 6
    assert errors[1] / 4 < 3e-4


@torch.no_grad()
@pytest.mark.parametrize("d_model", [32, 512])
def test_large_keys_overflow_nothing(d_model: int) -> None:
    of = Performer(Dims(d_model, 1, 1), 0)
    x = 30 * torch.randn(1, 1, 9, d_model)
    for each in (x, 0.01 * x):
        exponent = of._exponent(each)
        assert exponent.isfinite().all()
        assert (exponent <= of.features.square().sum(dim=-1) / 2 + 1e-2).all()
    encoder = Encoder(Dims(d_model, 1, 1, causal=True), mixer=Performer, init_std=1.0)
    assert encoder(torch.randn(2, 50, d_model)).isfinite().all()


def test_encodings_that_widen_queries_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^Performer: its features are of 16 channels, and PoPE"):
        Encoder(DIMS, PoPE, mixer=Performer)(torch.randn(1, 5, 32))


def test_features_are_drawn_anew_by_the_step_and_a_resumed_run_has_the_same(tmp_path: Path) -> None:
    drawn: list[int] = []

    def trained(steps: int, **more: str) -> torch.Tensor:
        drawn.clear()
        model = TokenClassifier(EncoderSpec(16, 2, 1, mixer=Watched), 12, 12)
        trainer = L.Trainer(
            max_steps=steps, callbacks=[RedrawFeatures(every=2)], default_root_dir=tmp_path,
            logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, limit_val_batches=0, accelerator="cpu",
        )  # fmt: skip
        data = SyntheticData(Copy(n_symbols=8), 6, [6], batch_size=4, steps_per_epoch=10)
        trainer.fit(model, data, weights_only=False, **more)
        trainer.save_checkpoint(tmp_path / f"{steps}.ckpt")
        return model.encoder.mixers[0].get_buffer("features")

    class Watched(Performer):
        def draw(self, number: int) -> None:
            super().draw(number)
            drawn.append(number)

    whole = trained(5)
    assert drawn == [0, 1, 2]
    trained(3)
    resumed = trained(5, ckpt_path=str(tmp_path / "3.ckpt"))
    assert torch.equal(whole, resumed)


def test_a_model_without_features_is_told() -> None:
    model = TokenClassifier(EncoderSpec(16, 2, 1), 12, 12)
    with pytest.raises(ValueError, match=r"set model\.encoder\.mixer=Performer"):
        RedrawFeatures().setup(None, model, "fit")  # type: ignore[arg-type]
