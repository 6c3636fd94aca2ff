# %% [markdown]
# # 5. An encoding of your own
#
# You have an idea for an encoding. Here you write it in 15 lines, let the judge check it, train
# it beside two others in a sweep, and get a report with intervals.

# %%
# %matplotlib inline
import importlib
import logging
import os
import sys
from pathlib import Path

from lightning_posenc import api
from lightning_posenc.catalogue.pages.effects import effect
from lightning_posenc.cli import main
from lightning_posenc.testing import check_encoding

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

# %% [markdown]
# ## Write it
#
# The idea: each head looks at one distance of its own, and learns which. A key at distance delta
# gets the bias -((delta - c) / w)². The centre c is learned.
#
# It is a class in a file of your own. `RelativeBias` wants one method: the bias of each distance.

# %%
n_characters = Path("bump.py").write_text('''
import torch
from torch import nn
from lightning_posenc.positional import RelativeBias


class Bump(RelativeBias):
    """Each head prefers a distance, which it learns: -((delta - c) / w)^2."""

    def __init__(self, dims, width: float = 0.5):
        super().__init__(dims)
        self.centre = nn.Parameter(torch.linspace(-4, 4, dims.n_heads))
        self.width = width

    def bias_at(self, delta):  # query less key, in tokens -> (heads, ...)
        centre = self.centre.view(-1, *[1] * delta.dim())
        return -(((delta - centre) / self.width) ** 2)
''')
sys.path.insert(0, os.getcwd())
Bump = importlib.import_module("bump").Bump

# %% [markdown]
# ## Let the judge check it
#
# The judge runs what each encoding of this package must keep: shapes, gradients, causality,
# padding, half precision, saving and loading, and more. It says what was promised, what it saw,
# and what to do.

# %%
check_encoding(Bump)
print("all promises are kept")

# %% [markdown]
# The judge also finds mistakes. The class `Wrong` below has one: its bias depends on the length of
# the sequence, so padding and neighbours in a batch change the answers. The judge lists each broken
# promise. The cell prints the beginning of the list.

# %%
n_characters = Path("wrong.py").write_text('''
from bump import Bump


class Wrong(Bump):
    """The bias depends on how long the sequence is."""

    def bias_at(self, delta):
        return super().bias_at(delta) * delta.max()
''')
try:
    check_encoding(importlib.import_module("wrong").Wrong)
    refused = ""
except AssertionError as error:
    refused = str(error)
print("\n".join(refused.splitlines()[:6]))
assert "breaks a promise" in refused

# %% [markdown]
# ## See what it adds

# %%
added = effect(Bump).logits
print("heads, queries, keys:", tuple(added.shape))
for head in range(4):
    best = added[head, 16].argmax().item()
    print(f"head {head}: the query at 16 prefers the key at {best}")
assert added[0, 16].argmax() == 20  # c = -4: four tokens ahead

# %% [markdown]
# ## Sweep
#
# Train it beside two others, three seeds each, on a task: say the token before this one. The runs
# are short. A sweep is a mapping, or a file. It names a config: we write the quickstart's out.

# %%
status = main(["configs", "quickstart", "--save", "."])
SWEEP = {
    "name": "lesson5",
    "program": "lightning_posenc",
    "method": "grid",
    "metric": {"name": "val/acc", "goal": "maximize"},
    "command": [
        "${env}", "${interpreter}", "-m", "${program}", "fit",
        f"--config={Path('quickstart.yaml').resolve()}", "--model=TokenClassifier",
        "--data.task=Shift", "--model.encoder.d_model=32", "--data.train_length=16",
        "--data.eval_lengths=[16,32]",
        "--data.eval_samples=256", "--data.steps_per_epoch=200", "--trainer.max_epochs=1",
        "--trainer.enable_model_summary=false", "--trainer.enable_progress_bar=false", "${args}",
    ],
    "parameters": {
        "seed_everything": {"values": [0, 1, 2]},
        "model.positional": {"values": ["NoPE", "RoPE", "bump.Bump"]},
    },
}  # fmt: skip
sweep = api.sweep(SWEEP, sweep_dir="lesson5")
sweep.table[["model.positional", "seed_everything", "status", "val/acc"]]

# %% [markdown]
# ## Report
#
# The report compares each row with the baseline (NoPE). The p values are corrected for the
# number of comparisons (Holm). Three
# seeds are the fewest for a test.

# %%
report = sweep.report()
report

# %% [markdown]
# `report.html_page` is the whole page, with curves and costs. The numbers behind it are a table:

# %%
numbers = report.numbers[report.numbers.metric.str.startswith("test/acc/len_")]
by_length = numbers.pivot_table("value", "metric", "row")
axes = by_length.plot.bar(rot=0, figsize=(5, 3), ylabel="accuracy, mean of three seeds")
# %%
accuracy = sweep.table.groupby("model.positional")["val/acc"].mean()
assert accuracy["NoPE"] < 0.3  # a guess among the tokens of the sequence
assert accuracy["bump.Bump"] >= 0.95  # our head that looks one token back solves the task

# %% [markdown]
# ## What you learned
#
# - An encoding is a class in a file of your own. A config names it: `bump.Bump`.
# - `check_encoding` holds it to all promises of this package.
# - A sweep trains it beside others. A report says what is better, and whether that is certain.
#
# ## Try
#
# - `python -m lightning_posenc new encoding MyIdea` writes a class, its test and a config.
# - [Add it to this package](../contributing.md): its page on this site is then made by itself.
