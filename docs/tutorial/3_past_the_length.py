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


def trained(positional, positions="Consecutive"):
    """Train at 16 tokens, test at 16, 32 and 64."""
    chosen = {"model.positional": positional, "model.positions": positions}
    return api.fit("quickstart", {**SETTINGS, **chosen}, name="lesson3")


# %% [markdown]
# ## Break it
#
# A learned table has a row for each position. It has 512 rows. Training at 16 tokens touches 16
# of them. The others stay as they were drawn: noise. In the table, `acc` counts tokens, and
# `exact` counts sequences without any mistake.

# %%
table = trained("LearnedAbsolute").by_length.acc

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
far = {"class_path": "Shifted", "init_args": {"max_shift": 48}}
shifted = trained("LearnedAbsolute", far).by_length.acc

# %% [markdown]
# ## Mend it: look at distances
#
# `ShawRelative` has a learned vector for each distance, not for each position. Distances of 16
# and more share one vector. Training at 16 tokens never uses that one, but the answer needs
# only a short distance, which was trained.

# %%
shaw = trained("ShawRelative").by_length.acc

# %%
found = {"table": table, "table, shifted": shifted, "Shaw": shaw}
figure, axes = plt.subplots(figsize=(5, 3))
for name, scores in found.items():
    axes.plot(scores.index, scores, "o-", label=name)
axes.axvline(16, color="gray", linestyle=":")
axes.set(title="trained at 16", xlabel="tokens in the test", ylabel="accuracy", ylim=(0, 1.05))
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
# - `run = trained("RoPE")`: it falls, though it knows distances alone. It never met the angles of
#   longer distances. Ask [the doctor](../diagnose.md): `api.diagnose(run.checkpoint).table.loc[11]`
#   says from which length on it fails, and what helps.
# - Its first advice is a sampler:
#   `trained("RoPE", {"class_path": "Randomized", "init_args": {"max_position": 64}})`. From 0.57
#   at 32 tokens and 0.36 at 64, the accuracy rises to 0.97 and 0.90.
# - Next: [a model of Hugging Face](4_a_pretrained_model.md).
