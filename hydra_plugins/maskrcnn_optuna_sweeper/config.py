"""What `hydra/sweeper=optuna`, `hydra/sweeper/sampler=…` and `hydra/sweeper/pruner=…` mean, with every key's default.

The keys are those of hydra-optuna-sweeper, and ours. Arguments that are null are left to Optuna's own default.

Without `from __future__ import annotations`: Hydra runs this file outside of sys.modules, where dataclasses cannot
look up an annotation that is a string.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

__all__ = ["OptunaSweeperConf"]


@dataclass
class HealthConf:
    """Checks of a trial's losses, beside the pruner."""

    enabled: bool = True
    warmup_epochs: int = 2  # no verdict on loss_mask before so many epochs are over
    chance_margin: float = 0.03  # loss_mask within this share of a guess's (ln 2) is a guess
    explode_factor: float = 3.0  # a loss so many times its best value may have exploded


@dataclass
class OptunaSweeperConf:
    _target_: str = "hydra_plugins.maskrcnn_optuna_sweeper.sweeper.OptunaSweeper"
    _recursive_: bool = False  # a sampler is built by the worker that asks it, not here
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])

    sampler: Any = MISSING  # hydra/sweeper/sampler=tpe|random|grid|…
    pruner: Any = MISSING  # hydra/sweeper/pruner=none|median|…
    direction: Any = None  # minimize, maximize or a list; null: follows the metric, else maximize
    metric: Any = None  # tag[@best|last|mean|sum] of the record, or a list; null: what the program returns
    storage: Any = None  # an Optuna URL; null: a journal file in the study's folder
    study_name: str | None = None  # the same name goes on with the same study; null: made of what is searched
    n_trials: int = 20  # finished trials of the whole study
    n_jobs: int = 1  # trials at the same time
    max_failure_rate: float = 0.3  # share of n_trials that may fail over the whole study; to diverge is no failure
    params: dict[str, Any] | None = None  # key: choice(…), range(…), interval(…), a fixed value, …
    search_space: dict[str, Any] | None = None  # deprecated: Hydra 1.1's way to write params
    custom_search_space: str | None = None  # import path of a function (config, trial) that suggests more
    enqueue: list[Any] = field(default_factory=list)  # the first trials, which no pruner stops: [{lr.mask_mult: 1.0}]
    repeat_best: int = 0  # so many seeds for the winner and the default in the end; 0: none
    seed_key: str = "seed"  # the key that repeats change
    seed: int | None = None  # of the sampler, where sampler.seed is null; null: another search each time
    health: HealthConf = field(default_factory=HealthConf)
    grace_seconds: float = 60.0  # another machine's worker without a sign of life for so long is dead
    keep_checkpoints: int | None = None  # only those of so many best trials; null: of all, 0.1 to 0.7 GB each
    quiet: bool = True  # a trial's own output goes to console.log in its folder
    report: bool = True  # write report.md with pictures


@dataclass
class TpeConf:
    """Tree of Parzen estimators. https://optuna.readthedocs.io/en/stable/reference/samplers"""

    _target_: str = "optuna.samplers.TPESampler"
    seed: int | None = None
    n_startup_trials: int = 10  # drawn at random first
    n_ei_candidates: int = 24
    multivariate: bool | None = None  # parameters modelled together
    group: bool = False
    constant_liar: bool = True  # several workers at once do not try neighbours
    gamma: Any = None
    weights: Any = None
    warn_independent_sampling: bool | None = None
    constraints_func: Any = None
    categorical_distance_func: Any = None
    consider_prior: bool | None = None  # this and the next three: given up by Optuna, accepted at its default
    prior_weight: float | None = None
    consider_magic_clip: bool | None = None
    consider_endpoints: bool | None = None


@dataclass
class JointTpeConf(TpeConf):
    """TPE that models the parameters together, for some tens of trials on several workers; what the presets use."""

    n_startup_trials: int = 8
    multivariate: bool | None = True


@dataclass
class MotpeConf(TpeConf):
    """The peer's name for TPE with several objectives."""

    multivariate: bool | None = True
    n_ei_candidates: int | None = None  # type: ignore[assignment] # n_ehvi_candidates stands for it
    n_ehvi_candidates: int = 24


@dataclass
class RandomConf:
    _target_: str = "optuna.samplers.RandomSampler"
    seed: int | None = None


@dataclass
class GridConf:
    """Every point of a finite space once; the values come from the search space."""

    _target_: str = "optuna.samplers.GridSampler"
    _partial_: bool = True  # as in the peer
    seed: int | None = None  # of the order


@dataclass
class BruteForceConf:
    """As grid, for conditional spaces."""

    _target_: str = "optuna.samplers.BruteForceSampler"
    seed: int | None = None
    avoid_premature_stop: bool = False


@dataclass
class CmaEsConf:
    """Evolution of a normal distribution; one objective; needs the package cmaes."""

    _target_: str = "optuna.samplers.CmaEsSampler"
    seed: int | None = None
    x0: dict[str, Any] | None = None
    sigma0: float | None = None
    n_startup_trials: int = 1
    independent_sampler: Any = None
    warn_independent_sampling: bool = True
    consider_pruned_trials: bool = False
    restart_strategy: Any = None
    popsize: int | None = None
    inc_popsize: int = -1
    use_separable_cma: bool = False
    with_margin: bool = False  # for whole numbers
    lr_adapt: bool = False
    source_trials: Any = None


