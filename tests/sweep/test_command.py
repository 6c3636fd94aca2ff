"""The command line of a trial is that of W&B's own agent, word for word."""

import os
from pathlib import Path
from typing import Any

import pytest
from wandb import wandb_agent

from lightning_posenc.sweep import trial_command

PARAMETERS: dict[str, Any] = {
    "model.positional": "RoPE",
    "lr": 1e-05,
    "n": 3,
    "yes": True,
    "no": False,
    "nothing": None,
    "encoder": {"d_model": 64, "feed_forward": {"bias": False}},
    "lengths": [1, 2],
    "json": '{"class_path": "RoPE", "init_args": {"base": 500000}}',
}
AROUND = {"env", "interpreter", "program"}


def agents(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], Path]:
    """What an agent would run, and its JSON file."""
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_SWEEP_ID", "WANDB_DIR"):
        monkeypatch.setenv(name, "s")  # the agent sets them; this puts them back afterwards
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    ran: list[list[str]] = []

    class Process:
        def __init__(self, env: object, command: list[str], forward_signals: bool) -> None:
            ran.append(command)

    monkeypatch.setattr(wandb_agent, "AgentProcess", Process)
    agent = wandb_agent.Agent(api=None, queue=None)
    agent._sweep_command = list(words)
    args = {name: {"value": value} for name, value in PARAMETERS.items()}
    agent._command_run({"run_id": "r", "program": "lightning_posenc", "args": args})
    return ran[0], tmp_path / "wandb" / "sweep-s" / "config-r.json"


@pytest.mark.parametrize("macro", trial_command.MACROS)
@pytest.mark.slow
def test_every_macro_is_expanded_as_by_an_agent(
    macro: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["first", f"${{{macro}}}", "--config=x", f"${{{macro}}}y"]
    theirs, file = agents(words, tmp_path, monkeypatch)
    ours = trial_command.expand(words, "lightning_posenc", PARAMETERS, file)
    assert ours == theirs
    assert len(ours) >= 4


def test_the_default_command_is_the_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, file = agents(trial_command.DEFAULT_COMMAND, tmp_path, monkeypatch)
    assert wandb_agent.Agent.DEFAULT_SWEEP_COMMAND == trial_command.DEFAULT_COMMAND
    assert (
        trial_command.expand(trial_command.DEFAULT_COMMAND, "lightning_posenc", PARAMETERS, file)
        == theirs
    )


@pytest.mark.parametrize("value", ["x y", "${args}", None])
def test_variables_are_those_of_an_agent(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv("SOME_2", raising=False)
    else:
        monkeypatch.setenv("SOME_2", value)
    words = ["${envvar:SOME_2}", "--a=${envvar:SOME_2}/${envvar:HOME}", "${args}"]
    theirs, file = agents(words, tmp_path, monkeypatch)
    assert trial_command.expand(words, "lightning_posenc", PARAMETERS, file) == theirs
    assert os.environ["HOME"] in theirs[-1 - len(PARAMETERS)]


def test_an_unknown_macro_is_not_dropped_without_a_word() -> None:
    with pytest.raises(ValueError, match=r"\$\{args_jason\}: did you mean args_json\?"):
        trial_command.check_macros(["python", "${args_jason}"])
    trial_command.check_macros(
        ["${envvar:HOME}", *(f"${{{name}}}" for name in trial_command.MACROS)]
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["/usr/bin/env", "py", "-m", "lightning_posenc", "fit", "--a"], ["--a"]),
        (["py", "-m", "lightning_posenc", "fit"], []),
        (["py", "-m", "lightning_posenc", "test", "--a"], None),
        (["other", "-m", "lightning_posenc", "fit"], None),
        (["/usr/bin/env", "A=1", "py", "-m", "lightning_posenc", "fit"], None),
        (["/usr/bin/env"], None),
    ],
)
def test_our_own_fit_is_told_from_other_programs(words: list[str], found: list[str] | None) -> None:
    assert trial_command.own_fit(words, ["py"]) == found
