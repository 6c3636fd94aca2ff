"""Checks of an argument's kind and range: a mistake is one ValueError of one line.

Each gives the value back, as in `self.width = whole(self, "width", width)`, or says whose argument
it was (an object's, a class's, a function's, or a name), what was given and what is allowed. NaN
and infinity are no numbers, True is none either, and a float is no whole number, not even 4.0.
"""

from collections.abc import Callable, Collection, Hashable, Sequence
from functools import cache, lru_cache, partial, wraps
from inspect import Parameter, Signature, isabstract, isfunction, signature
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

from lightning_posenc.compat import earlier_releases

T = TypeVar("T")
P = ParamSpec("P")

# The highest whole number and the largest number, of either sign, unless an argument says
# otherwise: float32 tells neighbours apart up to the one, and holds the other's sixth power.
MOST = 2**24
LARGEST = 1e6
MOST_STEPS = 10**12  # or samples, of a run
MOST_WIDTH = 2**16  # channels of a layer


def wrong(owner: object, name: str, value: object, allowed: str) -> ValueError:
    """Make what is to be raised: `Owner: name=value must …`, the value cut where it is long."""
    given = value.__name__ if isinstance(value, type) else " ".join(repr(value).split())
    given = given if len(given) <= 80 else f"{given[:79]}…"
    return ValueError(f"{_name_of(owner)}: {name}={given} must {allowed}")


def _name_of(owner: object) -> str:
    return owner if isinstance(owner, str) else getattr(owner, "__name__", type(owner).__name__)


