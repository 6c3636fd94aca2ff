"""Commands in words to sequences of actions, read from SCAN's files."""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import is_a, whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer

WORDS = ["after", "and", "around", "jump", "left", "look", "opposite", "right", "run", "thrice"]
WORDS += ["turn", "twice", "walk"]
ACTIONS = [f"I_{a}" for a in ("JUMP", "LOOK", "RUN", "TURN_LEFT", "TURN_RIGHT", "WALK")]


class Commands(NamedTuple):
    """N commands, each with the separator, and their actions; both padded at the end with 0."""

    prompts: Tensor
    prompt_lengths: Tensor
    answers: Tensor
    answer_lengths: Tensor


class SCAN(DecoderTask):
    """A command in words; the answer is the actions that carry it out.

    Example: `jump left and walk twice =  ->  I_TURN_LEFT I_JUMP I_WALK I_WALK <end>`. A length
    counts actions: up to `longest_train` it stands for all commands with at most that many, above
    for those with more than `longest_train` and at most that many, so that
    `train_length: 22, eval_lengths: [22, 48]` is the published length split. Commands are drawn
    uniformly with replacement. It stresses composition: hierarchy in the command, repetition in
    the actions.

    Source: Lake and Baroni 2018, "Generalization without Systematicity: On the Compositional
    Skills of Sequence-to-Sequence Recurrent Networks", arXiv:1711.00350; as a decoder's task
    Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466, whose `longest_train` is 25, and which holds out a tenth of
    the training commands for validation, where here they are drawn from the same.

    Args:
        path: a file of lines `IN: <words> OUT: <actions>`, as tasks.txt of
            github.com/brendenlake/SCAN, or a folder, such as its length_split, whose .txt files
            are all read.
        longest_train: most actions of a command for training, at least 1.

    Raises:
        ValueError: if `longest_train` is too small; on use, if the files cannot be understood.
        FileNotFoundError: on use, if there is no such file.
    """

    min_length = 1

    def __init__(self, path: str | None = None, longest_train: int = 22) -> None:
        self.path = None if path is None else is_a(self, "path", path, str | Path)
        self.longest_train = whole(self, "longest_train", longest_train, 1)
        super().__init__([*WORDS, "=", *ACTIONS])

    @cached_property
    def commands(self) -> Commands:
        """What the files hold, read on first use."""
        ids = {symbol: i for i, symbol in enumerate([*WORDS, "=", *ACTIONS])}
        prompts, answers = [], []
        for line in self._lines():
            words, found, actions = line.removeprefix("IN:").partition("OUT:")
            prompt, answer = words.split(), actions.split()
            if not (found and prompt and answer) or {*prompt} - {*WORDS} or {*answer} - {*ACTIONS}:
                raise ValueError(
                    f"SCAN: path={self.path} has the line {line[:60]!r}: "
                    "give a file of SCAN, with lines IN: <words> OUT: <actions>"
                )
            prompts.append(torch.tensor([ids[word] for word in [*prompt, "="]]))
            answers.append(torch.tensor([ids[action] for action in answer]))
        if not prompts:
            raise ValueError(f"SCAN: path={self.path} is empty: give a file of SCAN")
        return Commands(*_padded(prompts), *_padded(answers))

    def _lines(self) -> list[str]:
        path = Path(self.path or "").expanduser()
        files = sorted(path.glob("*.txt")) if self.path and path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise FileNotFoundError(
                f"SCAN: path={self.path} is no file of SCAN and no folder of such: give the "
                "path of tasks.txt, or of the folder length_split, of github.com/brendenlake/SCAN"
            )
        return [line for file in files for line in file.read_text().splitlines() if line.strip()]

    def _chosen(self, length: int) -> Tensor:
        """(n,) int64, which of the commands a length stands for."""
        super().check_length(length)
        n_actions = self.commands.answer_lengths
        fewest = 1 if length <= self.longest_train else self.longest_train + 1
        chosen = ((n_actions >= fewest) & (n_actions <= length)).nonzero()[:, 0]
        if not len(chosen):
            raise ValueError(
                f"SCAN cannot make length {length}: no command in path={self.path} has "
                f"{fewest} to {length} actions"
            )
        return chosen

    def check_length(self, length: int) -> None:
        self._chosen(length)

    def width(self, length: int) -> int:
        longest_prompt, most_actions = (
            self.commands.prompts.shape[1],
            self.commands.answers.shape[1],
        )
        return longest_prompt + min(length, most_actions) + 1

    def sample(self, draws: Draws, length: int) -> Sample:
        chosen = self._chosen(length)
        return self._as_sample(chosen[draws.integers(0, len(chosen))], length)

    def _as_sample(self, numbers: Tensor, length: int) -> Sample:
        prompts, prompt_lengths, answers, answer_lengths = (f[numbers] for f in self.commands)
        answers = answers[:, :length]
        return prompt_and_answer(prompts, answers, self.end, prompt_lengths, answer_lengths)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exact: counted over all places of all commands of that length."""
        sample = self._as_sample(self._chosen(length), length)
        # A sum of random codes stands for a bag; mixed with another code, for a bag and a token.
        random = torch.Generator().manual_seed(0)
        codes = torch.randint(-(2**62), 2**62, (2, self.vocab_size), generator=random)
        seen = codes[0][sample.tokens].cumsum(1) * (2**61 - 1) + codes[1][sample.tokens]
        scored = sample.targets != IGNORE
        situation = seen[scored].unique(return_inverse=True)[1]
        answers = situation * self.n_classes + sample.targets[scored]
        answer, count = answers.unique(return_counts=True)
        best = torch.zeros(int(situation.max()) + 1, dtype=torch.int64)
        best.scatter_reduce_(0, answer // self.n_classes, count, "amax")
        return float(best.sum() / len(situation))


def _padded(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    """(N, longest) int64, padded at the end with 0, and (N,) int64, the lengths."""
    lengths = torch.tensor([len(row) for row in rows])
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths
