"""Synthetic tasks that need order: pure generators, with what can be reached without it."""

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.algorithmic import (
    LEGO,
    SCAN,
    Addition,
    CopyRandom,
    CopyRepeated,
    ParityOfBits,
    PolynomialEvaluation,
    ReplaceRepeated,
    ReverseWords,
    SortDigits,
    SortNumbers,
    SumDigits,
)
from lightning_posenc.tasks.base import IGNORE, Sample, Task, generate
from lightning_posenc.tasks.copy import Copy
from lightning_posenc.tasks.decoder import DecoderTask
from lightning_posenc.tasks.formal import (
    BinaryAddition,
    BinaryMultiplication,
    BucketSort,
    ComputeSqrt,
    CycleNavigation,
    DuplicateString,
    EvenPairs,
    MissingDuplicate,
    ModularArithmetic,
    ModularArithmeticBrackets,
    OddsFirst,
    ParityCheck,
    ReverseString,
    SolveEquation,
    StackManipulation,
)
from lightning_posenc.tasks.mixture import Mixture
from lightning_posenc.tasks.order import Order
from lightning_posenc.tasks.position_pattern import PositionPattern
from lightning_posenc.tasks.retrieval import (
    AssociativeRecall,
    CountBetween,
    IndexLookup,
    Induction,
    Passkey,
    RelativeLookup,
    SelectiveCopy,
    Sorting,
)
from lightning_posenc.tasks.reverse import Reverse
from lightning_posenc.tasks.shift import Shift
from lightning_posenc.tasks.structure import Dyck, GridLookup, GridReflection, TreeDistance
from lightning_posenc.tasks.word_order import WordOrder

__all__ = [
    "IGNORE",
    "LEGO",
    "SCAN",
    "Addition",
    "AssociativeRecall",
    "BinaryAddition",
    "BinaryMultiplication",
    "BucketSort",
    "ComputeSqrt",
    "Copy",
    "CopyRandom",
    "CopyRepeated",
    "CountBetween",
    "CycleNavigation",
    "DecoderTask",
    "Draws",
    "DuplicateString",
    "Dyck",
    "EvenPairs",
    "GridLookup",
    "GridReflection",
    "IndexLookup",
    "Induction",
    "MissingDuplicate",
    "Mixture",
    "ModularArithmetic",
    "ModularArithmeticBrackets",
    "OddsFirst",
    "Order",
    "ParityCheck",
    "ParityOfBits",
    "Passkey",
    "PolynomialEvaluation",
    "PositionPattern",
    "RelativeLookup",
    "ReplaceRepeated",
    "Reverse",
    "ReverseString",
    "ReverseWords",
    "Sample",
    "SelectiveCopy",
    "Shift",
    "SolveEquation",
    "SortDigits",
    "SortNumbers",
    "Sorting",
    "StackManipulation",
    "SumDigits",
    "Task",
    "TreeDistance",
    "WordOrder",
    "generate",
]
