"""Random numbers that belong to a sample, whatever batch, worker or rank makes it."""

import torch
from torch import Tensor

# SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators",
# OOPSLA; constants of Stafford's variant 13), written as signed 64-bit integers.
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64
_BITS = 2**64 - 1


def _signed(x: int) -> int:
    """The signed 64-bit integer with the same lowest 64 bits as `x`."""
    x &= _BITS
    return x - 2**64 if x >= 2**63 else x


def _shift_right(x: Tensor, n: int) -> Tensor:
    # torch's >> copies the sign bit; the finaliser needs zeros.
    return (x >> n).bitwise_and_(2 ** (64 - n) - 1)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser, a bijection of 64-bit integers."""
    x = _shift_right(x, 30).bitwise_xor_(x).mul_(_MIX_1)
    x = _shift_right(x, 27).bitwise_xor_(x).mul_(_MIX_2)
    return _shift_right(x, 31).bitwise_xor_(x)


def _mix_number(x: int) -> int:
    """The same of one number: Python's integers take a tenth of the time of torch's scalars."""
    x &= _BITS
    x = (x ^ x >> 30) * _MIX_1 & _BITS
    x = (x ^ x >> 27) * _MIX_2 & _BITS
    return _signed(x ^ x >> 31)


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
        self._key = _mix(stream + index.to(torch.int64) * _GOLDEN)
        self._calls = 0

    def of(self, rows: Tensor) -> "Draws":
        """The same streams, at the same place, of some of the samples only."""
        some = Draws.__new__(Draws)
        some._key, some._calls = self._key[rows], self._calls
        return some

    def _bits(self, *shape: int) -> Tensor:
        """(B, *shape) int64 with 64 random bits each."""
        self._calls += 1
        block = _mix(self._key ^ _mix_number(self._calls * _GOLDEN))
        n = torch.Size(shape).numel()
        counter = torch.arange(1, n + 1) * _GOLDEN
        return _mix(block[:, None] + counter).view(len(block), *shape)

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
        return low + ((_shift_right(self._bits(*shape), 32) * (high - low)) >> 32)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform float32 numbers in [0, 1), (B, *shape), multiples of 2^-24."""
        return _shift_right(self._bits(*shape), 40).to(torch.float32) * 2.0**-24

    def permutation(self, n: int) -> Tensor:
        """A uniform permutation of 0..n-1 for each sample, (B, n) int64."""
        return self._bits(n).argsort(dim=1, stable=True)

    def subset(self, n: int, k: int) -> Tensor:
        """Some k distinct numbers out of 0..n-1 in random order for each sample, (B, k) int64.

        Raises:
            ValueError: if k is not in 0..n.
        """
        if not 0 <= k <= n:
            raise ValueError(f"cannot draw {k} distinct numbers out of {n}: k must be in 0..{n}")
        return self.permutation(n)[:, :k]
