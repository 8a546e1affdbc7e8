"""The keys under `hydra.sweeper` as plain values: normalised, checked all at once, picklable for the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep.health import HealthRules

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

__all__ = ["SweeperSettings", "build_pruner", "build_sampler"]

_DIRECTIONS = ("minimize", "maximize")
_TPE = {"_target_": "optuna.samplers.TPESampler"}
_NO_PRUNER = {"_target_": "optuna.pruners.NopPruner"}
_MAX_SEED = 2**32


@dataclass(frozen=True)
class SweeperSettings:
    """What the user configured; `hydra_plugins/maskrcnn_optuna_sweeper/config.py` documents every key."""

    sampler: Mapping[str, Any] = field(default_factory=lambda: dict(_TPE))  # with its _target_
    pruner: Mapping[str, Any] = field(default_factory=lambda: dict(_NO_PRUNER))  # with its _target_
    direction: tuple[str, ...] | None = None  # None: follows the metric
    metric: tuple[str, ...] = ()  # empty: what the program returns
    storage: str | None = field(default=None, repr=False)  # its URL may hold a password
    study_name: str | None = None
    n_trials: int = 20
    n_jobs: int = 1
    max_failure_rate: float = 0.3  # share of n_trials
    search_space: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    custom_search_space: str | None = None
    enqueue: tuple[Mapping[str, Any], ...] = ()  # parameters of the first trials
    repeat_best: int = 0
    seed_key: str = "seed"
    seed: int | None = None
    health: HealthRules = field(default_factory=HealthRules)
    grace_seconds: float = 60.0
    keep_checkpoints: int | None = None  # of the best trials; None: of all
    quiet: bool = True
    report: bool = True

    @classmethod
    def from_config(cls, keys: Mapping[str, Any]) -> SweeperSettings:
        """Return the settings of a composed `hydra.sweeper`, or of plain values. Nonsense is found by `check`."""
        values = {name: _plain(value) for name, value in keys.items()}
        values["direction"] = _directions(values.get("direction"))
        values["metric"] = tuple(str(metric) for metric in _as_list(values.get("metric")))
        values["storage"] = _storage_url(values.get("storage"))
        values["enqueue"] = tuple(_stored_params(params) for params in values.get("enqueue") or ())
        values["sampler"] = values.get("sampler") or dict(_TPE)
        values["pruner"] = values.get("pruner") or dict(_NO_PRUNER)
        values["health"] = HealthRules(**(values.get("health") or {}))
        return cls(**values)

    @property
    def sampler_seed(self) -> int | None:
        """The sampler's own seed where it has one, else the study's."""
        own: int | None = self.sampler.get("seed")
        return self.seed if own is None else own

    @property
    def prunes(self) -> bool:
        return not _is_target(self.pruner, "NopPruner")

    def check(self) -> None:
        """Refuse what cannot work, all of it in one message.

        Raises:
            ConfigError: lists every problem.
        """
        problems = [f"hydra.sweeper.{problem}" for problem in (*self._numbers(), *self._names(), *self._objectives())]
        for build in (_try_sampler, _try_pruner):
            problems += build(self)
        if problems:
            raise ConfigError.from_problems(problems)

    def without_pruning(self) -> SweeperSettings:
        """Return the settings of trials that must all run to their end: no pruner, no check of the losses."""
        return replace(self, pruner=dict(_NO_PRUNER), health=replace(self.health, enabled=False))

    def _numbers(self) -> list[str]:
        health = {f"health.{name}": value for name, value in asdict(self.health).items()}
        values = {**{each.name: getattr(self, each.name) for each in fields(self)}, **health}
        values["sampler.seed"] = self.sampler.get("seed")
        return [
            f"{name}={values[name]} must be {expected}."
            for name, low, high, expected in _RANGES
            if not (values[name] is None and name in _MAY_BE_NULL) and not _is_between(values[name], low, high)
        ]

    def _names(self) -> list[str]:
        problems = []
        if self.study_name is not None and not self.study_name.strip():
            problems.append("study_name is empty. Give a name, or null for one made of what is searched.")
        if self.storage is not None and "://" not in self.storage:
            problems.append("storage is no URL. Write it as sqlite:///study.db or postgresql://USER@HOST/NAME.")
        if not self.seed_key:
            problems.append("seed_key is empty. Name the key that repeats change, such as seed.")
        path = self.custom_search_space
        if path is not None and not _is_import_path(path):
            problems.append(
                f"custom_search_space={path} must be a function's import path, such as package.module.name."
            )
        return problems

    def _objectives(self) -> list[str]:
        problems = [
            f"direction={word} must be minimize or maximize, or null to follow the metric."
            for word in self.direction or ()
            if word not in _DIRECTIONS
        ]
        if self.direction == ():
            problems.append("direction is an empty list. Give one of minimize, maximize for each objective, or null.")
        n_metrics, n_directions = len(self.metric), len(self.direction or ())
        if n_metrics and n_directions and n_metrics != n_directions:
            problems.append(f"direction has {n_directions} entries and metric has {n_metrics}. Give one each.")
        n_objectives = max(n_metrics, n_directions)
        if n_objectives > 1 and self.prunes:
            problems.append(f"pruner works with one objective, got {n_objectives}. Use hydra/sweeper/pruner=none.")
        if n_objectives > 1 and _is_target(self.sampler, "CmaEsSampler"):
            problems.append(f"sampler cmaes has one objective, got {n_objectives}. Use hydra/sweeper/sampler=nsgaii.")
        if n_objectives > 1 and self.repeat_best:
            problems.append(f"repeat_best needs one objective to know a winner, got {n_objectives}. Set it to 0.")
        return problems


# Name, lowest, highest, as told to the user. A lowest that is an int asks for a whole number.
_RANGES: tuple[tuple[str, float, float, str], ...] = (
    ("n_trials", 1, float("inf"), "≥ 1"),
    ("n_jobs", 1, float("inf"), "≥ 1"),
    ("max_failure_rate", 0.0, 1, "between 0 and 1, a share of n_trials"),
    ("repeat_best", 0, float("inf"), "≥ 0"),
    ("seed", 0, _MAX_SEED - 1, "between 0 and 2**32 - 1, or null"),
    ("sampler.seed", 0, _MAX_SEED - 1, "between 0 and 2**32 - 1, or null"),
    ("grace_seconds", 1.0, float("inf"), "≥ 1"),
    ("keep_checkpoints", 1, float("inf"), "≥ 1, or null to keep all"),
    ("health.warmup_epochs", 0, float("inf"), "≥ 0"),
    ("health.chance_margin", 0.0, 1, "between 0 and 1, a share of the loss of a guess"),
    ("health.explode_factor", 1.0, float("inf"), "≥ 1"),
)
_MAY_BE_NULL = frozenset({"seed", "sampler.seed", "keep_checkpoints"})


def build_sampler(
    settings: SweeperSettings, seed_for_trial: int | None = None, grid: Mapping[str, Sequence[Any]] | None = None
) -> BaseSampler:
    """Return a new sampler.

    Args:
        settings: Its `sampler`: constructor arguments as Optuna names them.
        seed_for_trial: The number of the trial that is asked for; mixed into a given seed, so that a sampler that is
            built again, after a resume or in another process, does not draw its first points again. The grid and
            quasi-random samplers number their points themselves and keep one seed for the whole study.
        grid: The values by parameter, for the grid sampler.

    Raises:
        ConfigError: the installed Optuna has no such sampler or argument, or a package that it needs is absent.
    """
    from maskrcnn_exp.sweep.factories import make_sampler

    return make_sampler(settings.sampler, settings.sampler_seed, seed_for_trial, grid)


def build_pruner(settings: SweeperSettings) -> BasePruner:
    """Return a new pruner.

    Raises:
        ConfigError: the installed Optuna has no such pruner or argument, or a package that it needs is absent.
    """
    from maskrcnn_exp.sweep.factories import make_pruner

    return make_pruner(settings.pruner)


def _try_sampler(settings: SweeperSettings) -> list[str]:
    unseeded = {name: value for name, value in settings.sampler.items() if name != "seed"}  # checked by its range
    try:
        build_sampler(replace(settings, sampler=unseeded, seed=None), None, {"x": [0]})
    except ConfigError as error:
        return [str(error)]
    return []


def _try_pruner(settings: SweeperSettings) -> list[str]:
    try:
        build_pruner(settings)
    except ConfigError as error:
        return [str(error)]
    return []


def _plain(value: Any) -> Any:
    from omegaconf import OmegaConf

    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True, enum_to_str=True)
    return value


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _directions(value: Any) -> tuple[str, ...] | None:
    """Accept `minimize`, an enum's member of that name, and lists of both."""
    if value is None:
        return None
    names = (getattr(entry, "name", str(entry)) for entry in _as_list(value))
    return tuple(name.rpartition(".")[2].lower() for name in names)


def _storage_url(value: Any) -> str | None:
    """Accept the peer's `{_target_: optuna.storages.RDBStorage, url: …}` for its URL."""
    if isinstance(value, Mapping) and "url" in value:
        return str(value["url"])
    return None if value is None else str(value)


def _stored_params(params: Any) -> dict[str, Any]:
    """Lists and dicts go into a study as the text of their override."""
    from maskrcnn_exp.sweep.words import value_text

    return {
        str(key): value_text(value) if isinstance(value, list | tuple | Mapping) else value
        for key, value in dict(params).items()
    }


def _is_target(config: Mapping[str, Any], name: str) -> bool:
    return str(config.get("_target_", "")).rpartition(".")[2] == name


def _is_import_path(path: str) -> bool:
    parts = path.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def _is_between(value: Any, low: float, high: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if isinstance(low, int) else int | float):
        return False
    return low <= value <= high
