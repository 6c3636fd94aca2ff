"""Does the doctor tell the cause from what it brings about?

    python benchmarks/primary_causes.py [--seed 700] [--seeds 5] [--only NAME] [--part I/N]
        [--write | --out FILE]

Small models of five kinds of data (Shift, Reverse, CopyRandom and AssociativeRecall, text of this
package), with 2 to 24 layers. Healthy ones of twelve encodings are trained until they solve their
data; nothing of them may be called ill. In copies of them faults of evaluation are planted, and the
score of the last validation is at hand, as of a checkpoint. Further models are built or trained
with a fault. Of each the doctor says what is ill, and which of it is the cause.

A fault of evaluation that costs less than a tenth of the accuracy is none, and is left out. No
threshold was chosen on these seeds or kinds of data; docs/log.md says what was looked at before.
`--write` keeps the rows in benchmarks/results/primary_causes.json as they are made and their table
in docs/diagnose.md; what is in the file is not made again. `--part 1/2` takes every second model.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

import torch
from foreign_evaluations import EVALUATED, fits, planted
from foreign_models import ABSOLUTE, KINDS, LOST, Kind, Model, new, trained
from primary_faults import FAULTS

from lightning_posenc.diagnose.ailments import Verdict, judged
from lightning_posenc.diagnose.causes import find_cause
from lightning_posenc.diagnose.examination import examine
from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.scores import Score, answers, score
from lightning_posenc.diagnose.subject import Recorded
from lightning_posenc.positional import (
    FIRE,
    ALiBi,
    Chain,
    DeBERTa,
    Factory,
    KERPLELog,
    LearnableFrequencies,
    LearnedRelativeBias,
    NoPE,
    PartialRoPE,
    RoPE,
    ShawRelative,
    Sinusoidal,
    T5Bias,
    XPos,
)
from lightning_posenc.tasks import CopyRandom

OUT = Path(__file__).parent / "results" / "primary_causes.json"
DOCS = Path(__file__).parent.parent / "docs" / "diagnose.md"
BEGIN, END = "<!-- primary causes -->", "<!-- end of primary causes -->"
COMMAND = "python benchmarks/primary_causes.py --write"
HEALTHY, LEFT_OUT = "healthy", "no fault here, or one that costs nothing"
Row = dict[str, Any]

DATA = {name: KINDS[name] for name in ("Shift", "Reverse", "AssociativeRecall", "text")}
DATA["CopyRandom"] = Kind(partial(CopyRandom, n_symbols=16), 12, {}, 0.95, 1200, causal=True)
SOUND: dict[str, dict[str, Factory]] = {
    "Shift": {
        "table": ABSOLUTE, "Sinusoidal": Sinusoidal, "RoPE": RoPE, "T5Bias": T5Bias,
        "LearnedRelativeBias": LearnedRelativeBias, "FIRE": FIRE, "DeBERTa": DeBERTa,
        "RoPE and ALiBi": Chain.of(RoPE, ALiBi),
    },
    "Reverse": {
        "table": ABSOLUTE, "Sinusoidal": Sinusoidal, "LearnableFrequencies": LearnableFrequencies,
    },
    "CopyRandom": {
        "table": ABSOLUTE, "RoPE": RoPE, "XPos": XPos, "ShawRelative": ShawRelative,
        "PartialRoPE": PartialRoPE,
    },
    "AssociativeRecall": {
        "table": ABSOLUTE, "LearnedRelativeBias": LearnedRelativeBias, "RoPE": RoPE,
    },
    "text": {"ALiBi": ALiBi, "RoPE": RoPE, "KERPLELog": KERPLELog, "NoPE": NoPE},
}  # fmt: skip
DEPTHS = {2: 4, 4: 1, 8: 1}  # layers, and faults that are planted in one healthy model
SLOW = {"AssociativeRecall", "text"}  # which take minutes to learn with 8 layers
PLANTED = (
    "positions twice as far apart", "positions backwards", "left padding, positions count it",
    "classes renumbered", "token ids off by one", "logits × .01", "logits × 100",
    "half of the heads × 300", "embeddings × 30 in evaluation", "values of heads exchanged",
    "window of 2 in evaluation alone", "one class always", "padding is seen",
    "rows of the table shuffled", "table × 20 in evaluation",
)  # fmt: skip


def made(name: str, encoding: Factory, layers: int, seed: int) -> Model:
    kind = DATA[name]
    return trained(new(kind, encoding, seed, layers=layers), kind.steps, kind.solved)


def scored(model: Model) -> Score | None:
    return score(answers(model.module, model.data.val_dataloader()))


def row_of(
    label: str, fault: str, primary: set[int], model: Model, recorded: Score | None, after: Any
) -> Row:
    """What the doctor says."""
    record = None if recorded is None else Recorded(recorded.accuracy, recorded.loss)
    subject = subject_of(model.module, model.data, label, model.steps, record)
    e = examine(subject)
    found = judged(e)
    cause = find_cause(subject, e, found)
    return {
        "label": label,
        "fault": fault,
        "primary": sorted(primary),
        "steps": model.steps,
        "before": None if recorded is None else round(recorded.accuracy, 3),
        "after": None if after is None else round(after.accuracy, 3),
        "ill": [ailment.number for ailment, each in found if each.verdict == Verdict.ILL],
        "watch": [ailment.number for ailment, each in found if each.verdict == Verdict.WATCH],
        "cause": None if cause is None else cause.ailment.number,
        "proved": cause is not None and cause.proved,
        "said": "" if cause is None else cause.said,
    }


def healthy(seed: int, known: set[str], only: str, mine: Callable[[], bool]) -> Iterator[Row]:
    """Healthy models and, in copies of them, faults of evaluation."""
    wanted = cycle(PLANTED)
    bases = [
        (name, e, depth)
        for depth in DEPTHS
        for name in SOUND
        for e in SOUND[name]
        if depth < 8 or name not in SLOW
    ]
    for number, (name, encoding, depth) in enumerate(bases):
        faults = list(islice(wanted, DEPTHS[depth]))
        label = f"{name}, {encoding}, {depth} layers, seed {seed + number}"
        labels = {fault: f"{label}: {fault}" for fault in (HEALTHY, *faults)}
        todo = {f: each for f, each in labels.items() if each not in known and only in each}
        if not mine() or not todo:
            continue
        torch.manual_seed(seed)
        model = made(name, SOUND[name][encoding], depth, seed + number)
        before = scored(model)
        assert before is not None
        if before.accuracy < DATA[name].solved - 0.05:
            yield {"label": labels[HEALTHY], "fault": "not solved", "after": before.accuracy}
            yield from ({"label": labels[fault], "fault": LEFT_OUT} for fault in faults)
            continue
        if HEALTHY in todo:
            yield row_of(labels[HEALTHY], HEALTHY, set(), model, before, before)
        for fault in faults:
            plant = EVALUATED[fault]
            if fault not in todo:
                continue
            other = after = None
            if fits(plant, model) and suits(encoding, plant.encodings):
                torch.manual_seed(1)
                other = planted(plant, model)
                after = scored(other)
            if other and (plant.silent or (after and before.accuracy - after.accuracy >= LOST)):
                yield row_of(todo[fault], fault, plant.right, other, before, after)
            else:
                yield {"label": todo[fault], "fault": LEFT_OUT}


def suits(encoding: str, wanted: set[str]) -> bool:
    """Whether a fault is one of any encoding, or of this one."""
    return len(wanted) > 2 or encoding in wanted


def faulty(seed: int, seeds: int, known: set[str], only: str, mine: Any) -> Iterator[Row]:
    """Models with a fault of training."""
    for fault, each in FAULTS.items():
        for index in range(seeds):
            name = each.tasks[index % len(each.tasks)]
            depth = each.depths[index % len(each.depths)]
            label = f"{name}, {depth} layers, seed {seed + index}: {fault}"
            if not mine() or label in known or only not in label:
                continue
            torch.manual_seed(seed + index)
            kind = DATA[name]
            model = each.make(kind, depth, seed + index)
            model.module.eval()
            after = scored(model)
            yield row_of(label, fault, each.primary, model, after, after)


def summary(rows: list[Row]) -> str:
    """The tables in Markdown."""
    lines = ["| fault | cause | models | named | cause right | of them proved |"]
    lines.append("|---|---|---|---|---|---|")
    ill = [row for row in rows if row.get("primary")]
    for fault in dict.fromkeys((*PLANTED, *FAULTS)):
        of = [row for row in ill if row["fault"] == fault]
        if not of:
            continue
        right = [row for row in of if row["cause"] in row["primary"]]
        named = sum(bool({*row["ill"]} & {*row["primary"]}) for row in of)
        proved = sum(row["proved"] for row in right)
        numbers = " or ".join(map(str, of[0]["primary"]))
        lines.append(f"| {fault} | {numbers} | {len(of)} | {named} | {len(right)} | {proved} |")
    n = max(len(ill), 1)
    named = sum(bool({*row["ill"]} & {*row["primary"]}) for row in ill)
    right = sum(row["cause"] in row["primary"] for row in ill)
    sound = [row for row in rows if row["fault"] == HEALTHY]
    clear = sum(not row["ill"] for row in sound)
    failed = sum(row["fault"] == "not solved" for row in rows)
    kinds = len({row["fault"] for row in ill})
    lines += [
        "",
        f"{kinds} kinds, {len(ill)} models: named {named} ({named / n:.1%}), cause right {right} "
        f"({right / n:.1%}). Healthy: {clear} of {len(sound)} without anything ill "
        f"({clear / max(len(sound), 1):.1%}); {failed} models did not solve their data and were "
        "left out.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=700)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="models whose label holds this")
    parser.add_argument("--part", default="1/1", help="I/N: the I-th of N shares of the models")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--out", type=Path, help="a file of rows to go on with")
    given = parser.parse_args()
    out: Path | None = OUT if given.write else given.out
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    rows: list[Row] = json.loads(out.read_text())["models"] if out and out.is_file() else []
    known = {row["label"] for row in rows}
    part, parts = map(int, given.part.split("/"))
    mine = partial(next, cycle([i == part - 1 for i in range(parts)]))
    start = time.process_time()
    for row in chain(
        healthy(given.seed, known, given.only, mine),
        faulty(given.seed, given.seeds, known, given.only, mine),
    ):
        rows.append(row | {"seconds": round(time.process_time() - start, 2)})
        shown = {name: row.get(name) for name in ("before", "after", "ill", "cause", "proved")}
        print(f"{row['label']:<72} {shown}  {rows[-1]['seconds']} s", flush=True)
        if out is not None:
            out.write_text(json.dumps({"command": COMMAND, "models": rows}, indent=1) + "\n")
        start = time.process_time()
    text = summary(rows)
    print(f"\n{text}\n{sum(row['seconds'] for row in rows):.0f} s of one core")
    if given.write:
        before, _, rest = DOCS.read_text("utf-8").partition(BEGIN)
        DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
