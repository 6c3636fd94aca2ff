"""A promise that can be held against somebody's class, and what is said where it is broken."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class Promise(NamedTuple):
    """What every class of a kind must keep.

    Args:
        says: What is promised, a clause: "a token sees nothing of what follows it".
        remedy: What to do about a class that breaks it.
    """

    says: str
    remedy: str


class Check(NamedTuple):
    """One promise, held against one class: call it, and it raises AssertionError if it is broken.

    pytest takes its name for the test's id: `@pytest.mark.parametrize("check", checks)`.

    Args:
        subject: Whose promise it is.
        name: Of the check, without spaces.
        promise: What is promised.
        run: Raises AssertionError that says what was seen instead.
    """

    subject: str
    name: str
    promise: Promise
    run: Callable[[], None]

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self) -> None:
        """Try it on the CPU, from a fixed seed; torch's own random numbers go on as if nothing had
        been, on any device.

        Raises:
            AssertionError: Saying what was promised, what was seen and what to do.
        """
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(0)
            try:
                self.run()
            except AssertionError as error:
                seen = " ".join(str(error).split())
                raise AssertionError(
                    f"{self.subject} breaks a promise ({self.name}): {self.promise.says}\n"
                    f"  seen: {seen}\n  to do: {self.promise.remedy}"
                ) from error
            except Exception as error:
                error.add_note(f"{self.subject}, {self.name}: {self.promise.says}")
                error.add_note(f"to do: {self.promise.remedy}")
                raise


def hold(checks: Iterable[Check]) -> None:
    """Try all, and tell of every one that is broken.

    Raises:
        AssertionError: Naming each promise that is broken, by an exception too.
    """
    broken = []
    for check in checks:
        try:
            check()
        except AssertionError as error:
            broken.append(str(error))
        except Exception as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            broken.append(
                f"{check.subject} fails ({check.name}): {check.promise.says}\n"
                f"  seen: {said}\n  to do: {check.promise.remedy}"
            )
    if broken:
        raise AssertionError(f"{len(broken)} broken:\n" + "\n".join(broken))


def expect(condition: bool | Tensor, seen: str) -> None:
    """Say what was seen unless a condition holds; under `python -O` too, unlike an assert.

    Raises:
        AssertionError: Saying it.
    """
    if not condition:
        raise AssertionError(seen)


def expect_same(got: Tensor, expected: Tensor, atol: float, what: str, rtol: float = 0) -> None:
    """Two tensors agree within a tolerance, NaN with none.

    Raises:
        AssertionError: Saying how far apart they are.
    """
    expect(got.shape == expected.shape, f"{what}: {tuple(got.shape)}, not {tuple(expected.shape)}")
    if not torch.allclose(got, expected, rtol=rtol, atol=atol):
        off = (got - expected).abs().amax()
        raise AssertionError(f"{what}: off by {off:.1e}, of {expected.abs().amax():.1e}")


def expect_refusal(ask: Callable[[], object], *said: str) -> str:
    """It ends in a ValueError of one line that says what it must: that line.

    Raises:
        AssertionError: If it does not, or in another error.
    """
    try:
        ask()
    except ValueError as error:
        expect("\n" not in str(error), f"a message of several lines: {error}")
        for each in said:
            expect(each in str(error), f"a message that does not say {each!r}: {error}")
        return str(error)
    except Exception as error:
        raise AssertionError(
            f"{type(error).__name__} ({error}) in place of a ValueError of one line"
        ) from error
    raise AssertionError("it was served, not refused")
