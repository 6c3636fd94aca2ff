"""Which ailment brings the others about: what gives the score back when it alone is cut away."""

from lightning_posenc.diagnose.causes.cause import Cause, find_cause

__all__ = ["Cause", "find_cause"]
