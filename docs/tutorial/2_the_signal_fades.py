# %% [markdown]
# # 2. The signal fades with depth
#
# An absolute encoding is added once, below the first layer. Each layer then adds what it found.
# The position is still in the sum, but it becomes a smaller and smaller part of it. Here you
# measure that, layer by layer, and mend it.

# %%
from functools import partial

import matplotlib.pyplot as plt
import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnostics import observe, positional_share, probe_positions
from lightning_posenc.positional import Sinusoidal

LAYERS, WIDTH, LENGTH = 12, 64, 32

# %% [markdown]
# ## Two measurements
#
# - *Positional share*: which part of the variance of the states does position explain? 1: a token
#   is nothing but its place. 0: nothing tells where it is.
# - *Probe*: a linear map reads the position off the states of a layer. How many tokens is it off?
#   Here chance is 8, a quarter of the length: a map that knows nothing says the middle.
#
# `observe` watches one forward pass. It takes your own models too, and those of Hugging Face.


# %%
def by_depth(positional, init_std, causal=False):
    """The two measurements after 0, 1, … blocks of a model with random weights."""
    torch.manual_seed(0)
    model = Encoder(Dims(WIDTH, 4, LAYERS, causal), positional, init_std=init_std).eval()
    tokens = torch.randn(96, LENGTH, WIDTH)
    with torch.no_grad(), observe(model) as seen:
        model(tokens)
    share = [positional_share(x).item() for x in seen.hidden]
    error = [probe_positions(x[:72], x[72:]).mae.item() for x in seen.hidden]
    return share, error


# %% [markdown]
# ## The signal fades
#
# We take three models of 12 layers. They differ in the size of their weights alone. The larger
# the weights, the more each layer writes over the position.

# %%
once = {std: by_depth(Sinusoidal, std) for std in (0.1, 0.2, 0.4)}


def draw(found):
    figure, axes = plt.subplots(1, 2, figsize=(9, 3))
    for name, (share, error) in found.items():
        axes[0].plot(share, "o-", markersize=3, label=str(name))
        axes[1].plot(error, "o-", markersize=3, label=str(name))
    axes[0].set(title="positional share", xlabel="blocks passed", ylim=(0, None))
    axes[1].set(title="error of the probe, tokens", xlabel="blocks passed", ylim=(0, 9))
    axes[1].axhline(LENGTH / 4, color="gray", linestyle=":")
    axes[1].legend(title="model")
    figure.tight_layout()


draw(once)

# %%
share, error = once[0.4]
print(f"share: {share[0]:.3f} below the first block, {share[-1]:.3f} above the last")
print(f"probe: {error[0]:.1f} tokens off below, {error[-1]:.1f} above; chance is {LENGTH / 4}")
assert share[-1] < share[0] / 4  # most of the signal is gone
assert error[-1] > 0.8 * LENGTH / 4  # a linear map reads little more than chance

# %% [markdown]
# ## Mend it
#
# Add the position again before each layer. This is called *re-injection*: one option of each
# absolute encoding, `layers`.

# %%
again = by_depth(partial(Sinusoidal, layers=range(LAYERS)), 0.4)
draw({"once": once[0.4], "before each layer": again})

# %%
print(f"share above the last block: {share[-1]:.3f} once, {again[0][-1]:.3f} again and again")
print(f"probe above the last block: {error[-1]:.1f} once, {again[1][-1]:.1f} again and again")
assert again[0][-1] > 5 * share[-1]
assert again[1][-1] < error[-1] / 2

# %% [markdown]
# ## In a run
#
# In training you need no code for this. Callbacks measure each hundred steps, and draw:
#
# ```sh
# python -m lightning_posenc fit --config quickstart \
#   --trainer.callbacks+=PositionalShare --trainer.callbacks+=PositionProbe
# ```
#
# ## What you learned
#
# - A signal that is added once becomes a smaller part of the stream in each layer.
# - Two numbers say so: the positional share and the error of a probe.
# - Re-injection keeps the signal. Relative encodings such as RoPE or ALiBi need none: they tell
#   each layer anew, within attention, and put nothing into the stream.
#
# ## Try
#
# - `draw({"NoPE": by_depth(NoPE, 0.4)})` (`NoPE` is in `lightning_posenc.positional` too): the
#   share is 0 from the start, and the probe is 8 tokens off.
# - Can a causal model know positions without an encoding? Let all sequences begin with the same
#   token: add `tokens[:, 0] = tokens[0, 0]` in `by_depth`. Then compare `by_depth(NoPE, 0.4)`
#   and `by_depth(NoPE, 0.4, causal=True)`. In the causal model the error falls with depth, from
#   7.8 to 5.8 tokens: the later a token, the more others it sees, and the less it takes of the
#   first.
# - Read [the remedies](../remedies.md) for a signal that fades.
# - Next: [past the trained length](3_past_the_length.md).
