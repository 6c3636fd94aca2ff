"""The command `extend`: compare ways of reading longer texts, and save the one that is chosen."""

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning_posenc.extend.options import parsed

if TYPE_CHECKING:
    from rich.console import Console

    from lightning_posenc.extend.comparing import Compared
    from lightning_posenc.extend.spelled import Spelled
    from lightning_posenc.pretrained.reading import Pretrained

HELP = """usage: python -m lightning_posenc extend --hf PATH --text FILE… --to TOKENS [OPTIONS]

Compare ways of making a trained language model read longer texts than it was trained on, all on the
same tokens: loss by length and by position, loss of the last tokens, passkeys, a task of order,
what is lost at the trained length, seconds and memory. A study that was stopped goes on from there.

the model:
  --hf PATH         a Hugging Face model: a local folder, or a name on the hub; no code of it is run
  --gguf FILE       the file of weights in the folder, if they are in GGUF
  --device DEVICE   cpu, cuda …; default CUDA where there is one
  --dtype DTYPE     float32 (default), bfloat16, float16, float64, or auto for the files' own
  --attention NAME  sdpa (default) or eager

what is compared:
  --to TOKENS       the length to extend to
  --methods LIST    unchanged, pi, abf, ntk, dynamic, by-parts, yarn, llama3, longrope, clipped,
                    drope, rerope, leaky-rerope, self-extend, dual-chunk, window, window-sinks;
                    of learned tables resample-linear, resample-bicubic, tile; with arguments as in
                    yarn(beta_fast=16); default all that the model can take
  --text FILE…      texts to read (.txt, or .jsonl with a "text" each), each at least --to tokens
  --sequences N     sequences of --to tokens from each text, at most; default 4
  --lengths LIST    at which loss is told; default the trained length, its halves and doubles
  --last N          how many tokens are the last ones; default 256, or half of the shortest length
  --passkeys N      prompts for each length and depth; default 2, 0 for none
  --depths LIST     where a passkey is hidden, from 0 to 1; default 0,0.25,0.5,0.75,1
  --orders N        prompts of the order task for each length; default 8, 0 for none
  --task_lengths LIST  for these tasks; default --lengths from the trained length on, where
                    the question has room
  --seed N          of the prompts and of the training; default 0

what is done about it:
  --finetune N      train each method N steps more (LoRA on queries and keys), or --method alone,
                    and compare before and after
  --rate R          peak of its learning rate; default 0.001
  --train_text FILE…  to train on; default what --text holds beyond the sequences evaluated
  --save DIR        write --method, fine-tuned if it was, as a plain Hugging Face folder
  --method NAME     the method that is saved or fine-tuned

  --out DIR         where extend.md, extend.html and the records go; default runs/extend/MODEL-TO
"""


def run(args: Sequence[str]) -> None:
    """Compare methods, print what is found, and write `extend.md` and `extend.html`; save one.

    Raises:
        ValueError: What the user can mend.
    """
    if not args or "--help" in args or "-h" in args:
        print(HELP)
        return
    extended(args)


def extended(args: Sequence[str]) -> "Compared | None":
    """Do as `run`, and give what was compared; None if nothing was.

    Raises:
        ValueError: What the user can mend.
    """
    given = parsed(args)
    # Late, so that --help and mistakes do not wait for them.
    from rich.console import Console

    from lightning_posenc.extend.comparing import compare
    from lightning_posenc.extend.spelled import chosen_methods
    from lightning_posenc.pretrained.folder import Refused
    from lightning_posenc.pretrained.reading import read

    console = Console()
    chosen, method = chosen_methods(given.methods, given.method)
    try:
        pretrained = read(
            given.hf, gguf_file=given.gguf, device=given.device, dtype=given.dtype,
            attention=given.attention,
        )  # fmt: skip
    except Refused as error:
        raise ValueError(f"--hf {error}") from error
    if given.save is not None and method is not None:
        method.method.check(pretrained, given.to, saved=True)
        if given.save.is_dir() and any(given.save.iterdir()):
            raise ValueError(f"--save {given.save} holds files: name another directory")
    compared = compare(console, given, args, pretrained, chosen) if given.text else None
    if given.save is not None and method is not None:
        _save(console, given, pretrained, method, compared)
    return compared


def _save(
    console: "Console",
    given: Namespace,
    pretrained: "Pretrained",
    method: "Spelled",
    compared: "Compared | None",
) -> None:
    from lightning_posenc.extend.contenders import AsItIs, Contender
    from lightning_posenc.extend.contents import COMMAND
    from lightning_posenc.extend.page import table_markdown
    from lightning_posenc.mistakes import escaping
    from lightning_posenc.pretrained.saving import save

    contender: Contender = AsItIs(method)
    table = notes = ""
    if compared is not None:
        contender = compared.to_save(method.name)
        table = table_markdown(compared.page.tables[0])
        notes = f"{contender.name}, compared by: `{compared.page.next_steps[COMMAND]}`"
    if (reason := contender.refuses(pretrained, given.to)) is not None:
        raise ValueError(f"--method {contender.name}: {reason}")
    ready = contender.ready(pretrained, given.to)
    proof = save(ready.pretrained, ready.method, given.to, given.save, table=table, notes=notes)
    for line in proof.lines():
        console.print(escaping.rich(line), style="dim", highlight=False)
    print(given.save)
