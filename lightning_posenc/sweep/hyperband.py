"""Which running trials are too far behind to go on?

The rule of W&B's server: at brackets, counted in values that a trial has logged, the best 1/eta
of all trials that came so far go on. With `min_iter` brackets are min_iter, min_iter·eta, …; with
`max_iter` and `s` they are the s numbers max_iter/eta, max_iter/eta², …, down to 1. A trial is
stopped if its best value so far is behind the threshold of the last bracket that it reached;
`strict` takes its value at the bracket instead. A trial whose last value is no finite number is
stopped at its first bracket, whatever it was before: the rule of the server lets it run.

Source: https://github.com/wandb/sweeps, hyperband_stopping.py; after Li et al. 2018, "Hyperband: A
Novel Bandit-Based Approach to Hyperparameter Optimization", arXiv:1603.06560.
"""

import math
from collections.abc import Collection, Mapping, Sequence

from lightning_posenc.sweep.definition import Hyperband


def brackets(rule: Hyperband, longest: int) -> list[int]:
    """The brackets up to a number of logged values, in rising order.

    Args:
        rule: Of the sweep.
        longest: Most values that any trial has logged.
    """
    if rule.max_iter is not None and rule.s:
        found, band = [], float(rule.max_iter)
        for _ in range(rule.s):
            band /= rule.eta
            if band < 1:
                break
            found.append(int(band))
        return sorted(band for band in found if band <= longest)
    assert rule.min_iter is not None
    found, band = [], float(rule.min_iter)
    while int(band) <= longest:
        found.append(int(band))
        band *= rule.eta
    return found


def to_stop(
    histories: Mapping[int, Sequence[float]], running: Collection[int], rule: Hyperband
) -> set[int]:
    """The running trials that are to be stopped.

    Args:
        histories: Values that each trial has logged, the lower the better; infinite where one was
            no finite number.
        running: Numbers of the trials that run.
        rule: Of the sweep.
    """
    found = set()
    longest = max(map(len, histories.values()), default=0)
    bands = brackets(rule, longest)
    for number in running:
        history = histories.get(number, ())
        reached = [band for band in bands if band <= len(history)]
        if not reached:
            continue
        band = reached[-1]
        rivals = sorted(values[band - 1] for values in histories.values() if len(values) >= band)
        threshold = rivals[int(1 / rule.eta * len(rivals))]
        judged = history[band - 1] if rule.strict else min(history)
        if judged > threshold or history[-1] == math.inf:
            found.add(number)
    return found
