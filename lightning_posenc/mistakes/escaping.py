"""Text that somebody else may have written, before it reaches a terminal, a page or a table."""

import re
from typing import Any

# What a terminal obeys instead of showing it, and what turns the direction of a line around.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet calculate a cell


def plain(text: str) -> str:
    r"""Text whose control characters are shown, as \x1b, and not obeyed; lines and tabs stay."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def json_of(line: str) -> str:
    """JSON whose control characters are escapes, which JSON allows and a terminal does not obey."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def rich(text: str) -> str:
    """Text that is neither rich's markup nor obeyed by a terminal."""
    from rich.markup import escape  # late, so that --help does not wait for it

    return escape(plain(text))


def visible(content: Any) -> Any:
    """The same for every string and key of what JSON or YAML holds."""
    if isinstance(content, str):
        return plain(content)
    if isinstance(content, dict):
        return {visible(key): visible(value) for key, value in content.items()}
    if isinstance(content, list):
        return [visible(value) for value in content]
    return content


def markdown(text: str) -> str:
    """One line of Markdown's text, in which there are no tags, links or pictures."""
    line = " ".join(plain(text).splitlines())
    return _TAG.sub("&lt;", line).replace("](", r"]\(")


def code(text: str) -> str:
    """One line of Markdown's code."""
    return " ".join(plain(text).splitlines()).replace("`", "'")


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": "$<$",
    ">": "$>$", "|": "$|$", '"': "''", "±": r"$\pm$", "▲": r"$^{\uparrow}$",
    "▼": r"$^{\downarrow}$", "–": "--", "—": "---", "≥": r"$\geq$", "≤": r"$\leq$",
    "×": r"$\times$", "·": r"$\cdot$", "→": r"$\rightarrow$", "…": r"\ldots{}", "‘": "`", "’": "'",
    "“": "``", "”": "''", "²": r"$^2$", "³": r"$^3$", "°": r"$^{\circ}$", "µ": r"$\mu$",
    "μ": r"$\mu$", "−": "$-$", "∞": r"$\infty$",
    "[": "{[}", "]": "{]}",  # no argument of what stands before
}  # fmt: skip


_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "", "pi", "rho", "varsigma", "sigma", "tau", "upsilon"),
    *("phi", "chi", "psi", "omega"),
)  # in the order of Unicode; what looks like a Latin letter has no command
_CAPITALS = (
    *("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"),
)
_LATEX |= {chr(ord("α") + i): rf"$\{name}$" for i, name in enumerate(_GREEK) if name}
_LATEX |= {chr(ord("Α") + _GREEK.index(name)): rf"$\{name.title()}$" for name in _CAPITALS}


def latex(text: str) -> str:
    """Text of LaTeX, in which nothing is a command; what no font of LaTeX's has is its number.

    Letters of Latin with accents stay, which T1 fonts have.
    """
    line = " ".join(plain(text).splitlines())
    return "".join(_LATEX.get(sign) or _typeset(sign) for sign in line)


def _typeset(sign: str) -> str:
    if sign.isascii() or ("À" <= sign <= "ž" and sign not in "ĸŉſ÷" and sign.isalpha()):
        return sign
    return rf"\texttt{{U+{ord(sign):04X}}}"


def cell(value: Any) -> Any:
    """A cell of a CSV file that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
