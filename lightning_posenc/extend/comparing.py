"""A study from its options to its page."""

from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from lightning_posenc.compat.transformers import attention_of
from lightning_posenc.extend import page as pages
from lightning_posenc.extend import study
from lightning_posenc.extend.contenders import AsItIs, Contender, Finetuned
from lightning_posenc.extend.contents import page_of
from lightning_posenc.extend.options import lengths_for
from lightning_posenc.extend.page import StudyPage
from lightning_posenc.extend.pictures import pictures
from lightning_posenc.extend.progress import Bar, bar
from lightning_posenc.extend.question import Question, digest, weights_digest
from lightning_posenc.extend.records import Records
from lightning_posenc.extend.results import UNCHANGED, StudyResults
from lightning_posenc.extend.spelled import Spelled
from lightning_posenc.extend.texts import Evaluated, evaluated_texts
from lightning_posenc.mistakes.arguments import made_directory
from lightning_posenc.pretrained.evaluating.order_task import order_prompt
from lightning_posenc.pretrained.evaluating.passkey import passkey_prompt
from lightning_posenc.pretrained.evaluating.texts import Text, read_texts
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.pretrained.where_positions import WherePositions, what_positions
from lightning_posenc.runs.whole_files import write_whole

NOT_YET = "not measured yet; the same command goes on from there"
SHOWN = 2  # tables in the terminal; the page has all


class Compared(NamedTuple):
    """What a study leaves to go on with."""

    contenders: Sequence[Contender]
    page: StudyPage
    found: StudyResults
    files: tuple[Path, Path]

    def to_save(self, method: str) -> Contender:
        """The row of a method, after its training where there was any."""
        return [each for each in self.contenders if each.of == method][-1]


def compare(
    console: Console,
    given: Namespace,
    args: Sequence[str],
    pretrained: Pretrained,
    chosen: Sequence[Spelled],
) -> Compared:
    """Measure what is not known yet, print what is found, and write the page.

    Args:
        console: Where progress and tables are shown.
        given: The options, as `parsed` gives them.
        args: The same, as they were typed.
        pretrained: As it was read.
        chosen: The methods.

    Raises:
        ValueError: What the user can mend.
        KeyboardInterrupt: If the user stops it; of what is known by then there is a page.
    """
    positions = what_positions(pretrained.model)
    trained = _trained_length(pretrained, positions, given.to)
    texts = evaluated_texts(given.text, pretrained, given.to, given.sequences)
    training = read_texts(pretrained, given.train_text) or [text.rest for text in texts]
    question = _question(given, pretrained, texts, training, trained)
    out = made_directory("--out", given.out or _default_out(given))
    bars: list[Bar] = []  # the one that is shown, once there is one
    plain = [AsItIs(each, training, out) for each in chosen]
    contenders = _with_finetuned(given, plain, bars)
    found, left_out, stopped = _measured(
        console, pretrained, contenders, texts, question, out, bars
    )
    if stopped and not found.rows:
        raise KeyboardInterrupt
    page = page_of(given, args, pretrained, contenders, found, left_out)
    markdown, html = out / "extend.md", out / "extend.html"
    write_whole(markdown, pages.markdown(page))
    write_whole(html, pages.html(page, pictures(found)))
    pages.print_page(console, page, SHOWN)
    print(f"{markdown}\n{html}")
    if stopped:
        raise KeyboardInterrupt
    return Compared(contenders, page, found, (markdown, html))


def _trained_length(pretrained: Pretrained, positions: WherePositions, to: int) -> int:
    if pretrained.kind not in ("causal", "masked") or not pretrained.has_head:
        raise ValueError(
            f"--hf {pretrained.name}: its kind is {pretrained.kind}, and losses are compared of "
            "language models: leave --text out, and save by a --method"
        )
    trained = positions.trained_length
    if trained is None:
        raise ValueError(
            f"--hf {pretrained.name}: nothing tells the length that it was trained on "
            f"({positions.inferred_from}): add max_position_embeddings to its config.json"
        )
    if to <= trained:
        raise ValueError(f"--to {to}: {pretrained.name} was trained on {trained}: give more")
    return trained


