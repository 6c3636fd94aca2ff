"""Command lines and files of people who err, by kind: each is to end in one line.

`{name}` in an argument is the path of one of `FILES`, `LINKS` or `FOLDERS` that `lay_out` makes;
{run} is a run that was trained, {root} the repository.
"""

import os
import zipfile
from pathlib import Path

FIT = (
    "fit", "--config={quick}", "--run_dir=out",
    "--model.encoder={{d_model: 16, n_heads: 2, n_layers: 1}}", "--data.steps_per_epoch=2",
    "--data.eval_samples=8", "--data.batch_size=4", "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
)  # fmt: skip

FILES: dict[str, bytes] = {
    "empty.yaml": b"",
    "binary.yaml": bytes(range(256)),
    "latin.yaml": "model: Größe\n".encode("latin-1"),
    "list.yaml": b"[1, 2, 3]\n",
    "number.yaml": b"3\n",
    "text.yaml": b"hello\n",
    "tabs.yaml": b"model:\n\tclass_path: x\n",
    "open.yaml": b"model: {class_path: [\n",
    "twice.yaml": b"model: &a {b: *a}\n",
    "tag.yaml": b"model: !!python/object/apply:os.getcwd []\n",
    "alias.yaml": b"model: *nothing\n",
    "nul.yaml": b"model: a\x00b\n",
    "unknown.yaml": b"modell: {}\n",
    "deep.yaml": b"model: " + b"[" * 3000 + b"]" * 3000 + b"\n",
    "two.yaml": b"model: a\n---\nmodel: b\n",
    "text.ckpt": b"no checkpoint\n",
    "empty.ckpt": b"",
    "binary.ckpt": bytes(range(256)) * 40,
    "pickle.ckpt": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00]\x94.",
    "text.csv": b"text,label\na b,x\nb a,y\n",
    "file": b"x",
    "sweep_list.yaml": b"[1, 2]\n",
    "sweep_empty.yaml": b"{}\n",
    "sweep_no_method.yaml": b"program: p.py\nparameters: {x: {values: [1]}}\n",
    "sweep_method.yaml": b"program: p.py\nmethod: gird\nparameters: {x: {values: [1]}}\n",
    "sweep_no_parameters.yaml": b"program: p.py\nmethod: grid\n",
    "sweep_text_parameters.yaml": b"program: p.py\nmethod: grid\nparameters: 3\n",
    "sweep_no_values.yaml": b"program: p.py\nmethod: grid\nparameters: {x: {values: []}}\n",
    "sweep_range.yaml": b"program: p.py\nmethod: grid\nparameters: {x: {min: 0.0, max: 1.0}}\n",
    "sweep_backwards.yaml": b"program: p.py\nmethod: random\nrun_cap: 2\n"
    b"parameters: {x: {min: 2.0, max: 1.0}}\n",
    "sweep_endless.yaml": b"program: p.py\nmethod: random\nparameters: {x: {min: 0.0, max: 1.0}}\n",
    "sweep_sigma.yaml": b"program: p.py\nmethod: random\nrun_cap: 1\nparameters: "
    b"{x: {distribution: log_normal, mu: 0, sigma: 1000000000}}\n",
    "sweep_distribution.yaml": b"program: p.py\nmethod: random\nrun_cap: 1\nparameters: "
    b"{x: {distribution: gauss, mu: 0}}\n",
    "sweep_macro.yaml": b"program: p.py\nmethod: grid\ncommand: ['${pythn}']\n"
    b"parameters: {x: {values: [1]}}\n",
    "sweep_metric.yaml": b"program: p.py\nmethod: bayes\nparameters: {x: {min: 0.0, max: 1.0}}\n",
    "sweep_goal.yaml": b"program: p.py\nmethod: grid\nmetric: {name: a, goal: best}\n"
    b"parameters: {x: {values: [1]}}\n",
    "sweep_cap.yaml": b"program: p.py\nmethod: grid\nrun_cap: -1\nparameters: {x: {values: [1]}}\n",
    "own_module.py": b"def broken(d_model):\n    a, b = 1, 2, 3\n    return a\n",
    "own_syntax.py": b"def broken(:\n",
}
LINKS = {"nowhere": "there/is/nothing", "round": "round"}
FOLDERS = ("folder", "folder/runs")
LONG = "x" * 300


