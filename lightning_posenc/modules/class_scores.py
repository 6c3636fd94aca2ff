"""What an accuracy hides where classes are not equally common.

Shapes: C classes.
"""

import torch
from torch import Tensor

COUNTS = "class_counts"  # name of the metric that these scores are made from
RIGHT, WRONGLY, MISSED, OCCURS = 0, 1, 3, 4  # columns of torchmetrics' MulticlassStatScores


def class_scores(counts: Tensor) -> dict[str, Tensor]:
    """Scores in which every class counts alike, and what is reached without looking.

    `f1_macro`: mean over the classes that occur or were predicted of the F1 of each;
    `acc_balanced`: mean over the classes that occur of the share of them that is found (Brodersen
    et al. 2010, "The balanced accuracy and its posterior distribution"); `majority`: the accuracy
    of who always says the most frequent class. scikit-learn's `f1_score(average="macro")` and
    `balanced_accuracy_score` are the same. NaN if nothing is scored.

    Args:
        counts: (C, 5), true and false positives, true and false negatives, and how often each
            class occurs.
    """
    right, wrongly, missed, occurs = (
        counts[:, column].float() for column in (RIGHT, WRONGLY, MISSED, OCCURS)
    )
    f1 = 2 * right / (2 * right + wrongly + missed)  # NaN of classes that play no part
    return {
        "f1_macro": torch.nanmean(f1),
        "acc_balanced": torch.nanmean(right / occurs),
        "majority": occurs.max() / occurs.sum(),
    }
