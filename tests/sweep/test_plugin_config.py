"""The Hydra plugin: its choices compose, its keys are frozen, and finding it costs nothing."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from maskrcnn_exp.hydra_version import version_words
from maskrcnn_exp.sweep.settings import SweeperSettings, build_pruner, build_sampler

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def _plugins_are_found() -> None:
    Plugins.instance()  # scans hydra_plugins, which stands on the path as the working folder


def composed(folder: Path, *words: str) -> DictConfig:
    (folder / "config.yaml").write_text("x: 1\n")
    with initialize_config_dir(str(folder), **version_words()):
        config: DictConfig = compose("config", overrides=["hydra/sweeper=optuna", *words], return_hydra_config=True)
    return config


def settings_of(config: DictConfig) -> SweeperSettings:
    keys = {str(key): value for key, value in config.hydra.sweeper.items()}
    return SweeperSettings.from_config({key: value for key, value in keys.items() if not key.startswith("_")})


PEER = {
    *("sampler", "direction", "storage", "study_name", "n_trials", "n_jobs", "max_failure_rate"),
    *("search_space", "params", "custom_search_space"),
}
OURS = {
    *(
        "pruner",
        "metric",
        "repeat_best",
        "seed_key",
        "seed",
        "health",
        "grace_seconds",
        "keep_checkpoints",
        "quiet",
        "report",
        "enqueue",
    ),
}


def test_the_keys_are_the_peers_and_ours(tmp_path: Path) -> None:
    """Frozen: a key that is added or lost here must be meant."""
    keys = {str(key) for key in composed(tmp_path).hydra.sweeper}
    assert keys - {"_target_", "_recursive_"} == PEER | OURS


def test_the_configured_defaults_are_those_of_the_settings(tmp_path: Path) -> None:
    """Written in two places; they must not drift apart. Sampler and pruner carry their arguments here."""
    from dataclasses import replace

    configured = settings_of(composed(tmp_path))
    assert replace(configured, sampler=SweeperSettings().sampler) == SweeperSettings()
    assert configured.sampler["_target_"] == SweeperSettings().sampler["_target_"]


SAMPLERS = ["tpe", "motpe", "random", "grid", "brute_force", "cmaes", "nsgaii", "nsgaiii", "gp", "qmc"]
PRUNERS = ["none", "median", "percentile", "successive_halving", "hyperband", "patient", "threshold", "wilcoxon"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_composes_and_is_built(name: str, tmp_path: Path) -> None:
    config = composed(tmp_path, f"hydra/sweeper/sampler={name}", "hydra.sweeper.sampler.seed=3")
    sampler = build_sampler(settings_of(config), 0, {"x": [1, 2]})
    assert str(config.hydra.sweeper.sampler._target_).endswith(f".{type(sampler).__name__}")


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_composes_and_is_built(name: str, tmp_path: Path) -> None:
    words = ["hydra.sweeper.pruner.lower=0.1"] if name == "threshold" else []
    config = composed(tmp_path, f"hydra/sweeper/pruner={name}", *words)
    pruner = build_pruner(settings_of(config))
    assert str(config.hydra.sweeper.pruner._target_).endswith(f".{type(pruner).__name__}")


PEER_SAMPLER_KEYS = {
    "tpe": {
        *("seed", "consider_prior", "prior_weight", "consider_magic_clip", "consider_endpoints", "n_startup_trials"),
        *("n_ei_candidates", "multivariate", "warn_independent_sampling"),
    },
    "motpe": {
        *("seed", "consider_prior", "prior_weight", "consider_magic_clip", "consider_endpoints", "n_startup_trials"),
        "n_ehvi_candidates",
    },
    "random": {"seed"},
    "cmaes": {
        *("seed", "x0", "sigma0", "independent_sampler", "warn_independent_sampling", "consider_pruned_trials"),
        *("restart_strategy", "inc_popsize", "use_separable_cma", "source_trials"),
    },
    "nsgaii": {
        *("seed", "population_size", "mutation_prob", "crossover_prob", "swapping_prob", "constraints_func"),
    },
    "grid": set(),
}


@pytest.mark.parametrize("name", PEER_SAMPLER_KEYS)
def test_the_peers_sampler_keys_are_accepted(name: str, tmp_path: Path) -> None:
    assert PEER_SAMPLER_KEYS[name] <= set(composed(tmp_path, f"hydra/sweeper/sampler={name}").hydra.sweeper.sampler)


def test_a_configuration_of_the_peers_users_composes(tmp_path: Path) -> None:
    (tmp_path / "peer.yaml").write_text(
        "defaults:\n  - override hydra/sweeper: optuna\n  - override hydra/sweeper/sampler: tpe\n"
        "x: 1\ny: 2\n"
        "hydra:\n  sweeper:\n"
        "    sampler: {seed: 123, consider_prior: true, prior_weight: 1.0}\n"
        "    direction: [minimize, maximize]\n    study_name: sphere\n    storage: null\n"
        "    n_trials: 20\n    n_jobs: 1\n    max_failure_rate: 0.0\n"
        "    params:\n      x: range(-5.5, 5.5, step=0.5)\n      y: choice(-5, 0, 5)\n"
    )
    with initialize_config_dir(str(tmp_path), **version_words()):
        config = compose("peer", return_hydra_config=True)
    settings = settings_of(config)
    settings.check()
    assert settings.direction == ("minimize", "maximize")
    assert settings.params == {"x": "range(-5.5, 5.5, step=0.5)", "y": "choice(-5, 0, 5)"}


def test_a_sampler_of_the_users_own_composes(tmp_path: Path) -> None:
    group = tmp_path / "hydra" / "sweeper" / "sampler"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text("_target_: optuna.samplers.PartialFixedSampler\nfixed_params: {x: 1}\n")
    config = composed(tmp_path, "hydra/sweeper/sampler=mine")
    assert settings_of(config).sampler["fixed_params"] == {"x": 1}


def test_a_mistyped_key_is_refused_by_hydra(tmp_path: Path) -> None:
    with pytest.raises(HydraException, match="n_trails"):
        composed(tmp_path, "hydra.sweeper.n_trails=3")


def instantiated(config: DictConfig) -> Sweeper:
    context = HydraContext(config_loader=None, callbacks=None)
    return Plugins.instance().instantiate_sweeper(config=config, hydra_context=context, task_function=len)


class FakeDriver:
    def __init__(self, *arguments: Any) -> None:
        self.arguments, self.words = arguments, [""]

    def sweep(self, words: list[str]) -> str:
        self.words = words
        return "done"


def test_the_plugin_hands_plain_settings_to_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver is the one thing replaced: what it does has its own tests."""
    module = types.ModuleType("maskrcnn_exp.sweep.sweeper")
    module.Driver = FakeDriver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    config = composed(tmp_path, "hydra.sweeper.n_trials=7", "hydra/sweeper/pruner=patient", "hydra.sweeper.metric=a")
    sweeper: Any = instantiated(config)
    settings, _, task, given = sweeper._driver.arguments
    assert (settings.n_trials, settings.metric, task, given) == (7, ("a",), len, config)
    assert type(settings.sampler) is dict  # not built: Hydra must leave it alone
    assert settings.pruner["wrapped_pruner"]["_target_"] == "optuna.pruners.MedianPruner"
    assert sweeper.sweep(["x=1,2"]) == "done"
    assert sweeper._driver.words == ["x=1,2"]