def lay_out(folder: Path) -> dict[str, str]:
    """Make the files, and return every path by its name."""
    paths = {}
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
        paths[name] = str(folder / name)
    for name, target in LINKS.items():
        os.symlink(target, folder / name)
        paths[name] = str(folder / name)
    for name in FOLDERS:
        (folder / name).mkdir()
        paths[name] = str(folder / name)
    with zipfile.ZipFile(folder / "zipped.ckpt", "w") as archive:
        archive.writestr("archive/data.pkl", b"no pickle")
    paths["zipped.ckpt"] = str(folder / "zipped.ckpt")
    return paths


def _fits(*options: str) -> list[list[str]]:
    return [[*FIT, *option.split("\n")] for option in options]


_COMMANDS = [
    ["fti"], ["trian"], ["Fit"], ["--fit"], ["-x"], ["fit --config x"], [""], ["encoding"],
    ["run", "fit"], ["help"], ["tests"], ["diagnos"], ["reports"], ["sweeps"], ["0"], ["ü"],
]  # fmt: skip
_TASKS = [["tasks", *rest.split()] for rest in (
    "Revers", "reverse --n 1", "--n 3", "Reverse --n=-1", "Reverse --n=0", "Reverse --n many",
    "Reverse --length=0", "Reverse --length=-3", "Reverse --length 1.5", "Reverse --lenght 4",
    "Reverse --length 1000000000", "Reverse --n 1000000000", "Reverse --seed=x",
    "Reverse --n_symbols=0", "Reverse --n_symbols=x", "Reverse --n_symbol=4", "Copy --length=1",
    "Mixture", "SCAN", "Reverse Copy", "GridLookup --length=-1", "Task", "TreeDistance --n 2 3",
    "Addition --length=99999999999999999999",
)]  # fmt: skip
_ENCODINGS = [["encodings", *rest.split()] for rest in (
    "--d_model=0", "--d_model=-4", "--d_model=x", "--d_model=7", "--n_heads=0", "--n_heads=3",
    "--n_layers=0", "--n_layers=-1", "--markdwon", "RoPE --x", "--d_model", "--n_heads=1e3",
)]  # fmt: skip
_REPORT = [["report", *rest] for rest in (
    ["nowhere"], ["{folder}"], ["{file}"], ["{nowhere}"], ["{round}"], ["{folder}", "--by"],
    ["{run}", "--by=model.depht"], ["{run}", "--metric=test/accc"], ["{run}", "--goal=best"],
    ["{run}", "--filter=x"], ["{run}", "--filter=data.task=None"], ["{run}", "--out={file}"],
    ["{run}", "--out={nowhere}"], ["{run}", "--export=word"], ["{run}", "--baseline=Rope"],
    ["{run}", "--select=nothing"], ["{run}", "--seed=no.key"], ["{run}", "--colums=x"],
    ["{run}", "--out={file}/x"], ["{run}", f"--out={LONG}"],
)]  # fmt: skip
_SWEEP = [["sweep", *rest] for rest in (
    [], ["nowhere.yaml"], ["{folder}"], *([f"{{{name}}}"] for name in FILES if "yaml" in name),
    ["{sweep_goal.yaml}", "--jobs=0"], ["{sweep_goal.yaml}", "--jobs=x"],
    ["{sweep_goal.yaml}", "--run_cap=0"], ["{sweep_goal.yaml}", "--sed=1"],
    ["{root}/sweeps/quick.yaml", "--sweep_dir={file}"],
    ["{root}/sweeps/quick.yaml", "--sweep_dir={nowhere}"],
    ["{root}/sweeps/quick.yaml", "--sweep_dir={file}/x"],
    ["{root}/sweeps/quick.yaml", "--sweep_dir={round}/x"],
    ["{root}/sweeps/quick.yaml", f"--sweep_dir={LONG}"],
    ["{root}/sweeps/quick.yaml", "--sweep_dir={run}"],
)]  # fmt: skip
_DIAGNOSE = [["diagnose", *rest] for rest in (
    ["--ckpt_path=nowhere"], ["--ckpt_path={folder}"], ["--ckpt_path={text.ckpt}"],
    ["--ckpt_path={nowhere}"], ["--hf=nowhere"], ["--hf={folder}"], ["--hf={file}"],
    ["--hf={folder}", "--text=nowhere"], ["--text={file}"], ["--out={folder}"], ["--hf"],
    ["--ckpt_path={run}", "--out={file}"], ["--ckpt_path={run}", "--out={nowhere}"],
    ["--ckpt_path={run}", "--out={file}/x"], ["--ckpt_path={run}", f"--out={LONG}"],
    ["--config=nowhere.yaml"], ["--config={binary.yaml}"], ["--hf={folder}", "--model.x=1"],
)]  # fmt: skip
_CONFIGS = [["fit", "--run_dir=out", f"--config={{{name}}}"] for name in FILES
            if name.endswith(".yaml") and not name.startswith("sweep")]  # fmt: skip
