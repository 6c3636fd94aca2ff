"""The 15 tasks of "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098."""

from lightning_posenc.tasks.formal.binary_addition import BinaryAddition
from lightning_posenc.tasks.formal.binary_multiplication import BinaryMultiplication
from lightning_posenc.tasks.formal.bucket_sort import BucketSort
from lightning_posenc.tasks.formal.compute_sqrt import ComputeSqrt
from lightning_posenc.tasks.formal.cycle_navigation import CycleNavigation
from lightning_posenc.tasks.formal.duplicate_string import DuplicateString
from lightning_posenc.tasks.formal.even_pairs import EvenPairs
from lightning_posenc.tasks.formal.missing_duplicate import MissingDuplicate
from lightning_posenc.tasks.formal.modular_arithmetic import ModularArithmetic
from lightning_posenc.tasks.formal.modular_arithmetic_brackets import ModularArithmeticBrackets
from lightning_posenc.tasks.formal.odds_first import OddsFirst
from lightning_posenc.tasks.formal.parity_check import ParityCheck
from lightning_posenc.tasks.formal.reverse_string import ReverseString
from lightning_posenc.tasks.formal.solve_equation import SolveEquation
from lightning_posenc.tasks.formal.stack_manipulation import StackManipulation

__all__ = [
    "BinaryAddition",
    "BinaryMultiplication",
    "BucketSort",
    "ComputeSqrt",
    "CycleNavigation",
    "DuplicateString",
    "EvenPairs",
    "MissingDuplicate",
    "ModularArithmetic",
    "ModularArithmeticBrackets",
    "OddsFirst",
    "ParityCheck",
    "ReverseString",
    "SolveEquation",
    "StackManipulation",
]
