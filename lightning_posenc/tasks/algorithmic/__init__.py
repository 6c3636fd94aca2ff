"""The tasks on which Kazemnejad et al. 2023 compare encodings: a prompt, then an answer."""

from lightning_posenc.tasks.algorithmic.addition import Addition
from lightning_posenc.tasks.algorithmic.copy_random import CopyRandom
from lightning_posenc.tasks.algorithmic.copy_repeated import CopyRepeated
from lightning_posenc.tasks.algorithmic.lego import LEGO
from lightning_posenc.tasks.algorithmic.parity_of_bits import ParityOfBits
from lightning_posenc.tasks.algorithmic.polynomial_evaluation import PolynomialEvaluation
from lightning_posenc.tasks.algorithmic.replace_repeated import ReplaceRepeated
from lightning_posenc.tasks.algorithmic.reverse_words import ReverseWords
from lightning_posenc.tasks.algorithmic.scan import SCAN
from lightning_posenc.tasks.algorithmic.sort_digits import SortDigits
from lightning_posenc.tasks.algorithmic.sort_numbers import SortNumbers
from lightning_posenc.tasks.algorithmic.sum_digits import SumDigits

__all__ = [
    "LEGO",
    "SCAN",
    "Addition",
    "CopyRandom",
    "CopyRepeated",
    "ParityOfBits",
    "PolynomialEvaluation",
    "ReplaceRepeated",
    "ReverseWords",
    "SortDigits",
    "SortNumbers",
    "SumDigits",
]
