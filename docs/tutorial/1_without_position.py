# %% [markdown]
# # 1. A model without position
#
# Without positions, a bidirectional transformer reads a sequence as a bag of tokens. Attention
# compares each pair of tokens, but not where the tokens stand. This lesson shows it: you train
# the same model twice. The first one has no positions and can only guess. The second one has
# them and solves the task.
#
# You need: the package, installed as [the README](../../README.md#two-commands) says, and about a
# minute.

# %%
# %matplotlib inline
import logging

from lightning_posenc import api
from lightning_posenc.catalogue.tasks import samples
from lightning_posenc.tasks import PositionPattern

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

# %% [markdown]
# ## The task
#
# Each sequence holds one marker (token 16) among noise. The model says in which quarter the
# marker stands: 0, 1, 2 or 3. The tokens alone tell nothing, since the marker is always there.
# Only its place tells.

# %%
task = PositionPattern()
for line in samples(task, 4, length=16, seed=0, split="train"):
    print(line)

# %% [markdown]
# A model that is blind to order cannot do better than this:

# %%
print("accuracy without order, at best:", task.bag_of_tokens_bound(16))

# %% [markdown]
# ## Two models
#
# `quickstart` is a config that comes with the package. We make it smaller, and change one thing
# between the two runs: the positional encoding.

# %%
SMALL = {
    "model.encoder": {"d_model": 64, "n_heads": 4, "n_layers": 2},
    "data.train_length": 16,
    "data.eval_lengths": [16],
    "data.steps_per_epoch": 400,
    "trainer.max_epochs": 1,
    "trainer.enable_progress_bar": False,
    "trainer.enable_model_summary": False,
}
blind = api.fit("quickstart", {**SMALL, "model.positional": "NoPE"}, name="lesson1")

# %%
seeing = api.fit("quickstart", {**SMALL, "model.positional": "LearnedAbsolute"}, name="lesson1")

# %% [markdown]
# The second model has a learned vector for each position. It adds the vector to the token. That
# is all the difference:

# %%
accuracy = {"NoPE": blind.by_length.acc[16], "LearnedAbsolute": seeing.by_length.acc[16]}
for name, score in accuracy.items():
    print(f"{name}: {score:.2f}")

# %%
assert abs(accuracy["NoPE"] - 0.25) < 0.06  # a guess
assert accuracy["LearnedAbsolute"] >= 0.95  # solved

# %% [markdown]
# ## See it
#
# Does the model know each place? Left: the accuracy at each test length; the dashed line is the
# best without order. Right: the accuracy by the position of the marker.

# %%
seeing.figures["accuracy"]

# %% [markdown]
# ## What you learned
#
# - Without positions a bidirectional transformer is blind to order. More training does not help.
# - A positional encoding is one option: `model.positional`.
# - The result stands beside the best that a blind model can do. So you see at once whether a
#   model uses order.
#
# ## Try
#
# - Set `"model.positional": "RoPE"`, or another of [the encodings](../encodings/index.md).
# - Set `"model.causal": True` with `"model.positional": "NoPE"`: each token sees itself and those
#   before it. Does a causal mask tell order? (It does: the accuracy is 1.00.)
# - Next: [the signal fades](2_the_signal_fades.md).