def whole(owner: object, name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """`value`, checked to be a whole number in [least, most].

    Raises:
        ValueError: if it is another, or no whole number at all.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise wrong(owner, name, value, f"be a whole number, at least {least}")
    given = int(value)
    if given < least:
        raise wrong(owner, name, value, f"be at least {least}")
    if given > most:
        raise wrong(owner, name, value, f"be at most {most}")
    return given


def number(
    owner: object, name: str, value: Any, least: float = -LARGEST, most: float = LARGEST,
    *, above: float | None = None, below: float | None = None,
) -> float:  # fmt: skip
    """`value`, checked to be a finite number in [least, most].

    `above` and `below` are open ends, each in place of the closed one.

    Raises:
        ValueError: if it is another, not finite, or no number at all.
    """
    low = f"[{least:g}" if above is None else f"({above:g}"
    high = f"{most:g}]" if below is None else f"{below:g})"
    if isinstance(value, Real) and not isinstance(value, bool):
        given: Any = value  # whose comparisons mypy knows nothing of; NaN passes none
        over = given >= least if above is None else given > above
        under = given <= most if below is None else given < below
        if over and under:
            return given  # an int stays one, as it was written
    raise wrong(owner, name, value, f"be a number in {low}, {high}")


def one_of(owner: object, name: str, value: T, options: Collection[T]) -> T:
    """`value`, checked to be one of the options (of a Literal, as `get_args` gives them).

    Raises:
        ValueError: naming them, if it is none.
    """
    if not any(value is option or value == option for option in options):
        raise wrong(owner, name, value, f"be one of {', '.join(map(str, options))}")
    return value


def several(owner: object, name: str, value: Any, n: int | None = None) -> tuple[Any, ...]:
    """The members of a list or tuple that has some, or `n` of them.

    Raises:
        ValueError: if it is empty, of another length, or no list (a string is none).
    """
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != (n or len(value)):
        raise wrong(owner, name, value, f"be a list of {'values' if n is None else f'{n} values'}")
    if not value:
        raise wrong(owner, name, value, "name at least one")
    return tuple(value)


def is_a(owner: object, name: str, value: Any, kind: Any) -> Any:
    """`value`, checked to be of a class or one of several, `Callable` among them.

    Raises:
        ValueError: if it is not, or is of somebody's own class whose methods take other arguments
            than those of the class of ours that it extends.
    """
    if not isinstance(value, kind):
        raise wrong(owner, name, value, f"be {_said(kind)}{_instead(value, kind)}")
    _check_methods(owner, name, type(value))
    return value


def kinds_checked(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function refuse, at its door, what is no object of the class that its signature names.

    So a text in place of a tensor is one line, and no missing attribute further down. Looked at are
    arguments annotated by a class that is none of Python's own (a tensor, a model, a record), or by
    a union of such with None.
    """
    known = signature(function)

    @cache
    def kinds() -> dict[str, Any]:
        hints = get_type_hints(function)
        return {name: hints[name] for name in known.parameters if _is_object(hints.get(name))}

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        given = known.bind(*args, **kwargs).arguments
        for name, kind in kinds().items():
            if name in given:
                is_a(function, name, given[name], kind)
        return function(*args, **kwargs)

    return checked


def _is_object(hint: Any) -> bool:
    """Whether an annotation is a class that `isinstance` asks for, or a union of such."""
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    return bool(kinds) and all(
        isinstance(kind, type)
        and kind.__module__ not in ("builtins", "collections.abc", "typing")
        and not getattr(kind, "_is_protocol", False)
        for kind in kinds
    )


def maker(owner: object, name: str, make: Any, kind: type, *given: object) -> Any:
    """`make`, checked to be a class, or a function, that makes a `kind` of what it will be given.

    Raises:
        ValueError: if it is a name, an object, another class, or wants other arguments.
    """
    a_kind = f"make a {kind.__name__}"
    if isinstance(make, kind):
        its = type(make).__name__
        raise wrong(owner, name, make, f"{a_kind}, not be one: give {its}, or partial({its}, ...)")
    is_a(owner, name, make, Callable)
    if isinstance(make, type) and not issubclass(make, kind):
        raise wrong(owner, name, make, f"{a_kind}: give a class of that kind")
    if isabstract(make):
        raise wrong(owner, name, make, f"{a_kind}: it leaves methods to be written, give another")
    bound = make if isinstance(make, partial) else partial(make)
    try:
        wanted = _signature(bound.func)
    except (TypeError, ValueError):  # of C
        return make
    try:
        wanted.bind(*bound.args, *given, **bound.keywords)
    except TypeError as error:
        n = "one argument" if len(given) == 1 else f"{len(given)} arguments"
        raise wrong(
            owner, name, make, f"{a_kind} of {n} ({error}): partial(...) gives the others"
        ) from None
    return make


def _signature(function: Callable[..., Any]) -> Signature:
    """What it takes; a model asks that of the same few makers in every layer."""
    return _remembered(function) if isinstance(function, Hashable) else signature(function)


_remembered = lru_cache(maxsize=128)(signature)


def made(owner: object, name: str, make: Any, kind: type, *given: object) -> Any:
    """What `make` makes of what it is given.

    Raises:
        ValueError: as `maker` does, or if it made something else, or nothing, for its constructor
            takes other arguments, is left out, or methods are to be written yet.
    """
    maker(owner, name, make, kind, *given)
    try:
        result = make(*given)
    except (TypeError, AttributeError) as error:  # which `maker` does not see through a function
        if remedy := _how_to_make(kind, str(error)):
            raise ValueError(f"{_name_of(owner)}: {name}: {error}: {remedy}") from error
        raise
    if not isinstance(result, kind):
        raise wrong(owner, name, make, f"make a {kind.__name__}, and made a {_name(result)}")
    _check_methods(owner, name, type(result))
    return result


def _how_to_make(kind: type, error: str) -> str | None:
    """What to do about a class that cannot be made, as Python says; None if it says otherwise."""
    wanted = f"{kind.__name__}.__init__{_named(signature(kind.__init__))}"  # type: ignore[misc]
    if "abstract class" in error:
        return f"write what a {kind.__name__} leaves to be written"
    if "before Module.__init__() call" in error:
        return f"call super().__init__ first, which is {wanted}"
    return f"it must take what {wanted} takes" if "__init__() " in error else None


def _check_methods(owner: object, name: str, kind: type) -> None:
    """Refuse a class of somebody's own if we would call a method of it with what it does not take:
    a hook of another arity, or as an earlier release had it.
    """
    if _is_ours(kind) or kind.__module__ == "builtins":
        return
    ours = [base for base in kind.__mro__ if _is_ours(base)]
    theirs = [base for base in kind.__mro__ if not _is_ours(base)]
    for method, written in [item for base in theirs for item in vars(base).items()]:
        for base in ours:
            if (advice := earlier_releases.instead_of_method(base.__name__, method)) is not None:
                raise wrong(owner, name, kind, f"write no {method}: {advice}")
        extended = next((base for base in ours if method in vars(base)), None)
        if extended is None or method.startswith("_") or not isfunction(written):
            continue
        if method == "forward" and any(
            getattr(kind, told, False) for told in ("reads_places", "reads_lengths")
        ):
            continue  # a feed-forward or an input that is called with one thing more
        called, takes = vars(extended)[method], signature(written)
        if isfunction(called) and not _takes(takes, wanted := signature(called)):
            line = f"write {method}{_named(wanted)}, and writes {method}{_named(takes)}"
            earlier = earlier_releases.instead_of_method(
                extended.__name__, method, *takes.parameters
            )
            raise wrong(owner, name, kind, f"{line}{f': {earlier}' if earlier else ''}")


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == __package__


def _takes(takes: Signature, wanted: Signature) -> bool:
    """Whether what is called as one signature says can have the other; if it says what it wants."""
    kinds = [parameter.kind for parameter in wanted.parameters.values()]
    if Parameter.VAR_POSITIONAL in kinds:
        return True
    by_name = [n for n, p in wanted.parameters.items() if p.kind is Parameter.KEYWORD_ONLY]
    n_more = len(kinds) - len(by_name) - (Parameter.VAR_KEYWORD in kinds)
    try:
        takes.bind(*[None] * n_more, **dict.fromkeys(by_name))
    except TypeError:
        return False
    return True


def _named(parameters: Signature) -> str:
    """A signature without annotations and defaults."""
    shown = [
        parameter.replace(annotation=Parameter.empty, default=Parameter.empty)
        for parameter in parameters.parameters.values()
    ]
    return f"({', '.join(map(str, shown))})"


def _said(kind: Any) -> str:
    if kind is Callable:
        return "a class or a function"
    names = [_name(each) for each in get_args(kind) or (kind,)]
    return f"a {' or '.join(names)}".replace("NoneType", "None")


def _instead(value: Any, kind: Any) -> str:
    """What to give in place of a likely mistake."""
    wants_text = str in (get_args(kind) or (kind,))
    if isinstance(value, str) and not wants_text:
        return ": names stand in config files, here give the thing itself"
    if isinstance(value, type) and kind is not Callable and issubclass(value, kind):
        return f", not its class: give {value.__name__}(...)"
    made = getattr(value, "func", None)  # of functools.partial
    if isinstance(made, type) and kind is not Callable and issubclass(made, kind):
        return f", and not what makes one: give {made.__name__}(...)"
    return ""


def _name(thing: Any) -> str:
    return thing.__name__ if isinstance(thing, type) else type(thing).__name__
