"""Runs that differ in their seeds alone, trained as one from the arguments of their `fit`."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import Any

import lightning as L

from lightning_posenc import shipped
from lightning_posenc.callbacks import Diverged
from lightning_posenc.runs import run_directory, strict_json
from lightning_posenc.runs.checkpoint_files import WholeCheckpointIO
from lightning_posenc.runs.run_directory import CHECKPOINTS, CONFIG, METRICS, SUMMARY
from lightning_posenc.runs.whole_files import write_whole
from lightning_posenc.training import command
from lightning_posenc.training.command_line import OPTIONS, TrainingCLI
from lightning_posenc.training.every_run import progress_bar
from lightning_posenc.training.stacked.data import StackedData
from lightning_posenc.training.stacked.module import StackedModule
from lightning_posenc.training.stacked.one_seed import SeedTables
from lightning_posenc.training.stacked.runs import ResumptionOfEach, SeedRuns
from lightning_posenc.training.stacked.stack import Unstackable
from lightning_posenc.training.trainer_options import check_linked, check_trainer

TAKEN = (
    "accelerator", "precision", "max_epochs", "min_epochs", "max_steps", "min_steps",
    "limit_train_batches", "limit_val_batches", "val_check_interval", "check_val_every_n_epoch",
    "num_sanity_val_steps", "log_every_n_steps", "accumulate_grad_batches", "gradient_clip_val",
    "gradient_clip_algorithm", "deterministic", "benchmark", "inference_mode",
    "use_distributed_sampler", "enable_progress_bar",
)  # fmt: skip
_OF_EVALUATION = ("limit_test_batches", "limit_predict_batches", "enable_model_summary", "devices")


def fit_stacked(args: Sequence[str], seeds: Sequence[int], directory: str | Path) -> list[Path]:
    """Train one small model from several seeds at once, and conclude each as a run of its own.

    Every run begins, is trained and is tested as `fit --seed_everything SEED` would do it alone, in
    `directory/SEED`. Its numbers are those of that run, but for the rounding of the stacked
    products, of 1e-5 at most in the first step; what cannot be stacked so is refused before it is
    trained.

    Args:
        args: What would follow `fit`, but for `--seed_everything` and `--run_dir`.
        seeds: At least two, all different.
        directory: Where the runs are kept.

    Returns:
        The runs' directories, which `report` and `test --ckpt_path` read.

    Raises:
        Unstackable: If these runs cannot be trained as one: train them one by one.
        Diverged: If a seed's loss is not finite, when all others are done.
        ValueError: On any other mistake.

    Example:
        >>> from lightning_posenc.training.stacked.together import fit_stacked
        >>> fit_stacked(["--config=quickstart"], [0, 1, 2, 3], "runs/four")  # doctest: +SKIP
    """
    run_dirs = [Path(directory, str(seed)) for seed in seeds]
    commands = [
        [*shipped.with_paths(args), f"--seed_everything={seed}", f"--run_dir={run_dir}"]
        for seed, run_dir in zip(seeds, run_dirs, strict=True)
    ]
    train_together(commands)
    diverged: list[Diverged] = []
    for each in commands:
        try:
            command.run(["fit", *each, "--ckpt_path=last"])
        except Diverged as error:
            diverged.append(error)
    if diverged:
        raise diverged[0]
    return run_dirs


def train_together(commands: Sequence[Sequence[str]]) -> None:
    """Do the training of several runs, each of which then goes on from its last checkpoint.

    That checkpoint, `metrics.csv` and `config.yaml` are in each run's directory as its `fit` would
    have written them; `fit … --ckpt_path=last` then has nothing to train: it tests and concludes.
    A run whose loss is not finite is left behind where it was: it goes on, and ends, by itself.

    Args:
        commands: For each run what follows `fit`, its `--run_dir` included.

    Raises:
        Unstackable: If they cannot be trained as one; their directories are as before.
        ValueError: On any other mistake.
    """
    if len(commands) < 2:
        raise Unstackable("there is one run alone")
    plans = [PlannedRun(list(each)) for each in commands]
    check_same([plan.plain for plan in plans])
    options = trainer_options(plans[0].plain["trainer"])
    command.leave_out_advice()
    module = StackedModule([plan.model for plan in plans])
    data = StackedData([plan.datamodule for plan in plans])
    run_dirs = [plan.run_dir for plan in plans]
    with run_directory.side_by_side(run_dirs):
        try:
            runs = SeedRuns(run_dirs, [plan.text for plan in plans])
            bar = progress_bar([], options.get("enable_progress_bar"))
            trainer = L.Trainer(
                **options,
                devices=1,
                logger=SeedTables(run_dirs),
                callbacks=[ResumptionOfEach(), runs, *bar],
                plugins=[WholeCheckpointIO()],
                default_root_dir=run_dirs[0],
                enable_checkpointing=False,
                enable_model_summary=False,
            )
            for plan in plans:
                write_whole(plan.run_dir / CONFIG, plan.text)
            trainer.fit(module, datamodule=data)
            _keep_cost(run_dirs, runs.times.median())
        except Unstackable:
            for run_dir in run_dirs:
                _forget(run_dir)
            raise


class PlannedRun(TrainingCLI):
    """Parses as `fit` does, builds model and data as its seed makes them, and trains nothing.

    Args:
        args: What follows `fit`.
    """

    def __init__(self, args: list[str]) -> None:
        self.run_dir = Path()
        super().__init__(save_config_callback=None, args=["fit", *args], **OPTIONS)
        self.text: str = self.save_config_kwargs["text"]

    def before_instantiate_classes(self) -> None:
        config = self.config["fit"]
        check_trainer(config.trainer)
        check_linked(config.get("model"))
        if config.run_dir is None or config.get("ckpt_path"):
            raise ValueError("stacked runs begin anew, each with a --run_dir of its own")
        self.run_dir = Path(config.run_dir)
        self.dump_config()

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        return None

    def run_subcommand(self, subcommand: str) -> None:
        """Nothing: they are trained together."""


def check_same(configs: Sequence[dict[str, Any]]) -> None:
    """Refuse configs that differ in more than their seed.

    Raises:
        Unstackable: Naming where.
    """
    first = configs[0]
    for other in configs[1:]:
        differ = [key for key in first if first[key] != other.get(key)]
        if more := [key for key in differ if key != "seed_everything"]:
            raise Unstackable(f"the runs differ in {', '.join(more)}, not in their seeds alone")
    seeds = [config["seed_everything"] for config in configs]
    if len(set(seeds)) < len(seeds):
        raise Unstackable(f"seeds {seeds} are not all different")


def trainer_options(plain: dict[str, Any]) -> dict[str, Any]:
    """The options of the Trainer that a stack heeds.

    Args:
        plain: All of them, as YAML knows them.

    Raises:
        Unstackable: If another one is set.
    """
    defaults = {n: p.default for n, p in signature(L.Trainer.__init__).parameters.items()}
    for name, value in plain.items():
        if name in TAKEN or name in _OF_EVALUATION:
            continue
        if value != defaults.get(name) and value not in (None, [], {}):
            said = "" if isinstance(value, dict | list) else f"={value}"
            raise Unstackable(f"trainer.{name}{said} is for one model: leave it out")
    if plain.get("devices") not in ("auto", 1, "1", None):
        raise Unstackable("several devices train one model: set trainer.devices=1")
    return {name: plain[name] for name in TAKEN if name in plain}


def _keep_cost(run_dirs: Sequence[Path], seconds_per_step: float | None) -> None:
    """Say in each summary that its steps were taken together, and how long one took for all."""
    told = {"seeds": len(run_dirs), "seconds_per_step": seconds_per_step}
    for run_dir in run_dirs:
        text = strict_json.text({"status": "running", "stacked": told}, indent=2)
        write_whole(run_dir / SUMMARY, text + "\n")


def _forget(run_dir: Path) -> None:
    """Leave a directory as it was before these runs, which hold nothing yet."""
    for name in (CONFIG, METRICS):
        (run_dir / name).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        shutil.rmtree(run_dir / CHECKPOINTS)
