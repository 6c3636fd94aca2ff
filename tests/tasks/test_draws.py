import subprocess
import sys

import numpy as np
import pytest
import torch

from lightning_posenc.draws import _mix, _mix_number, sent
from lightning_posenc.tasks import Draws


def draws(seed=0, split="train", n=4096, first=0):
    return Draws(seed, split, torch.arange(first, first + n))


def chi_square(observed):
    """Pearson's statistic against the uniform distribution, in standard deviations."""
    expected = observed.sum() / observed.numel()
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = observed.numel() - 1
    return float((statistic - freedom) / (2 * freedom) ** 0.5)


@pytest.mark.parametrize("n", [2, 7, 16, 100])
def test_integers_are_uniform(n):
    values = draws().integers(3, 3 + n, 50)
    assert values.min() == 3
    assert values.max() == 2 + n
    assert abs(chi_square((values - 3).flatten().bincount(minlength=n).double())) < 5


def test_uniform_fills_the_unit_interval():
    values = draws().uniform(50)
    assert values.dtype == torch.float32
    assert 0 <= values.min() < 1e-4
    assert 1 - 1e-4 < values.max() < 1
    assert abs(chi_square((values * 64).long().flatten().bincount(minlength=64).double())) < 5


def test_permutations_are_uniform():
    values = draws(n=24_000).permutation(4)
    assert torch.equal(values.sort(dim=1).values, torch.arange(4).expand(24_000, 4))
    code = (values * torch.tensor([64, 16, 4, 1])).sum(1)
    counts = code.unique(return_counts=True)[1]
    assert len(counts) == 24
    assert abs(chi_square(counts.double())) < 5


def test_subsets_are_distinct_and_uniform():
    values = draws(n=10_000).subset(6, 3)
    assert values.shape == (10_000, 3)
    assert all(len(set(row)) == 3 for row in values.tolist())
    assert abs(chi_square(values.flatten().bincount(minlength=6).double())) < 5
    with pytest.raises(ValueError, match=r"0\.\.6"):
        draws(n=1).subset(6, 7)


def test_bounds_may_differ_between_samples():
    low = torch.arange(4096) % 5
    values = draws().integers(low, low + 3)
    assert set((values - low).tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(draws(first=1), id="next index"),
        pytest.param(draws(split="val"), id="split"),
        pytest.param(draws(seed=1), id="seed"),
        pytest.param(draws(seed=-1), id="negative seed"),
    ],
)
def test_streams_are_independent(other):
    pairs = draws().integers(0, 8, 30) * 8 + other.integers(0, 8, 30)
    assert abs(chi_square(pairs.flatten().bincount(minlength=64).double())) < 5


def test_neighbouring_numbers_and_calls_are_independent():
    stream = draws()
    first, second = stream.integers(0, 8, 30), stream.integers(0, 8, 30)
    for pairs in (first * 8 + second, first[:, 1:] * 8 + first[:, :-1]):
        assert abs(chi_square(pairs.flatten().bincount(minlength=64).double())) < 5


def test_each_bit_is_fair():
    bits = draws()._bits(20)
    share = np.stack([(bits >> b & 1).mean() for b in range(64)])
    assert np.abs(share - 0.5).max() < 5 * 0.5 / bits.size**0.5


def test_independent_of_the_rest_of_the_batch():
    index = torch.tensor([5, 2**40, 0, 77])

    def numbers(index):
        stream = Draws(3, "train", index)
        return torch.cat([stream.integers(0, 100, 9), stream.permutation(8)], dim=1)

    whole = numbers(index)
    assert torch.equal(numbers(index.flip(0)).flip(0), whole)
    for row, i in zip(whole, index, strict=True):
        assert torch.equal(numbers(i[None])[0], row)


def test_the_numbers_are_those_of_splitmix64():
    def mix(x):
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    golden, name = 0x9E3779B97F4A7C15, 0xCBF29CE484222325
    for byte in b"val":
        name = (name ^ byte) * 0x100000001B3 % 2**64
    stream = mix(mix(42) ^ name)
    key = mix((stream + 9 * golden) % 2**64)
    block = mix(key ^ mix(golden))
    expected = [mix((block + j * golden) % 2**64) for j in range(1, 6)]
    got = Draws(42, "val", torch.tensor([9]))._bits(5)[0].tolist()
    assert got == expected


@pytest.mark.slow
def test_same_numbers_in_another_process():
    code = (
        "import torch; from lightning_posenc.tasks import Draws;"
        "print(Draws(1, 'test', torch.arange(3)).integers(0, 1000, 4).tolist())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = Draws(1, "test", torch.arange(3)).integers(0, 1000, 4).tolist()
    assert out.stdout.strip() == str(here)


def test_one_number_is_mixed_as_an_array_is() -> None:
    numbers = [0, 1, 12345678901234567, 2**63 - 1, 2**63, 2**64 - 1]
    assert _mix(np.array(numbers, dtype=np.uint64)).tolist() == [
        _mix_number(number) for number in numbers
    ]


def test_what_is_drawn_is_sent_without_waiting(monkeypatch):
    """P6: a GPU takes it from pinned memory while the next kernels are queued."""
    told = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: told.append("pinned") or self)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, device, non_blocking=False: told.append(non_blocking)
    )
    sent(torch.rand(3), torch.device("cuda"))
    assert told == ["pinned", True]
    sent(torch.rand(3), torch.device("cpu"))
    assert told[2:] == [True]  # nothing to pin
