"""Sequences of tones, to be written down in their order; no file is needed.

Shapes: B samples, S samples of sound, U symbols of a sequence, N frames, F bands.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightning_posenc.checks import is_a, number, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.drawn import DrawnData
from lightning_posenc.data.frames.features import LogMel
from lightning_posenc.data.lengths import Lengths
from lightning_posenc.data.meaning import described, differences
from lightning_posenc.draws import Draws
from lightning_posenc.tasks import IGNORE

RATE = 8000  # samples a second
LOWEST, HIGHEST = 400.0, 2400.0  # Hz, of the pitches, evenly spaced in octaves
DETUNED = 0.03  # of a pitch, at most
TONE = (0.05, 0.10)  # seconds of a tone
PAUSE = (0.08, 0.12)  # between the two of a symbol
REST = (0.16, 0.24)  # between symbols
RAMP = 0.005  # seconds in which a tone swells and fades
MOST_SYMBOLS = 1000


class ToneData(DrawnData):
    """Two tones after each other are a symbol, and which of them came first says which.

    So low-high and high-low sound alike but for their order, and neither tone tells alone. Tones of
    50 to 100 ms, detuned by up to 3 % and of another loudness each, are 80 to 120 ms apart within a
    symbol and 160 to 240 ms between symbols, in white noise; 8000 samples a second become a frame
    of log-mel features each 16 ms. Targets are the symbols, P · (P - 1) of them, for a `CTCModel`.

    Args:
        n_pitches: P, at least 2, between 400 and 2400 Hz.
        noise: standard deviation of the noise over that of a tone, at least 0.
        n_mels: F, bands of the features.
        train_length: symbols of a sequence in training and validation, or lengths: see `DrawnData`.
        options: the others of `DrawnData`.

    Raises:
        ValueError: if a number is out of range.
    """

    length_axis = "length in symbols"

    def __init__(
        self,
        n_pitches: int = 4,
        noise: float = 0.3,
        n_mels: int = 20,
        train_length: int | list[int] | Lengths = 4,
        **options: Any,
    ) -> None:
        super().__init__(train_length, **options)
        self.n_pitches = whole(self, "n_pitches", n_pitches, 2, 100)
        self.noise = number(self, "noise", noise, 0)
        self.features = LogMel(RATE, n_mels, window=0.032, hop=0.016)
        for length in self.named_lengths:
            whole(self, "length", length, most=MOST_SYMBOLS)

    @property
    def vocab_size(self) -> None:
        """None: inputs are no ids."""
        return None

    @property
    def n_classes(self) -> int:
        """Number of symbols."""
        return self.n_pitches * (self.n_pitches - 1)

    def options(self) -> dict[str, Any]:
        return {
            "n_pitches": self.n_pitches,
            "noise": self.noise,
            "n_mels": self.features.n_mels,
            **super().options(),
        }

    def meaning(self) -> dict[str, Any]:
        return {"n_pitches": self.n_pitches, "features": described(self.features)}

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Compare what is heard, and what is written.

        Raises:
            ValueError: naming what differs.
        """
        super().take_over(meaning, options)
        if told := list(differences(self.meaning(), meaning)):
            raise ValueError(f"{'; '.join(told)}: the weights do not fit: give the checkpoint's")

    def printed_answer(self, ids: list[int]) -> str:
        """Symbols for a person to read: the pitches of each, in their order."""
        first, second = (
            pitches.tolist() for pitches in pitches_of(torch.tensor(ids), self.n_pitches)
        )
        return " ".join(f"{a}-{b}" for a, b in zip(first, second, strict=True))

    def predicted(self, row: int, classes: Any, probabilities: Any) -> dict[str, Any]:
        return {"prediction": self.printed_answer(classes)}

    def _dataset(self, split: str, lengths: int | Lengths) -> "Tones":
        return Tones(self.n_pitches, self.noise, self.features, self.seed, split, lengths)


