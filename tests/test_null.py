"""An option of a class can be null on the command line (G14, F23)."""

from pathlib import Path

import pytest
import yaml

from lightning_posenc.cli import main

FIT = ["fit", "--model=TokenClassifier", "--data=SyntheticData", "--data.task=ReverseString"]


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        (["--model.encoder.norm=torch.nn.RMSNorm", "--model.encoder.norm=null"],
         "encoder.norm", None),
        (["--model.encoder.feed_forward=null"], "encoder.feed_forward", None),
        (["--model.encoder.mask=[null,null]"], "encoder.mask", [None, None]),
        (["--model.positional=RoPE", "--model.positional.scaling=null"],
         "positional.init_args.scaling", None),
    ],
)  # fmt: skip
def test_null_is_null(
    options: list[str], key: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*FIT, *options, "--print_config"])
    found = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    for name in key.split("."):
        found = found[name]
    assert found == value


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--model.schedule.warmup_steps=2"], "lightning_posenc.modules.WarmupCosine"),
        (
            ["--model.schedule=torch.optim.lr_scheduler.StepLR", "--model.schedule.step_size=2"],
            "torch.optim.lr_scheduler.StepLR",
        ),
    ],
)
def test_options_of_the_default_schedule_need_no_class(
    options: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
    with pytest.raises(SystemExit):
        main(["fit", f"--config={config}", *options, "--print_config"])
    said = yaml.safe_load(capsys.readouterr().out)
    assert said["model"]["init_args"]["schedule"]["class_path"] == name
