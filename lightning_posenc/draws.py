"""Random numbers that belong to a sample, whatever batch, worker or rank makes it."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# NumPy computes them: of a batch's few numbers it takes a fifth of torch's time, and its unsigned
# integers wrap and shift as the algorithm wants.
Words = NDArray[Any]  # of uint64, which numbers of Python leave as it is: stubs doubt that

# SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators",
# OOPSLA; constants of Stafford's variant 13).
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_BITS = 2**64 - 1


def _mix(x: Words) -> Words:
    """SplitMix64's finaliser, a bijection of 64-bit integers."""
    x = (x ^ x >> 30) * _MIX_1
    x = (x ^ x >> 27) * _MIX_2
    return x ^ x >> 31


def _mix_number(x: int) -> int:
    """The same of one number."""
    x &= _BITS
    x = (x ^ x >> 30) * _MIX_1 & _BITS
    x = (x ^ x >> 27) * _MIX_2 & _BITS
    return x ^ x >> 31


class Draws:
    """Counter-based random numbers: those of sample i are a function of (seed, split, index[i]).

    Each call consumes the next block of every sample's own stream, so the order of the calls is
    part of a task's definition.

    Source: SplitMix64, Steele, Lea and Flood 2014, OOPSLA.

    Args:
        seed: any integer, taken modulo 2^64.
        split: name of the stream, for example `"train"` or `"test"`.
        index: (B,) int64, the number of each sample.
    """

    def __init__(self, seed: int, split: str, index: Tensor) -> None:
        name = 0xCBF29CE484222325  # FNV-1a: Python's own hash() differs between processes
        for byte in split.encode():
            name = ((name ^ byte) * 0x100000001B3) % 2**64
        stream = _mix_number(_mix_number(seed) ^ name)
        self._key = _mix(stream + index.numpy().astype(np.uint64) * _GOLDEN)
        self._calls = 0

    def of(self, rows: Tensor) -> "Draws":
        """The same streams, at the same place, of some of the samples only."""
        some = Draws.__new__(Draws)
        some._key, some._calls = self._key[rows.numpy()], self._calls
        return some

    def _bits(self, *shape: int) -> Words:
        """(B, *shape), each with 64 random bits."""
        self._calls += 1
        block = _mix(self._key ^ _mix_number(self._calls * _GOLDEN))
        counter = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * _GOLDEN
        return _mix(block[:, None] + counter).reshape(len(block), *shape)

    def integers(self, low: int | Tensor, high: int | Tensor, *shape: int) -> Tensor:
        """Uniform integers in [low, high).

        Args:
            low: lowest value, an integer or a tensor that broadcasts to (B, *shape).
            high: one more than the highest value, likewise; high - low is at most 2^31.
            shape: shape of one sample's numbers; empty for one number a sample.

        Returns:
            (B, *shape) int64.
        """
        # Multiply-shift on the upper 32 bits: off from uniform by at most (high - low) / 2^32.
        start = np.asarray(low, np.int64)
        span = (np.asarray(high) - start).astype(np.uint64)
        scaled = (self._bits(*shape) >> 32) * span >> 32
        return torch.from_numpy(start + scaled.view(np.int64))

    def uniform(self, *shape: int) -> Tensor:
        """Uniform float32 numbers in [0, 1), (B, *shape), multiples of 2^-24."""
        multiples = (self._bits(*shape) >> 40).astype(np.float32)
        return torch.from_numpy(multiples * np.float32(2.0**-24))

    def permutation(self, n: int) -> Tensor:
        """A uniform permutation of 0..n-1 for each sample, (B, n) int64."""
        bits = torch.from_numpy(self._bits(n).view(np.int64))
        return bits.argsort(dim=1, stable=True)

    def subset(self, n: int, k: int) -> Tensor:
        """Some k distinct numbers out of 0..n-1 in random order for each sample, (B, k) int64.

        Raises:
            ValueError: if k is not in 0..n.
        """
        if not 0 <= k <= n:
            raise ValueError(f"cannot draw {k} distinct numbers out of {n}: k must be in 0..{n}")
        return self.permutation(n)[:, :k]


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """Send what was drawn on the CPU, for a seed to mean the same everywhere, to a device.

    A GPU is not waited for: the copy starts from pinned memory, and torch keeps that until it is
    done.

    Args:
        drawn: on the CPU, and written to by nobody else.
        device: where to.
    """
    if device.type == "cuda" and not torch.compiler.is_compiling():  # no program pins memory
        drawn = drawn.pin_memory()
    return drawn.to(device, non_blocking=True)
