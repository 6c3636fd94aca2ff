"""Search by a model of what did well: Optuna's tree-structured Parzen estimator."""

import logging
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lightning_posenc.sweep.definition import Definition
from lightning_posenc.sweep.search import Search
from lightning_posenc.sweep.trial import Point, Status, Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


class BayesSearch(Search):
    """Asks Optuna, which is told every trial anew for each question.

    So a sweep that was killed goes on as if nothing had happened, and a question's answer depends
    on nothing but the seed, the trial's number and the trials so far. Optuna sees quantiles, not
    values: its uniform prior is then each parameter's own distribution.

    Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", NeurIPS; W&B's own
    server uses a Gaussian process instead.

    Raises:
        ValueError: If Optuna is not installed.
    """

    def __init__(self, definition: Definition, seed: int) -> None:
        super().__init__(definition, seed)
        try:
            import optuna
        except ImportError:
            raise ValueError(
                "method: bayes needs Optuna: pip install 'lightning-posenc[bayes]', or choose "
                "method: random"
            ) from None
        optuna.logging.set_verbosity(logging.WARNING)

    def point(self, number: int, trials: Iterable[Trial]) -> Point:
        import optuna

        assert self.metric is not None
        # Startup draws must differ from trial to trial, so each has a seed of its own.
        seed = random.Random(f"{self.seed}/{number}").getrandbits(32)
        # Running trials count as bad ones, so that trials side by side differ.
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        study = optuna.create_study(direction=self.metric.goal, sampler=sampler)
        space = self._space()
        for trial in trials:
            study.add_trial(_told(trial, space))
        asked = study.ask(space).params
        return {parameter.name: asked.get(parameter.name, 0) for parameter in self.space}

    def _space(self) -> "dict[str, BaseDistribution]":
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        space: dict[str, BaseDistribution] = {}
        for parameter in self.space:
            # Numbers keep their order, though a grid could hold them.
            values = getattr(parameter, "values", None)
            if values is None or parameter.choices is None:
                space[parameter.name] = FloatDistribution(0.0, 1.0)
            elif len(values) > 1:
                space[parameter.name] = CategoricalDistribution(range(len(values)))
        return space


def _told(trial: Trial, space: "dict[str, BaseDistribution]") -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    states = {
        Status.RUNNING: TrialState.RUNNING,
        Status.COMPLETE: TrialState.COMPLETE,
        Status.STOPPED: TrialState.PRUNED,
        Status.DIVERGED: TrialState.PRUNED,  # with no value, worse than all that have one
    }
    state = states.get(trial.status, TrialState.FAIL)
    value = trial.metric
    if value is None and state is TrialState.COMPLETE:
        state = TrialState.FAIL
    return create_trial(
        params={name: trial.point[name] for name in space},
        distributions=space,
        state=state,
        value=value if state is TrialState.COMPLETE else None,
        intermediate_values=(
            {0: value} if state is TrialState.PRUNED and value is not None else None
        ),
    )
