"""The page of a diff: keys that differ, numbers side by side, curves, depth, attention."""

import math
from collections.abc import Sequence
from pathlib import Path

from lightning_posenc.diagnostics.metric_keys import is_higher_better, parse
from lightning_posenc.pages.colours import colour
from lightning_posenc.report import costs, grouping, page, panels
from lightning_posenc.report.diff.configs import KeyDifference, differences
from lightning_posenc.report.diff.sides import Sides, interval
from lightning_posenc.report.intervals import ScoreInterval, difference
from lightning_posenc.report.metrics import BASELINES, Criterion
from lightning_posenc.report.page import Cell, Page, Picture, Section, Table
from lightning_posenc.report.panels import Panel
from lightning_posenc.report.pictures import draw
from lightning_posenc.report.runs import FINISHED, Run
from lightning_posenc.report.study import Study
from lightning_posenc.runs.png import data_uri
from lightning_posenc.runs.run_directory import FIGURES
from lightning_posenc.runs.whole_files import write_whole

ATTENTION = "attention.png"
LARGEST = 4_000_000  # bytes of a picture that is shown


class DiffPage:
    """What is said of two sides.

    Args:
        sides: The two.
    """

    def __init__(self, sides: Sides) -> None:
        self.sides = sides
        self.first, self.second = sides.first, sides.second
        self.keys = differences(_config(self.first), _config(self.second))
        runs = [self.first, self.second]
        names = [run.name for run in runs]
        labels = grouping.label([run.keys for run in runs], grouping.COLUMNS)
        column = " and ".join(dict.fromkeys(labels))
        self.study = Study(
            runs=runs, rows=names, columns=[column],
            row_of=dict(zip(names, names, strict=True)),
            column_of=dict.fromkeys(names, column),
            seed_of={run.name: str(run.seed) for run in runs},
            metric=Criterion("val/loss", False), left_out=[], notices=_notices(runs),
        )  # fmt: skip

    @property
    def computed(self) -> list[KeyDifference]:
        """Keys that change what is computed."""
        return [each for each in self.keys if not each.outward]

    def write(self, out: Path) -> list[Path]:
        """Write `diff.md`, `diff.html` and `figures/diff_*`.

        Args:
            out: Directory.
        """
        out.mkdir(parents=True, exist_ok=True)
        n = page.many(len(self.keys), "key")
        made = Page(
            title=f"{self.first.name} and {self.second.name}",
            about=f"Their configs differ in {n}. Differences are second minus first.",
            glance=self._glance(),
            notices=self.study.notices,
            left_out=None,
            sections=[
                Section("What differs in the configs", self._keys_caption(), self.keys_table(),
                        words=True),
                Section("Numbers side by side", NUMBERS, self.numbers_table()),
                *self._pictures(out),
            ],
            colours={row: colour(i) for i, row in enumerate(self.study.rows)},
        )  # fmt: skip
        paths = out / "diff.md", out / "diff.html"
        write_whole(paths[0], page.markdown(made))
        write_whole(paths[1], page.html(made))
        return list(paths)

    def keys_table(self) -> Table:
        """Every key that differs, with both values."""
        rows = [
            [Cell(each.key), Cell(each.first), Cell(each.second)]
            for each in [*self.computed, *(key for key in self.keys if key.outward)]
        ]
        return Table(["key", self.first.name, self.second.name], rows)

    def _keys_caption(self) -> str:
        outward = [each.key for each in self.keys if each.outward]
        if not self.keys:
            return "Nothing: the configs are the same."
        said = "Every key of the configs with another value, and no other. –: not there."
        if outward:
            said += f" These change nothing that is computed: {', '.join(outward)}."
        return said

    def numbers_table(self) -> Table:
        """Every metric of either side, with intervals, and the difference."""
        rows = []
        for key in sorted({*self.first.metrics, *self.second.metrics}, key=_order):
            if parse(key).layer is not None:
                continue
            one, other = interval(self.first, key), interval(self.second, key)
            cells = [Cell(key), *(Cell("–" if x is None else said(x)) for x in (one, other))]
            if one is None or other is None:
                cells.append(Cell("–"))
            else:
                d = self.sides.paired.get(key) or difference(one, other)
                cells.append(Cell(said(d, signed=True), mark=_mark(key, d)))
            rows.append(cells)
        for column in costs.COLUMNS:
            values = [run.summary.get(column.key) for run in (self.first, self.second)]
            if any(value is not None for value in values):
                shown = [None if v is None else v * column.scale for v in values]
                cells = [Cell("–" if v is None else page.amount(v, column.key)) for v in shown]
                one, other = shown
                ratio = f"× {other / one:.3g}" if one and other else "–"
                rows.append([Cell(column.title), *cells, Cell(ratio)])
        return Table(["", self.first.name, self.second.name, "difference"], rows)

    def _glance(self) -> dict[str, str]:
        shown = [f"{k.key} ({k.first} → {k.second})" for k in self.computed[:4]]
        more = len(self.computed) - len(shown)
        found = {"Config": ", ".join(shown) + (f" and {more} more" if more > 0 else "")}
        if not shown:
            found = {"Config": "nothing that is computed differs"}
        keys = [key for key in self.first.metrics if key in self.second.metrics and _is_score(key)]
        for key in sorted(keys, key=_order)[:2]:
            one, other = interval(self.first, key), interval(self.second, key)
            assert one is not None
            assert other is not None
            d = self.sides.paired.get(key) or difference(one, other)
            found[key] = f"{said(one)} → {said(other)}: {said(d, signed=True)}{_verdict(d)}"
        return found

    def _pictures(self, out: Path) -> list[Section]:
        sections = []
        if (metric := self.study.score) is not None and metric.name is not None:
            sections += self._section(
                f"{metric.name} by {self.study.length_axis}", "Shaded: what was trained.",
                panels.by_test_length(self.study, metric.name), out,
            )  # fmt: skip
        if (key := panels.learning_key(self.study)) is not None:
            sections += self._section(
                f"Learning curves: {key}", "", panels.learning(self.study, key), out
            )
        depth = [each for of in panels.by_depth(self.study).values() for each in of]
        depth.sort(key=lambda each: not any(f"_{word}_" in each.name for word in ("attn", "probe")))
        sections += self._section(
            "By depth", "The last value that was measured of each layer, mean over heads.", depth,
            out,
        )  # fmt: skip
        maps = [self._attention(run, i, out) for i, run in enumerate(self.study.runs)]
        if shown := [each for each in maps if each is not None]:
            caption = "Layers from above, heads from the left; each run's own first test sequence."
            sections.append(Section("Attention of one test sequence", caption, pictures=shown))
        return sections

    def _section(
        self, title: str, caption: str, shown: Sequence[Panel], out: Path
    ) -> list[Section]:
        pictures = []
        for panel in shown:
            name = f"diff_{panel.name}"
            image = draw(panel._replace(name=name), self.study.rows, out)
            pictures.append(Picture(name, panel.title, data_uri(image)))
        return [Section(title, caption, pictures=pictures)] if pictures else []

    def _attention(self, run: Run, i: int, out: Path) -> Picture | None:
        path = run.path / FIGURES / ATTENTION
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        image, name = path.read_bytes(), f"diff_attention_{'ab'[i]}"
        write_whole(out / FIGURES / f"{name}.png", image)
        return Picture(name, f"Attention of {run.name}", data_uri(image), caption=run.name)


