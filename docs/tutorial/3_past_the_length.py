# %% [markdown]
# # 3. Past the trained length
#
# A model is trained on short sequences and asked long ones. Here you break a model in that way,
# see why it breaks, and mend it in two ways.

# %%
import logging

import matplotlib.pyplot as plt

from lightning_posenc import api
from lightning_posenc.catalogue.tasks import samples
from lightning_posenc.tasks import Shift

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

# %% [markdown]
# ## The task
#
# Say, at each token, the token before it. This needs the place of a token, or its distance.

# %%
print(samples(Shift(), 1, length=16, seed=0, split="train")[0])

# %%
SETTINGS = {
    "model.class_path": "TokenClassifier",
    "model.encoder": {"d_model": 64, "n_heads": 4, "n_layers": 2},
    "data.task": "Shift",
    "data.train_length": 16,
    "data.eval_lengths": [16, 32, 64],
    "data.eval_samples": 256,
    "data.steps_per_epoch": 300,
    "trainer.max_epochs": 1,
    "trainer.enable_progress_bar": False,
    "trainer.enable_model_summary": False,
}


def accuracy(**positional):
    """Train at 16 tokens, test at 16, 32 and 64."""
    settings = {key.replace("__", "."): value for key, value in positional.items()}
    return api.fit("quickstart", {**SETTINGS, **settings}, name="lesson3").by_length.acc


# %% [markdown]
# ## Break it
#
# A learned table has a row for each position. It has 512 rows. Training at 16 tokens touches 16
# of them. The others stay as they were drawn: noise.

# %%
table = accuracy(model__positional="LearnedAbsolute")

# %%
assert table[16] >= 0.95  # it learned the task
assert table[32] < 0.7  # and half of the answers are lost at twice the length

# %% [markdown]
# ## Mend it: train all rows
#
# `Shifted` starts each sequence somewhere else. In training the positions are p + k, and k is
# drawn from 0 to 48. The sequences stay short, but all rows that the test needs are trained. The
# encoding is the same table.

# %%
shifted = accuracy(
    model__positional="LearnedAbsolute",
    model__positions={"class_path": "Shifted", "init_args": {"max_shift": 48}},
)

# %% [markdown]
# ## Mend it: look at distances
#
# `ShawRelative` has a learned vector for each distance, not for each position. Distances of 16
# and more share one vector. Training at 16 tokens never uses that one, but the answer needs
# only a short distance, which was trained.

# %%
shaw = accuracy(model__positional="ShawRelative")

# %%
found = {"table": table, "table, shifted": shifted, "Shaw": shaw}
figure, axes = plt.subplots(figsize=(5, 3))
for name, scores in found.items():
    axes.plot(scores.index, scores, "o-", label=name)
axes.axvline(16, color="gray", linestyle=":")
axes.set(xlabel="tokens in the test", ylabel="accuracy", ylim=(0, 1.05), title="trained at 16")
legend = axes.legend()
# %%
assert shifted[32] >= 0.95
assert shifted[64] > table[64] + 0.3
assert shaw[64] >= 0.95

# %% [markdown]
# ## What you learned
#
# - A score at the trained length says nothing about longer sequences. Test them:
#   `data.eval_lengths`.
# - A table breaks where no row was trained. A *sampler* of positions mends it without a change
#   of the encoding.
# - An encoding of distance may go on where a table ends. Not each one does: try `T5Bias` or
#   `RoPE`.
#
# ## Try
#
# - Set `model__positional="RoPE"`: why does it fall, though it knows distances alone?
#   [The doctor](../diagnose.md) tells you: `api.diagnose(run.checkpoint)`.
# - Next: [a model of Hugging Face](4_a_pretrained_model.md).
