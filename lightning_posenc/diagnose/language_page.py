"""What the page says of a language model's scores: rows of a name and a finding."""

from lightning_posenc.diagnose.language import Language
from lightning_posenc.pretrained.evaluating.intervals import Interval
from lightning_posenc.pretrained.evaluating.order_task import CHANCE

TITLE = "What the model makes of text"


def rows(found: Language) -> list[tuple[str, str]]:
    """What was measured, each under its name; what was not, and why."""
    said: list[tuple[str, str]] = []
    if found.by_length:
        of = ", ".join(found.texts)
        guess = "" if found.guess is None else f"; one answer given always: {found.guess:.3g}"
        said.append(("loss by length", f"{_series(found.by_length)} tokens{guess} (nats, {of})"))
    if found.by_place:
        first, last = found.by_place[0], found.by_place[-1]
        (_, end), (begin, stop) = found.stretches[0], found.stretches[-1]
        said.append(
            ("loss by position", f"{_value(first)} nats at {_places(0, end)}, {_value(last)} at "
             f"{_places(begin, stop)}; of {found.n_tokens:,} tokens")
        )  # fmt: skip
    if found.by_context:
        said.append(
            (
                f"loss of the last {found.n_last} tokens by context",
                f"{_series(found.by_context)} tokens (nats)",
            )
        )
        said.append(("effective context", _effective(found)))
    if found.passkey is not None:
        shares = found.passkey.shares
        at = ", ".join(
            f"{share:.0%} at {length}"
            for length, share in zip(
                found.passkey.lengths, shares.mean(dim=1).tolist(), strict=True
            )
        )
        worst = int(shares.mean(dim=0).argmin())
        low, depth = float(shares.mean(dim=0)[worst]), found.passkey.depths[worst]
        said.append(("passkey", f"found {at}; least at depth {depth:.2g}: {low:.0%}"))
    if found.order is not None:
        chosen, exact = (x.float().mean(dim=1).tolist() for x in found.order[1:])
        at = ", ".join(
            f"{share:.0%} at {length} (said in full: {whole:.0%})"
            for length, share, whole in zip(found.order.lengths, chosen, exact, strict=True)
        )
        said.append(("which came first or last", f"right {at}; chance {CHANCE:.0%}"))
    if found.shift is not None:
        changes = ", ".join(f"{change:.1g} for {c:,}" for c, change in found.shift.items())
        said.append(
            (
                "shift of all positions",
                f"change of the logits over their spread: {changes} (0: distances alone matter)",
            )
        )
    said += [(name, f"not measured: {why}") for name, why in found.without.items()]
    return said


def _effective(found: Language) -> str:
    longest = max(found.by_context)
    said = f"{found.effective:,} of {longest:,} tokens"
    if found.harmful is not None:
        loss = found.gains[found.harmful]
        return f"{said}; {found.harmful:,} tokens are worse than half of them by {-loss.mean:.3g}"
    if found.effective == longest:
        return f"{said}: the longest tried still takes something off the loss"
    return f"{said}: what lies further back takes nothing off the loss"


def _places(begin: int, end: int) -> str:
    return f"position {begin}" if end == begin + 1 else f"positions {begin:,}–{end - 1:,}"


def _series(values: dict[int, Interval]) -> str:
    return ", ".join(f"{_value(value)} at {n:,}" for n, value in values.items())


def _value(value: Interval) -> str:
    if value.low != value.low:
        return f"{value.mean:.3f}"
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"
