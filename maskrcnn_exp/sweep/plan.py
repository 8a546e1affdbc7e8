"""What the trials of a study are: points of a search space, or repeats of two settings with other seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from maskrcnn_exp.named_code import named_function
from maskrcnn_exp.override_keys import bare_key
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.objective import Direction
from maskrcnn_exp.sweep.points import is_brute_force, is_exhausted, is_grid
from maskrcnn_exp.sweep.settings import SweeperSettings, build_sampler
from maskrcnn_exp.sweep.space import SearchSpace, grid_choices, trial_words

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from maskrcnn_exp.sweep.study import Hparams

__all__ = ["ARMS", "RepeatPlan", "SearchPlan"]

ARMS: Final = ("best", "default")
SEARCH: Final = "search"  # what stands beside them in TensorBoard: a trial that is no repeat


@dataclass(frozen=True)
class SearchPlan:
    """Trials whose parameters the sampler chooses."""

    study_name: str
    n_trials: int
    directions: tuple[Direction, ...]
    space: SearchSpace
    settings: SweeperSettings
    config: Any  # what a custom search space gets to see

    @property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        return self.space.distributions

    def prepare(self, study: Study, number: int) -> None:
        """Seed the sampler by the trial's number: a resumed study must not draw its old points again."""
        grid = None
        if is_grid(self.settings):
            grid = {name: grid_choices(distribution) for name, distribution in self.space.distributions.items()}
        study.sampler = build_sampler(self.settings, number, grid)

    def is_exhausted(self, trials: Sequence[FrozenTrial]) -> bool:
        return is_brute_force(self.settings) and is_exhausted(trials)

    def words(self, trial: Trial) -> list[str]:
        if self.settings.custom_search_space:
            for word in self.space.fixed:
                key, _, value = word.partition("=")
                if key not in attrs.TRIAL_NAMES:
                    trial.set_user_attr(key, value)  # hydra-optuna-sweeper's users read them there
            suggest_all = self.settings.custom_search_space
            named_function(suggest_all, f"hydra.sweeper.custom_search_space={suggest_all}")(self.config, trial)
        return trial_words(self.space, trial.params)

    def hparams(self, trial: FrozenTrial) -> Hparams:
        if not self.settings.repeat_best:
            return trial.params, self.distributions
        return {**trial.params, attrs.ARM: SEARCH}, _with_arm(self.distributions)


@dataclass(frozen=True)
class RepeatPlan:
    """The winner and the default in turn, pair by pair with one seed each."""

    study_name: str
    pairs: int
    directions: tuple[Direction, ...]
    best_words: tuple[str, ...]
    default_words: tuple[str, ...]
    seed_key: str
    first_seed: int
    shown: Mapping[str, Mapping[str, object]]  # arm → values of the searched parameters, for TensorBoard
    space: Mapping[str, BaseDistribution]  # the search's

    @property
    def n_trials(self) -> int:
        return len(ARMS) * self.pairs

    @property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        return {}

    def prepare(self, study: Study, number: int) -> None:
        """Nothing is drawn."""

    def is_exhausted(self, trials: Sequence[FrozenTrial]) -> bool:
        return False

    def words(self, trial: Trial) -> list[str]:
        arm, seed = ARMS[trial.number % len(ARMS)], self.first_seed + trial.number // len(ARMS)
        trial.set_user_attr(attrs.ARM, arm)
        trial.set_user_attr(attrs.SEED, seed)
        return [*self.words_of(arm), f"{self.seed_key}={seed}"]

    def words_of(self, arm: str) -> list[str]:
        """Return the words of the winner or of the default, but for the seed."""
        chosen = self.best_words if arm == "best" else self.default_words
        return [word for word in chosen if bare_key(word) != self.seed_key]

    def hparams(self, trial: FrozenTrial) -> Hparams:
        arm = trial.user_attrs[attrs.ARM]
        return {**self.shown[arm], attrs.ARM: arm}, _with_arm(self.space)


def _with_arm(space: Mapping[str, BaseDistribution]) -> Mapping[str, BaseDistribution]:
    """TensorBoard takes the columns from whichever trial it finds first, so all of them have to know this one."""
    from optuna.distributions import CategoricalDistribution

    return {**space, attrs.ARM: CategoricalDistribution((SEARCH, *ARMS))}