NUMBERS = (
    "In brackets the 95 % interval over the sequences that were tested (Wilson's, sequences being "
    "what was sampled); it says nothing of how another seed would train. Differences are between "
    "pairs where both checkpoints answered the same sequences; else they follow from the two "
    "intervals, which is cautious. ▲ better and ▼ worse in the second, where the interval of the "
    "difference leaves 0 out."
)


def _config(run: Run) -> dict[str, object]:
    keys = dict(run.keys)
    keys.pop("seed", None)  # seed_everything says it
    return keys


def _notices(runs: Sequence[Run]) -> list[str]:
    found = [f"{run.name} is {run.status}: {run.why}" for run in runs if run.status != FINISHED]
    for what in ("torch", "lightning_posenc"):
        versions = {str((run.summary.get("versions") or {}).get(what)) for run in runs}
        if len(versions) > 1:
            found.append(
                f"they come from different versions of {what}: {', '.join(sorted(versions))}"
            )
    return found


def _order(key: str) -> tuple[int, bool, str, int]:
    """Test before validation before training, losses last, lengths as numbers."""
    of = parse(key)
    stage = ("test", "val", "train").index(of.stage) if of.stage else 3
    main = {"acc": 0, "exact": 1, "perplexity": 2, "loss": 3}.get(of.name, 4)
    return stage, main == 4, f"{main}{of.name}", of.length if isinstance(of.length, int) else -1


def said(found: ScoreInterval, signed: bool = False) -> str:
    """A number with its interval."""
    form = "{:+.4g}" if signed else "{:.4g}"
    if found.low is None or found.high is None:
        return form.format(found.value)
    low, high = (form.format(x) for x in (found.low, found.high))
    return f"{form.format(found.value)} [{low}, {high}]"


def _leaves_zero_out(d: ScoreInterval) -> bool:
    return d.low is not None and d.high is not None and (d.low > 0 or d.high < 0)


def _verdict(d: ScoreInterval) -> str:
    if not d.known:
        return ", how sure is not known" if math.isfinite(d.value) else ""
    return "" if _leaves_zero_out(d) else ", which may be chance"


def _mark(key: str, d: ScoreInterval) -> str:
    higher = is_higher_better(key)
    if higher is None or not _leaves_zero_out(d):
        return ""
    return "▲" if (d.value > 0) == higher else "▼"


def _is_score(key: str) -> bool:
    """Whether it is what a test measured of the model, of which more or less is better."""
    of = parse(key)
    return of.stage == "test" and of.name not in BASELINES and is_higher_better(key) is not None