def _question(
    given: Namespace,
    pretrained: Pretrained,
    texts: Sequence[Evaluated],
    training: Sequence[Text],
    trained: int,
) -> Question:
    lengths = tuple(sorted({*(given.lengths or lengths_for(trained, given.to)), trained, given.to}))
    is_causal = pretrained.kind == "causal"
    passkeys, orders = (given.passkeys, given.orders) if is_causal else (0, 0)
    tasks = _task_lengths(given, pretrained, [n for n in lengths if n >= trained])
    last = given.last or min(256, lengths[0] // 2)
    if last >= lengths[0]:
        raise ValueError(f"--last {last}: the shortest of --lengths is {lengths[0]}: give fewer")
    config = pretrained.model.config
    return Question(
        model=pretrained.name,
        weights=weights_digest(pretrained.model, config.to_json_string(use_diff=False)),
        texts={text.name: digest(text.tokens.numpy().tobytes()) for text in texts},
        training=digest(*(text.ids.numpy().tobytes() for text in training)),
        trained_length=trained,
        to=given.to,
        lengths=lengths,
        sequences=given.sequences,
        last=last,
        task_lengths=tuple(sorted(set(tasks))),
        depths=tuple(given.depths),
        passkeys=passkeys if tasks else 0,
        orders=orders if tasks else 0,
        seed=given.seed,
        device=pretrained.device.type,
        dtype=given.dtype,
        attention=attention_of(pretrained.model),
    )


def _task_lengths(given: Namespace, pretrained: Pretrained, usual: Sequence[int]) -> list[int]:
    """Those at which every question has room, before hours have gone into the rest."""
    asked = sorted(given.task_lengths or usual)
    if pretrained.kind != "causal" or not (given.passkeys or given.orders):
        return asked
    while asked:
        try:
            if given.passkeys:
                passkey_prompt(pretrained, asked[0], 0.5, given.seed)
            if given.orders:
                order_prompt(pretrained, asked[0], 0, given.seed)
            break
        except ValueError as error:
            if given.task_lengths:
                raise ValueError(f"--task_lengths {asked[0]}: {error}") from error
            asked = asked[1:]
    return asked


def _default_out(given: Namespace) -> Path:
    return Path("runs", "extend", f"{Path(given.hf).resolve().name}-{given.to}")


def _with_finetuned(
    given: Namespace, plain: Sequence[AsItIs], bars: Sequence[Bar]
) -> list[Contender]:
    """Each method, and behind it the same after training, where that was asked for."""

    def tell(name: str, step: int, loss: float) -> None:
        for each in bars:
            each.begin(f"{name}: step {step}/{given.finetune}, loss {loss:.3f}")

    contenders: list[Contender] = []
    for each in plain:
        contenders.append(each)
        wanted = each.name == given.method if given.method else each.name != UNCHANGED
        if given.finetune and wanted:
            heard = partial(tell, each.name)
            contenders.append(Finetuned(each, given.finetune, given.seed, heard, given.rate))
    return contenders


def _measured(
    console: Console,
    pretrained: Pretrained,
    contenders: Sequence[Contender],
    texts: Sequence[Evaluated],
    question: Question,
    out: Path,
    bars: list[Bar],
) -> tuple[StudyResults, dict[str, str], bool]:
    """What is known in the end, what is left out of it and why, and whether the user stopped it."""
    rows, left_out = study.plan(contenders, pretrained, question)
    measurements = study.measurements_of(question, texts)
    records = Records(out, question)
    stopped = False
    try:
        left = list(study.missing(rows, measurements, records))
        n_known = len(rows) * len(measurements) - len(left)
        if n_known:
            console.print(f"{n_known} of {n_known + len(left)} measurements are there already")
        with bar(console, sum(each.tokens for _, each in left)) as shown:
            bars.append(shown)
            for row, each in left:
                what = f"{row.contender.name}: {each.name}"
                shown.begin(what)
                failure = study.measure(pretrained, question.to, row, each, records)
                if failure is not None:
                    left_out.setdefault(row.contender.name, f"{each.name}: {failure}")
                shown.end(f"{what}: {failure or 'done'}", each.tokens)
    except KeyboardInterrupt:
        stopped = True
        for row, each in study.missing(rows, measurements, records):
            left_out.setdefault(row.contender.name, f"{each.name}: {NOT_YET}")
    finally:
        records.close()
    return study.results(rows, measurements, records, question), left_out, stopped
