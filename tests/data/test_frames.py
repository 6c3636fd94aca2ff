"""Sound: its features, and sequences of tones that are drawn."""

import math

import numpy as np
import pytest
import torch

from lightning_posenc.data import LogMel, ToneData
from lightning_posenc.data.frames import tones
from lightning_posenc.draws import Draws


def test_bands_are_those_of_a_peer() -> None:
    """Hugging Face's audio_utils, with the HTK scale, then standardised."""
    peer = pytest.importorskip("transformers.audio_utils")
    rng = np.random.default_rng(0)
    audio, ours = rng.normal(size=4000), LogMel(8000, 20, 0.032, 0.01)
    filters = peer.mel_filter_bank(129, 20, 0.0, 4000.0, 8000, norm=None, mel_scale="htk")
    np.testing.assert_allclose(ours.filters(), filters, atol=1e-9)
    theirs = peer.spectrogram(
        audio, peer.window_function(256, "hann"), 256, 80, power=2.0, center=False,
        mel_filters=filters, log_mel="log",
    ).T  # fmt: skip
    found, lengths = ours(torch.from_numpy(audio)[None], torch.tensor([4000]))
    assert lengths.item() == len(theirs)
    np.testing.assert_allclose(found[0], (theirs - theirs.mean()) / theirs.std(), atol=1e-6)


def test_features_of_a_recording_are_its_own() -> None:
    """Whatever is longer in the batch; and of what is shorter than a window there is a frame."""
    audio, n_samples = torch.randn(4, 3000), torch.tensor([3000, 1501, 200, 3])
    audio[torch.arange(3000) >= n_samples[:, None]] = 0
    mel = LogMel(8000, 16)
    together, lengths = mel(audio, n_samples)
    for row, n in enumerate(n_samples.tolist()):
        alone, _ = mel(audio[row : row + 1, :n], n_samples[row : row + 1])
        assert alone.shape[1] == lengths[row] == max(0, n - 200) // 80 + 1
        torch.testing.assert_close(together[row, : lengths[row]], alone[0])
        assert not together[row, lengths[row] :].any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": 10, "window": 0.01}, "window=0.01 must hold a sample"),
        ({"rate": 8000, "hop": 1e-5}, "hop=1e-05 must hold a sample"),
        ({"rate": 8000, "n_mels": 129}, "n_mels=129 must be at most 128"),
        ({"rate": 16000, "n_mels": 128}, "n_mels=128 must be less: band 0 .* hear nothing"),
    ],
)
def test_windows_that_hold_nothing(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=f"^LogMel: {said}"):
        LogMel(**options)


def heard(audio: np.ndarray, n_pitches: int) -> list[int]:
    """The symbols by ear: where there is sound, and the peak of its spectrum."""
    loud = np.convolve(np.abs(audio) > 1e-3, np.ones(120), "same") > 0  # 15 ms
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    octaves = math.log2(tones.HIGHEST / tones.LOWEST) / (n_pitches - 1)
    pitches = []
    for start, end in edges.reshape(-1, 2):
        peak = np.argmax(np.abs(np.fft.rfft(audio[start:end], 8000)))  # Hz
        pitches.append(round(math.log2(peak / tones.LOWEST) / octaves))
    pairs = list(zip(pitches[::2], pitches[1::2], strict=True))
    return [first * (n_pitches - 1) + second - (second > first) for first, second in pairs]


def test_symbols_are_what_is_heard() -> None:
    """Silence and a spectrum tell; so transcripts are in the order of the sound."""
    melody = tones.drawn_melody(Draws(1, "test", torch.arange(12)), torch.arange(1, 13), 4)
    audio, n_samples = tones.sound(melody, noise=0.0)
    for row in range(12):
        found = heard(audio[row, : n_samples[row]].numpy(), 4)
        assert found == melody.symbols[row, : row + 1].tolist()
    assert len(melody.symbols.unique()) == 13  # all twelve, and what stands behind them


def test_noise_is_as_loud_as_said() -> None:
    melody = tones.drawn_melody(Draws(0, "test", torch.arange(4)), torch.full((4,), 8), 4)
    loud, quiet = (tones.sound(melody, noise)[0] for noise in (2.0, 0.0))
    of_noise = (loud - quiet)[:, : int(melody.n_samples.min())]
    assert of_noise.std().item() == pytest.approx(2 * 0.5**0.5, rel=0.02)
    assert abs(of_noise.mean().item()) < 0.02


def test_a_sample_depends_on_its_number_alone() -> None:
    data = ToneData(train_length=[1, 5], batch_size=4, eval_samples=4, seed=3)
    (batch,) = data.val_dataloader()
    items = data.val_dataloader().dataset
    for row, length in enumerate(batch.lengths.tolist()):
        alone = items[row]
        assert alone.lengths.item() == length
        torch.testing.assert_close(alone.tokens[0], batch.tokens[row, :length])
        n = alone.targets.shape[1]
        assert torch.equal(alone.targets[0], batch.targets[row, :n])
    again = ToneData(train_length=[1, 5], batch_size=4, eval_samples=4, seed=4)
    assert not torch.equal(next(iter(again.val_dataloader())).targets, batch.targets)
    assert data.n_classes == 12
    assert data.printed_answer([0, 3, 11]) == "0-1 1-0 3-2"


def test_a_checkpoint_of_other_tones_is_refused() -> None:
    theirs = ToneData(n_pitches=5, n_mels=24).state_dict()
    line = r"^data.n_pitches=4, the checkpoint was trained with 5; data.features.n_mels=20, "
    with pytest.raises(ValueError, match=line):
        ToneData().adopt(theirs)
    ToneData(n_pitches=5, n_mels=24, noise=1.0).adopt(theirs)
