"""How the training commands read options: values as values, and null within a class's options."""

import ast
import json
import threading
from typing import Any

import torch
import yaml
from jsonargparse import get_loader, set_loader, set_parsing_settings
from jsonargparse.typing import register_type
from lightning.pytorch.cli import LightningArgumentParser

from lightning_posenc.runs import untrusted

# A value is a value: nothing is fetched for it, called in it without a type that says so, or
# unfolded without end; and the modules that could run a command are no place for a class.
set_parsing_settings(
    config_read_mode_fsspec_enabled=False,
    config_read_mode_urls_enabled=False,
    instantiate_subclass_spec_in_any=False,
    import_path_denylist=[],  # enforces jsonargparse's own
)
set_loader("yaml", untrusted.bounded(get_loader("yaml")), (yaml.YAMLError,))

# A device in a callback's options, which jsonargparse would write down as a complaint.
register_type(torch.device, str, torch.device, fail_already_registered=False)


# jsonargparse reads a file, and makes what it names, in the file's folder: all threads stand there.
_IN_A_FOLDER = threading.RLock()


class Parser(LightningArgumentParser):
    """A strict parser, which knows null within a class's options.

    Errors are raised, and said by `one_line`; no option is guessed from its beginning. jsonargparse
    hands an option of a class on to the class's own parser as Python writes it: None.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"exit_on_error": False, "allow_abbrev": False, **options})

    def parse_args(self, args: Any = None, *more: Any, **options: Any) -> Any:
        if "defaults" in options and args is not None:  # jsonargparse's own call, of one option
            args = [_as_json(arg) for arg in args]
        with _IN_A_FOLDER:
            return super().parse_args(args, *more, **options)

    def instantiate(self, *args: Any, **options: Any) -> Any:
        with _IN_A_FOLDER:
            return super().instantiate(*args, **options)


def _as_json(arg: str) -> str:
    name, equals, text = arg.partition("=")
    if not text.startswith(("None", "[", "{")):
        return arg
    try:
        return f"{name}{equals}{json.dumps(ast.literal_eval(text))}"
    except (ValueError, SyntaxError, TypeError):  # it is YAML, and no value of Python's
        return arg
