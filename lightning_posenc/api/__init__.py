"""The commands as functions of Python: what they return is looked at in a notebook or a program.

from lightning_posenc import api

run = api.fit("quickstart", {"model.positional": "RoPE"})
run.by_length                        # a pandas DataFrame
api.diagnose(run.checkpoint)         # shows itself in a notebook
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_posenc.api.diagnosing import DiagnosisResult, diagnose
    from lightning_posenc.api.extending import ExtensionResult, extend
    from lightning_posenc.api.fitting import fit, test, validate
    from lightning_posenc.api.reporting import ReportResult, report
    from lightning_posenc.api.run_result import RunResult
    from lightning_posenc.api.sweeping import SweepResult, sweep

_HOMES = {
    "DiagnosisResult": "diagnosing",
    "ExtensionResult": "extending",
    "ReportResult": "reporting",
    "RunResult": "run_result",
    "SweepResult": "sweeping",
    "diagnose": "diagnosing",
    "extend": "extending",
    "fit": "fitting",
    "report": "reporting",
    "sweep": "sweeping",
    "test": "fitting",
    "validate": "fitting",
}

__all__ = [
    "DiagnosisResult",
    "ExtensionResult",
    "ReportResult",
    "RunResult",
    "SweepResult",
    "diagnose",
    "extend",
    "fit",
    "report",
    "sweep",
    "test",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