@pytest.mark.skipif(not version_words(), reason="Hydra 1.4 takes a registered plugin from anywhere")
def test_hydra_refuses_a_sweeper_outside_of_its_namespace(tmp_path: Path) -> None:
    """Why the plugin lies in hydra_plugins/ and not in the package, even though registering it works."""

    class Elsewhere(Sweeper):  # type: ignore[misc]
        def setup(self, **keys: Any) -> None: ...

        def sweep(self, arguments: list[str]) -> None: ...

    config = composed(tmp_path)
    Plugins.instance().register(Elsewhere)
    with open_dict(config):
        config.hydra.sweeper = OmegaConf.create({"_target_": f"{__name__}.Elsewhere"})
    with pytest.raises(RuntimeError, match="not the hydra_plugins package"):
        instantiated(config)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("word", ["'--help'", "'--cfg', 'hydra', 'hydra/sweeper=optuna'"])
def test_help_and_composing_import_neither_optuna_nor_torch(word: str) -> None:
    code = (
        "import sys\nfrom maskrcnn_exp.cli import main\n"
        f"sys.argv = ['maskrcnn-exp', 'train', {word}]\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as event: print('CODE', event.code)\n"
        "print('HEAVY', sorted({'optuna', 'torch', 'numpy'} & sys.modules.keys()))"
    )
    output = run_python(code).stdout
    assert "CODE 0" in output
    assert "HEAVY []" in output


def test_the_sweeper_object_is_made_without_optuna() -> None:
    code = (
        "import sys\n"
        "from hydra_plugins.maskrcnn_optuna_sweeper.sweeper import OptunaSweeper\n"
        "OptunaSweeper(sampler={'_target_': 'optuna.samplers.TPESampler'}, enqueue=[{'x': [1]}])\n"
        "sys.exit('optuna' in sys.modules)"
    )
    assert run_python(code).returncode == 0


def test_hydra_plugins_is_a_namespace_that_other_plugins_share() -> None:
    assert not (REPOSITORY / "hydra_plugins" / "__init__.py").exists()
