"""How near are written texts to the right ones? Scores of whole corpora, as sacrebleu has them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed import all_gather_object, get_world_size, is_available, is_initialized
from torchmetrics import Metric

from lightning_posenc.checks import one_of, several

KINDS = ("bleu", "chrf")
TEXTS = "texts"  # name of the metric that these scores are made from


class TextScores(Metric):
    """BLEU and chrF of all texts together, in [0, 100], by sacrebleu; and the share of exact ones.

    Source: BLEU, Papineni et al. 2002, ACL; chrF, Popović 2015, WMT; Post 2018, "A Call for Clarity
    in Reporting BLEU Scores", arXiv:1804.08771, whose defaults these are (13a tokens, exponential
    smoothing; chrF2 of characters alone). Texts of all ranks are put together.

    Args:
        kinds: Of "bleu" and "chrf", those that are computed besides `exact_written`.

    Raises:
        ValueError: If sacrebleu is not installed and is asked for.
    """

    full_state_update = False

    def __init__(self, kinds: Sequence[str] = ()) -> None:
        super().__init__()
        names = [one_of(self, "kinds", kind, KINDS) for kind in kinds]
        self.scorers = {name: _scorer(name) for name in names}
        self.written: list[str] = []
        self.right: list[str] = []

    def update(self, written: Sequence[str], right: Sequence[str]) -> None:
        """Add texts, and what each of them should be."""
        self.written += written
        self.right += right

    def compute(self) -> dict[str, Tensor]:
        """The scores by name; NaN of no texts."""
        written, right = (_of_all_ranks(texts) for texts in (self.written, self.right))
        if not right:
            return dict.fromkeys((*self.scorers, "exact_written"), torch.tensor(torch.nan))
        same = [one == other for one, other in zip(written, right, strict=True)]
        found = {
            name: scorer.corpus_score(written, [right]).score
            for name, scorer in self.scorers.items()
        }
        found["exact_written"] = sum(same) / len(same)
        return {name: torch.tensor(value, dtype=torch.float32) for name, value in found.items()}

    def reset(self) -> None:
        """Begin anew."""
        super().reset()
        self.written, self.right = [], []


def checked_kinds(owner: object, kinds: Any) -> tuple[str, ...]:
    """The names of scores, none where None is given.

    Raises:
        ValueError: If one is not known, or sacrebleu is not installed.
    """
    if kinds is None:
        return ()
    names = several(owner, "text_scores", kinds)
    for name in names:
        _scorer(one_of(owner, "text_scores", name, KINDS))
    return names


def in_words(datamodule: Any, answers: list[list[int]]) -> list[str]:
    """Answers as the data prints them; as numbers where it does not."""
    printed = getattr(datamodule, "printed_answer", None)
    return [" ".join(map(str, ids)) if printed is None else printed(ids) for ids in answers]


def _scorer(name: str) -> Any:
    try:
        from sacrebleu import BLEU, CHRF
    except ImportError as error:
        raise ValueError(
            f"text_scores={name} is sacrebleu's: pip install 'lightning-posenc[translation]', or "
            "leave it out"
        ) from error
    return {"bleu": BLEU, "chrf": CHRF}[name]()


def _of_all_ranks(texts: list[str]) -> list[str]:
    if not (is_available() and is_initialized()):
        return texts
    found: list[Any] = [None] * get_world_size()
    all_gather_object(found, texts)
    return [text for each in found for text in each]