_CONFIGS += [["fit", "--run_dir=out", f"--config={place}"]
             for place in ("nowhere.yaml", "{folder}", "{nowhere}", "{round}", LONG)]  # fmt: skip
_CONFIGS += [["fit"], ["test"], ["predict"], ["validate"], ["fit", "--run_dir=out", "--config"]]
_PLACES = [[*FIT, f"--run_dir={place}"] for place in (
    "{file}", "{file}/below", "{nowhere}", "{round}", "{round}/below", LONG, f"a/{LONG}/b",
    "/proc/none", "/dev/null", "/dev/null/x", "{run}", "",
)]  # fmt: skip
_CHECKPOINTS = [[command, f"--ckpt_path={place}", "--run_dir=out"]
    for command in ("fit", "test", "validate", "predict")
    for place in ("nowhere.ckpt", "{folder}", "{text.ckpt}", "{empty.ckpt}", "{binary.ckpt}",
                  "{pickle.ckpt}", "{zipped.ckpt}", "{nowhere}", "{round}", "{file}", LONG)
]  # fmt: skip
_NAMES = _fits(
    "--model.positional=RoPEE", "--model.positional=Rope", "--model.positional=nowhere.Mine",
    "--model.positional=os.getcwd", "--model.positional=3", "--model.positional=",
    "--model.positional=RoPE\n--model.positional.bas=3", "--model=SequenceClasifier",
    "--model=Reverse", "--data=SyntheticDate", "--data=RoPE", "--data.task=Revers",
    "--data.task=RoPE", "--data.task=nowhere.Mine", "--model.positions=Randomised",
    "--model.encoder.norm=torch.nn.LayerNom", "--model.encoder.feed_forward=SwiGlu2",
    "--model.encoder.mixer.kernel=Sdpaa", "--model.encoder.mask=Windw",
    "--model.encoder.mixer=Atention", "--model.encoder.residual=ReZer",
    "--model.optimizer=torch.optim.Adamm", "--model.optimizer.lrr=1", "--model.schedule=Cosine",
    "--trainer.callbacks+=EarlyStoping", "--trainer.callbacks+=nowhere.Mine",
    "--trainer.logger=Tensorbord", "--trainer.strategy=dpp", "--trainer.precision=17",
    "--trainer.accelerator=gpuu", "--trainer.max_epoch=3", "--trainer.profiler=fast",
    "--model.encoder.depth=3", "--modle.encoder.depth=3", "--model.vocab_size=3", "--seed=0",
    "--trainer.plugins=nothing", "--data.length=8", "extra", "--",
)  # fmt: skip
_VALUES = _fits(
    *(f"--data.{name}={value}" for name in ("batch_size", "steps_per_epoch", "eval_samples",
      "train_length") for value in ("0", "-1", "1.5", "many", "null")),
    "--data.eval_lengths=[]", "--data.eval_lengths=[0]", "--data.eval_lengths=x",
    "--data.num_workers=-1", "--data.eval_batch_size=-1", "--data.train_length=[9,3]",
    "--model.encoder.d_model=0", "--model.encoder.d_model=-8", "--model.encoder.d_model=7",
    "--model.encoder.n_heads=0", "--model.encoder.n_heads=3", "--model.encoder.n_layers=0",
    "--model.encoder.n_layers=-1", "--model.encoder.dropout=1.5", "--model.encoder.dropout=-1",
    "--model.encoder=3", "--model.encoder.n_layers=null",
    "--model.positional=RoPE\n--model.encoder.d_model=6", "--data.task=Copy\n--data.train_length=1",
    "--model.positional=LearnedAbsolute\n--model.positional.max_length=8",
    "--model.positional=LearnedAbsolute\n--model.positional.max_length=0",
    "--model.optimizer.lr=-1", "--model.optimizer.lr=fast", "--model.optimizer.weight_decay=-1",
    "--model.compile={{backend: inducto}}", "--model.compile={{mode: fast}}",
    "--model.compile={{backend: 3}}", "--model.compile={{bakend: inductor}}",
    "--seed_everything=-1", "--seed_everything=x", "--test_after_fit=maybe",
)  # fmt: skip
_TRAINER = _fits(
    *(f"--trainer.{option}" for option in (
        "max_epochs=-2", "max_epochs=x", "max_epochs=1.5", "max_steps=-2", "min_epochs=-1",
        "min_steps=-1", "max_time=soon", "max_time=-1", "log_every_n_steps=0",
        "log_every_n_steps=-1", "val_check_interval=0", "val_check_interval=0.0",
        "val_check_interval=-1", "val_check_interval=1.5", "val_check_interval=x",
        "check_val_every_n_epoch=0", "check_val_every_n_epoch=-1", "accumulate_grad_batches=0",
        "accumulate_grad_batches=-1", "gradient_clip_val=-1", "gradient_clip_val=.inf",
        "gradient_clip_algorithm=best", "num_sanity_val_steps=-2", "limit_train_batches=-1",
        "limit_train_batches=1.5", "limit_val_batches=-0.5", "limit_test_batches=-2",
        "limit_predict_batches=-1", "overfit_batches=-1", "overfit_batches=2.5", "num_nodes=0",
        "devices=0", "devices=-2", "devices=x", "reload_dataloaders_every_n_epochs=-1",
        "default_root_dir=mine", "barebones=true", "precision=bf17", "fast_dev_run=-1",
        "callbacks+=BatchSizeFinder", "deterministic=perhaps",
        "callbacks=[ModelCheckpoint,ModelCheckpoint]", "benchmark=x", "use_distributed_sampler=x",
    )),
    "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks+=EarlyStopping\n"
    "--trainer.callbacks.monitor=val/los", "--trainer.callbacks+=EarlyStopping\n"
    "--trainer.callbacks.monitor=val/loss\n--trainer.callbacks.mode=low",
    "--trainer.callbacks+=ModelCheckpoint\n--trainer.callbacks.save_top_k=-3",
    "--trainer.callbacks+=ModelCheckpoint\n--trainer.callbacks.every_n_epochs=-1",
    "--trainer.callbacks+=AttentionMaps\n--trainer.callbacks.n_heads=0",
    "--trainer.callbacks+=AttentionMaps\n--trainer.callbacks.layers=[5]",
    "--trainer.callbacks+=AttentionMaps\n--trainer.callbacks.heads=[]",
    "--trainer.callbacks+=OcclusionMap",
    "--trainer.callbacks+=PositionProbe\n--trainer.callbacks.every_n_steps=0",
)  # fmt: skip
_PAIRS = _fits(
    "--data.task=Reverse", "--model=TokenClassifier",
    "--data=TextData", "--data=TextData\n--data.path=nowhere.txt",
    "--data=TextData\n--data.path={folder}", "--data=TextClassificationData\n--data.path={file}",
    "--data=TextClassificationData\n--data.path=nowhere.csv",
    "--data=TaggingData\n--data.path=nowhere.conll",
    "--model.positional=CoPE", "--model.positional=AxialRoPE", "--ckpt_path=last\n--run_dir={file}",
    "--ckpt_path=nowhere.ckpt",
)  # fmt: skip
_OF_A_RUN = [[command, "--ckpt_path={run}", "--run_dir=out", option]
    for command in ("test", "validate", "predict")
    for option in ("--model.encoder.n_layers=4", "--model.encoder.d_model=32", "--data.task=Order",
                   "--model.positional=T5Bias", "--data.eval_lengths=[-1]")
]  # fmt: skip

KINDS: dict[str, list[list[str]]] = {
    "commands": _COMMANDS,
    "tasks": _TASKS,
    "encodings": _ENCODINGS,
    "report": _REPORT,
    "sweep": _SWEEP,
    "diagnose": _DIAGNOSE,
    "config files": _CONFIGS,
    "places that cannot be written": _PLACES,
    "checkpoint files": _CHECKPOINTS,
    "names": _NAMES,
    "values": _VALUES,
    "options of the trainer": _TRAINER,
    "parts that do not fit": _PAIRS,
    "checkpoints and options": _OF_A_RUN,
}
