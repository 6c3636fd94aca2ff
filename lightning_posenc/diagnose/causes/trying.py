"""Does a copy of a model get its score back, once something is cut away?"""

import copy
import time
from typing import NamedTuple

import torch

from lightning_posenc.diagnose.causes.ablations import Ablation
from lightning_posenc.diagnose.evaluation import N_TREATED, few_of
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.learning import (
    RECENT,
    STEPS,
    rows_of,
    trained_for_a_moment,
)
from lightning_posenc.diagnose.scores import LEARNED, Score, answers, score
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.modules import EncoderModule

FEWEST = 100  # steps, with fewer of which nothing can be told
TIMED = 5  # steps that say how long one takes
GAINED = 0.1  # of the accuracy
CERTAIN = 5  # standard errors
EASY = 0.3  # of a guess's loss: learned, and no need to go on


class Tried(NamedTuple):
    """A copy of the model with something cut away, and one without, trained alike.

    Args:
        cut: What was cut away.
        steps: Optimizer steps that both were trained for; 0 for none.
        score: With the cut.
        without: Without it.
    """

    cut: Ablation
    steps: int
    score: Score
    without: Score

    @property
    def gained(self) -> float:
        """Accuracy with the cut, less that without."""
        return self.score.accuracy - self.without.accuracy

    @property
    def restores(self) -> bool:
        """Whether the score comes back with the cut, and does not without."""
        error = max(self.score.error, self.without.error)
        better = self.gained >= max(GAINED, CERTAIN * error)
        return better and self.score.loss < LEARNED * self.without.loss


class AblationTrials:
    """Copies of one model, tried one after the other within a time.

    Args:
        subject: The model and its data; it is left as it was.
        examination: What was measured of it.
        seconds: That all trials may take together.
    """

    def __init__(self, subject: OwnModel, examination: Examination, seconds: float) -> None:
        self.subject, self.examination = subject, examination
        self.ends = time.monotonic() + seconds
        self.control: Score | None = None
        self.steps: int | None = None
        self.too_slow = False  # whether FEWEST steps of each copy would take longer

    def at_once(self, cut: Ablation) -> Tried | None:
        """Without training; None if it cannot be cut, or nothing can be scored."""
        module, before = self._copy(cut), self._scored(self.subject.module)
        after = None if module is None else self._scored(module)
        return None if before is None or after is None else Tried(cut, 0, after, before)

    def retrained(self, cut: Ablation, n_left: int) -> Tried | None:
        """Trained for a moment; None if it cannot be cut, or the time does not do.

        Args:
            cut: What is cut away.
            n_left: Cuts that are still to be tried, this one among them.
        """
        if self.steps is None:
            self.steps = self._affordable(n_left + 1)
        if self.steps < FEWEST or (module := self._copy(cut)) is None:
            return None
        if self.control is None:
            self.control = self._after_training(copy.deepcopy(self.subject.module))
        after = self._after_training(module)
        if self.control is None or after is None:
            return None
        return Tried(cut, self.steps, after, self.control)

    def _copy(self, cut: Ablation) -> EncoderModule | None:
        module = copy.deepcopy(self.subject.module)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            try:
                cut.change(module, self.examination)
            except ValueError:  # what this model cannot be given
                return None
        return module

    def _affordable(self, n_models: int) -> int:
        """Steps that so many models can be trained for in the time that is left."""
        begun = time.monotonic()
        if not rows_of(self.subject):
            return 0
        if begun >= self.ends:
            self.too_slow = True
            return 0
        try:
            self._trained(copy.deepcopy(self.subject.module), TIMED)
        except (ValueError, RuntimeError):  # nothing of it is trained, for one
            return 0
        a_step = (time.monotonic() - begun) / TIMED
        steps = min(STEPS, int((self.ends - begun) / n_models / max(a_step, 1e-9)))
        self.too_slow = steps < FEWEST
        return steps

    def _trained(self, module: EncoderModule, steps: int) -> list[float]:
        found = self.examination.evaluation
        until = EASY * found.guess.loss if found is not None else 0.0
        module.train()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            losses = trained_for_a_moment(module, self.subject, steps, until)
        module.eval()
        return losses

    def _after_training(self, module: EncoderModule) -> Score | None:
        assert self.steps is not None
        try:
            losses = self._trained(module, self.steps)
        except (ValueError, RuntimeError):  # the cut does not go with this model
            return None
        return self._scored(module) if len(losses) >= RECENT else None

    @torch.no_grad()
    def _scored(self, module: EncoderModule) -> Score | None:
        try:
            return score(answers(module, few_of(self.subject.batches, N_TREATED)))
        except (ValueError, RuntimeError):
            return None
