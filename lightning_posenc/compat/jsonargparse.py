"""What is relied on of jsonargparse without its promise: its global settings, and its wording.

Each name is one reach; tests/compat holds a canary for each, which says what broke.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jsonargparse import _common, set_parsing_settings

# How its errors are worded. Where a wording changes, the line that a person reads is longer.
KEY = re.compile(r'Parser key "(?P<key>[^"]+)":')
NOISE = re.compile(
    r"Given value|Does not validate|Subtypes:|Errors:|Problem with given class_path"
    r"|Expected a <class 'NoneType'>|Expected a path but|usage:|tip:"
)
CLASS = re.compile(r"Expected a dot import path string: (?P<name>\S+)")
OPTION = re.compile(r"Option '(?P<key>\w+)' is not accepted.*class_path='(?P<name>[\w.]+)'")
MODULE = re.compile(
    r"expects a function or a callable class: (?P<why>.+?)(?:\. Got value: (?P<name>.+))?$"
)
DENIED = re.compile(r"Importing '(?P<name>[\w.]+)' is not allowed")
UNKNOWN = re.compile(r"unrecognized arguments: (?P<args>.+)")
REFUSED = re.compile(r"^Option '(?P<key>\w+)' is not accepted$")
NOTHING = re.compile(r"Unexpected config: ?(?P<found>.*)", re.DOTALL)
REQUIRED = re.compile(
    r"arguments are required: (?P<command>fit|validate|test|predict)\.(model|data)"
)
UNEXPECTED = re.compile(r"[Kk]ey '?\"?(?P<key>[\w.]+)'?\"? is not expected")
NOT_OF_GROUP = re.compile(r"Group '(?P<group>[\w.]+)' does not accept option '(?P<key>[\w.]+)'")

MISSPELT = re.compile(r"Subcommand '\w+' does not accept option '(?P<key>[\w.]+)'")
NO_FILE = re.compile(r"File does not exist: '?(?P<path>[^']+)'?")
CALLABLE = re.compile(r"Type .*? expects a function or a callable class: (?=Parser key)")
NAMESPACE = re.compile(r"\. Got value: Namespace\(.*")
TYPE = re.compile(
    r"^Expected a (?:<class '(?P<kind>[\w.]+)'>|typing\.Literal\[(?P<choice>.*)\])"
    r"(?:\. Got value: (?P<value>.*))?$"
)
GIVEN = re.compile(
    r"Given value: (?:NestedArg\(key='[^']*', val='?(?P<nested>.*?)'?\)|(?P<value>.*))$"
)


@contextmanager
def imports_only(allowed: Sequence[str]) -> Iterator[None]:
    """Within, parsers import what values name from these modules alone."""
    before = dict(_common.parsing_settings)
    try:
        set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=list(allowed))
        yield
    finally:
        _common.parsing_settings.clear()
        _common.parsing_settings.update(before)