class Tones(Dataset[Batch]):
    """Sequences of symbols as sound, endlessly many, fetched a batch at a time.

    Args:
        n_pitches: P.
        noise: standard deviation of the noise over that of a tone.
        features: what is heard of them.
        seed: any integer.
        split: name of the stream.
        lengths: symbols of every sequence, or what chooses each one's.
    """

    def __init__(
        self,
        n_pitches: int,
        noise: float,
        features: LogMel,
        seed: int,
        split: str,
        lengths: int | Lengths,
    ) -> None:
        self.n_pitches = n_pitches
        self.noise = noise
        self.features = is_a(self, "features", features, LogMel)
        self.seed = seed
        self.split = split
        self.lengths = lengths

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """The sequences with these numbers, as one batch, as wide as the longest of them."""
        index = torch.tensor(indices, dtype=torch.int64)
        lengths = (
            torch.full_like(index, self.lengths)
            if isinstance(self.lengths, int)
            else self.lengths(self.seed, self.split, index)
        )
        melody = drawn_melody(Draws(self.seed, self.split, index), lengths, self.n_pitches)
        audio, n_samples = sound(melody, self.noise)
        frames, n_frames = self.features(audio, n_samples)
        return Batch(frames, melody.symbols, lengths=n_frames)


class Melody(NamedTuple):
    """What is played; an entry for each symbol's tones, one after the other.

    Args:
        symbols: (B, U) int64, IGNORE behind the last.
        starts: (B, 2 · U) samples before each tone begins.
        ends: (B, 2 · U) samples before it has ended.
        frequencies: (B, 2 · U) Hz.
        loudness: (B, 2 · U) of each tone; 0 behind the last.
        n_samples: (B,) of the whole sequence.
        noise: what its noise is drawn from.
    """

    symbols: Tensor
    starts: Tensor
    ends: Tensor
    frequencies: Tensor
    loudness: Tensor
    n_samples: Tensor
    noise: Draws


def pitches_of(symbols: Tensor, n_pitches: int) -> tuple[Tensor, Tensor]:
    """The two different pitches of symbols 0..P·(P-1)-1, in their order."""
    first, other = symbols // (n_pitches - 1), symbols % (n_pitches - 1)
    return first, other + (other >= first)


def drawn_melody(draws: Draws, lengths: Tensor, n_pitches: int) -> Melody:
    """What is played of sequences of (B,) symbols; each depends on its own number alone."""
    longest = int(lengths.max())  # a row's first numbers are the same, however many are drawn
    symbols = draws.integers(0, n_pitches * (n_pitches - 1), longest)
    tones = torch.stack(pitches_of(symbols, n_pitches), dim=-1).flatten(1)  # (B, 2 · U)
    detuned, loudness, tone, pause, rest = (draws.uniform(2 * longest) for _ in range(5))
    place = torch.arange(2 * longest)
    gaps = torch.where(place % 2 == 0, _between(REST, rest), _between(PAUSE, pause))
    seconds = _between(TONE, tone)
    ends = (gaps + seconds).double().cumsum(dim=1)
    real = place < 2 * lengths.unsqueeze(1)
    last = ends.gather(1, 2 * lengths.unsqueeze(1) - 1)[:, 0]
    octaves = math.log2(HIGHEST / LOWEST) * tones / (n_pitches - 1)
    return Melody(
        symbols.masked_fill(~real[:, ::2], IGNORE),
        ((ends - seconds) * RATE).long(),
        (ends * RATE).long(),
        LOWEST * 2**octaves * (1 + DETUNED * (2 * detuned - 1)),
        torch.where(real, 0.5 + loudness, 0),
        ((last + REST[0]) * RATE).long(),
        draws,
    )


def sound(melody: Melody, noise: float) -> tuple[Tensor, Tensor]:
    """Play it: (B, S) samples, zeros behind each sequence's (B,) own."""
    longest = int(melody.n_samples.max())
    time = torch.arange(longest).expand(len(melody.n_samples), -1).contiguous()
    tone = torch.searchsorted(melody.ends, time, right=True).clamp(max=melody.ends.shape[1] - 1)
    since = (time - melody.starts.gather(1, tone)).float() / RATE
    left = (melody.ends.gather(1, tone) - time).float() / RATE
    swelling = (torch.minimum(since, left) / RAMP).clamp(0, 1)
    waves = torch.sin(2 * math.pi * melody.frequencies.gather(1, tone) * since)
    white = (melody.noise.uniform(longest) - 0.5) * 12**0.5  # of variance 1, as twice a sine's is
    audio = melody.loudness.gather(1, tone) * swelling * waves + noise * 0.5**0.5 * white
    return audio.masked_fill(time >= melody.n_samples.unsqueeze(1), 0), melody.n_samples


def _between(ends: tuple[float, float], share: Tensor) -> Tensor:
    low, high = ends
    return low + (high - low) * share
