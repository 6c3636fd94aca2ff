"""What a model hears: log energies of mel bands.

Shapes: B recordings, S samples, N frames, W samples of a window, K bins of a spectrum, F bands.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, number, whole, wrong

QUIETEST = 1e-10  # energy that the logarithm is cut off at
FASTEST = 1_000_000  # samples a second


class LogMel:
    """log(energy in each of F bands of the mel scale) of windows of sound, standardised.

    A Hann window each `hop`; triangles whose centres are evenly spaced on HTK's scale, 2595
    log10(1 + f / 700), from 0 Hz to half the rate; then mean 0 and variance 1 over all bands and
    frames of a recording, so that loudness does not count. Source: Davis and Mermelstein 1980,
    "Comparison of Parametric Representations for Monosyllabic Word Recognition", IEEE TASSP 28(4);
    the scale, O'Shaughnessy 1987, "Speech Communication".

    Args:
        rate: Samples a second, 1 to 10^6.
        n_mels: F, at least 1.
        window: Seconds of a window, above 0.
        hop: Seconds from a window to the next, above 0.

    Raises:
        ValueError: If a window or a hop holds no sample, or a band no bin of the spectrum.
    """

    def __init__(
        self,
        rate: int = 16000,
        n_mels: int = 80,
        window: float = 0.025,
        hop: float = 0.01,
    ) -> None:
        self.rate = whole(self, "rate", rate, most=FASTEST)
        self.n_mels = whole(self, "n_mels", n_mels, most=MOST_WIDTH)
        self.window = number(self, "window", window, above=0, most=10)
        self.hop = number(self, "hop", hop, above=0, most=10)
        self.n_window, self.n_hop = round(window * rate), round(hop * rate)
        for name, n in (("window", self.n_window), ("hop", self.n_hop)):
            if n < 1:
                raise wrong(self, name, getattr(self, name), f"hold a sample, at rate={rate}")
        self.n_fft = 2 ** (self.n_window - 1).bit_length()
        if n_mels > self.n_fft // 2:
            raise wrong(
                self, "n_mels", n_mels, f"be at most {self.n_fft // 2}, half a spectrum's bins, or "
                "take a longer window",
            )  # fmt: skip
        if len(deaf := (self.filters().sum(dim=0) == 0).nonzero().flatten()):
            raise wrong(
                self, "n_mels", n_mels, f"be less: band {int(deaf[0])} (counted from 0) lies "
                "between two bins of the spectrum and would hear nothing; or take a longer window",
            )  # fmt: skip

    def n_frames(self, n_samples: Tensor) -> Tensor:
        """How many frames recordings of so many samples have, (B,): one at least."""
        return (n_samples - self.n_window).clamp(min=0) // self.n_hop + 1

    def __call__(self, audio: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Map recordings (B, S) of (B,) samples, zeros behind them, to (B, N, F) and (B,) frames.

        Frames of a recording depend on it alone; behind them there are zeros.
        """
        audio = F.pad(audio, (0, max(0, self.n_window - audio.shape[1])))
        lengths = self.n_frames(n_samples)
        windows = audio.unfold(1, self.n_window, self.n_hop)[:, : int(lengths.max())]
        hann = torch.hann_window(self.n_window, dtype=audio.dtype)
        spectrum = torch.fft.rfft(windows * hann, n=self.n_fft).abs().square()  # (B, N, K)
        bands = (spectrum @ self.filters().to(spectrum.dtype)).clamp(min=QUIETEST).log()
        real = (torch.arange(bands.shape[1]) < lengths.unsqueeze(1)).unsqueeze(-1)
        return _standardised(bands, real), lengths

    def filters(self) -> Tensor:
        """(K, F) share of each bin's energy that each band has, in float64."""
        bins = torch.arange(self.n_fft // 2 + 1, dtype=torch.float64) * self.rate / self.n_fft
        top = 2595 * math.log10(1 + self.rate / 2 / 700)
        mels = torch.linspace(0, top, self.n_mels + 2, dtype=torch.float64)
        corners = 700 * (10 ** (mels / 2595) - 1)
        low, centre, high = corners[:-2], corners[1:-1], corners[2:]
        rising = (bins.unsqueeze(1) - low) / (centre - low)
        falling = (high - bins.unsqueeze(1)) / (high - centre)
        return torch.minimum(rising, falling).clamp(min=0)


def _standardised(bands: Tensor, real: Tensor) -> Tensor:
    """(B, N, F) of mean 0 and variance 1 over a recording's real frames (B, N, 1)."""
    n = (real.sum(dim=1, keepdim=True) * bands.shape[-1]).to(bands.dtype)
    bands = torch.where(real, bands, 0)
    mean = bands.sum(dim=(1, 2), keepdim=True) / n
    centred = torch.where(real, bands - mean, 0)
    variance = centred.square().sum(dim=(1, 2), keepdim=True) / n
    return centred / variance.sqrt().clamp(min=1e-5)
