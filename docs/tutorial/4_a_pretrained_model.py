# %% [markdown]
# # 4. A model of Hugging Face
#
# You have a trained model and want it to read more than it was trained on. Here you make a tiny
# Llama on the spot (no download), ask the doctor about it, compare ways to extend it, and save
# the best one as a plain folder.
#
# You need: the package with its extra, `pip install '.[pretrained]'` in the clone.

# %%
# %matplotlib inline
import logging
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics  # a text that comes with Python

import lightning as L
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from lightning_posenc import api
from lightning_posenc.data import TextData
from lightning_posenc.pretrained.adapting import PretrainedLanguageModel

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
TRAINED, WANTED = 128, 256

# %% [markdown]
# ## Make a small Llama
#
# It has four layers of width 64, RoPE, and bytes for tokens.

# %%
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=256, hidden_size=64, intermediate_size=192, num_hidden_layers=4,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=TRAINED,
    tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
)  # fmt: skip
LlamaForCausalLM(config).save_pretrained("tiny")
characters = sorted(pre_tokenizers.ByteLevel.alphabet())
tokens = Tokenizer(models.BPE({c: i for i, c in enumerate(characters)}, []))
tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokens.decoder = decoders.ByteLevel()
whole = PreTrainedTokenizerFast(tokenizer_object=tokens, model_max_length=TRAINED)
files = whole.save_pretrained("tiny")
# %% [markdown]
# Train it for 150 steps at 128 tokens, on the documentation that comes with Python. Then save
# it. From here on it is a model like any other that you may have.

# %%
module = PretrainedLanguageModel("tiny", optimizer=partial(torch.optim.AdamW, lr=3e-3))
data = TextData(vocabulary="tiny", train_length=TRAINED, batch_size=16, seed=0)
trainer = L.Trainer(
    accelerator="cpu", max_steps=150, logger=False, enable_checkpointing=False,
    enable_model_summary=False, enable_progress_bar=False, limit_val_batches=0,
    use_distributed_sampler=False, gradient_clip_val=1.0,
)  # fmt: skip
trainer.fit(module, data)
module.pretrained.model.save_pretrained("tiny")
n_characters = Path("text.txt").write_text("\n\n".join(topics.values()))

# %% [markdown]
# ## Ask the doctor
#
# The doctor reads the model at twice its trained length. It runs no code of the folder.

# %%
found = api.diagnose(hf="tiny", text="text.txt", length=WANTED, sequences=8, out="doctor")
found

# %% [markdown]
# ## Compare ways to a longer context
#
# All methods read the same tokens. ✔ is better and ✖ is worse than the unchanged model, where
# the 95 % interval of the difference does not hold 0. ★ is the best. In the table, `last 16
# there` is the loss of the last 16 tokens at 256 tokens, and `loss at 128` is the mean loss
# over 128 tokens.

# %%
compared = api.extend(
    "tiny", to=WANTED, text="text.txt", methods=["unchanged", "pi", "ntk", "yarn"], sequences=8,
    passkeys=1, orders=2, out="extended",
)  # fmt: skip

# %%
compared.figures["Loss by length"]

# %% [markdown]
# Up to 128 tokens the model knows the positions. At 256 the loss of the unchanged model goes
# up. *PI* squeezes all positions, and spoils the short contexts too. *YaRN* slows down fully
# only the pairs of channels that never finish a turn in training. Fast pairs stay as they are,
# and those in between change a little. It also makes attention slightly sharper.


# %%
def number(cell):
    return float(str(cell).split()[0])


last = compared.table["last 16 there"].map(number)
short = compared.table["loss at 128"].map(number)
last

# %%
assert last["yarn"] < last["unchanged"] - 0.1  # it reads longer
assert short["yarn"] < short["unchanged"] + 0.05  # and short texts as before
assert short["pi"] > short["unchanged"] + 0.1  # which position interpolation does not

# %% [markdown]
# ## Save it
#
# The result is a plain folder. Any program that reads Llama reads it.

# %%
api.extend("tiny", to=WANTED, method="yarn", save="longer")
reloaded = AutoModelForCausalLM.from_pretrained("longer")
reloaded.config.rope_parameters

# %%
assert reloaded.config.rope_parameters["rope_type"] == "yarn"
assert reloaded.config.max_position_embeddings == WANTED

# %% [markdown]
# ## What you learned
#
# - `api.diagnose(hf=…)` says how a model knows order, and where this ends.
# - `api.extend(…)` compares ways to a longer context on the same tokens, with the cost at the
#   trained length beside it.
# - What you save is a plain Hugging Face folder.
#
# ## Try
#
# - Take your own folder in place of `tiny`. See [longer contexts](../extend.md).
# - `finetune=50` trains each way a little (LoRA) and compares again.
# - Next: [an encoding of your own](5_your_own_encoding.md).