@dataclass
class Nsga2Conf:
    """Genetic; several objectives."""

    _target_: str = "optuna.samplers.NSGAIISampler"
    seed: int | None = None
    population_size: int = 50
    mutation: Any = None
    mutation_prob: float | None = None
    crossover: Any = None
    crossover_prob: float = 0.9
    swapping_prob: float = 0.5
    constraints_func: Any = None


@dataclass
class Nsga3Conf(Nsga2Conf):
    """Genetic; three objectives and more."""

    _target_: str = "optuna.samplers.NSGAIIISampler"
    reference_points: Any = None
    dividing_parameter: int = 3


@dataclass
class GpConf:
    """Gaussian process; best for few, expensive trials."""

    _target_: str = "optuna.samplers.GPSampler"
    seed: int | None = None
    n_startup_trials: int = 10
    deterministic_objective: bool = False
    independent_sampler: Any = None
    warn_independent_sampling: bool = True
    constraints_func: Any = None


@dataclass
class QmcConf:
    """Quasi-random: more even than random."""

    _target_: str = "optuna.samplers.QMCSampler"
    seed: int | None = None  # null is 0: all processes draw from one sequence
    qmc_type: str = "sobol"  # or halton
    scramble: bool = True  # without, the first point is the lower end of every range
    independent_sampler: Any = None
    warn_asynchronous_seeding: bool = True
    warn_independent_sampling: bool = True


@dataclass
class NoPrunerConf:
    """Every trial runs to its end. https://optuna.readthedocs.io/en/stable/reference/pruners.html"""

    _target_: str = "optuna.pruners.NopPruner"


@dataclass
class MedianConf:
    """Stops a trial whose best value so far is worse than the median of the others at the same evaluation."""

    _target_: str = "optuna.pruners.MedianPruner"
    n_startup_trials: int = 4  # finished trials before the first is stopped
    n_warmup_steps: int = 2  # epoch from which a trial can be stopped; the first is warm-up
    interval_steps: int = 1
    n_min_trials: int = 1  # others needed at the same evaluation


@dataclass
class PercentileConf(MedianConf):
    """As median, with another share, and from the first epoch on: saves most, and may lose the best."""

    _target_: str = "optuna.pruners.PercentilePruner"
    n_startup_trials: int = 3
    n_warmup_steps: int = 1
    percentile: float = 25.0  # the best 25 % go on; 50 is the median


@dataclass
class SuccessiveHalvingConf:
    """Of those that reach 1, 3, 9 evaluations, the best third goes on: the presets' pruner."""

    _target_: str = "optuna.pruners.SuccessiveHalvingPruner"
    min_resource: Any = 1  # evaluations before the first decision, or auto
    reduction_factor: int = 3  # one in so many goes on
    min_early_stopping_rate: int = 0
    bootstrap_count: int = 0  # trials needed at a rung before one is stopped


@dataclass
class HyperbandConf:
    """Successive halving, with several first decisions side by side."""

    _target_: str = "optuna.pruners.HyperbandPruner"
    min_resource: int = 2
    max_resource: Any = "auto"  # evaluations of a whole trial; auto: of the longest so far
    reduction_factor: int = 3
    bootstrap_count: int = 0


@dataclass
class PatientConf:
    """Stops only what has not improved for some evaluations and the wrapped pruner would stop."""

    _target_: str = "optuna.pruners.PatientPruner"
    wrapped_pruner: Any = field(default_factory=MedianConf)
    patience: int = 2  # evaluations without improvement
    min_delta: float = 0.0


@dataclass
class ThresholdConf:
    """Stops what leaves a band; give lower, upper or both."""

    _target_: str = "optuna.pruners.ThresholdPruner"
    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = 1
    interval_steps: int = 1


@dataclass
class WilcoxonConf:
    """A signed-rank test against the best trial, for values that are repeats of one measurement; needs scipy."""

    _target_: str = "optuna.pruners.WilcoxonPruner"
    p_threshold: float = 0.1
    n_startup_steps: int = 2


_SAMPLERS = {
    "tpe": TpeConf,
    "tpe_joint": JointTpeConf,
    "motpe": MotpeConf,
    "random": RandomConf,
    "grid": GridConf,
    "brute_force": BruteForceConf,
    "cmaes": CmaEsConf,
    "nsgaii": Nsga2Conf,
    "nsgaiii": Nsga3Conf,
    "gp": GpConf,
    "qmc": QmcConf,
}
_PRUNERS = {
    "none": NoPrunerConf,
    "median": MedianConf,
    "percentile": PercentileConf,
    "successive_halving": SuccessiveHalvingConf,
    "hyperband": HyperbandConf,
    "patient": PatientConf,
    "threshold": ThresholdConf,
    "wilcoxon": WilcoxonConf,
}


def _register() -> None:
    store, provider = ConfigStore.instance(), "maskrcnn_optuna_sweeper"
    store.store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider=provider)
    for kind, choices in (("sampler", _SAMPLERS), ("pruner", _PRUNERS)):
        for name, node in choices.items():
            store.store(group=f"hydra/sweeper/{kind}", name=name, node=node, provider=provider)


_register()
