"""From the words of `train` to trainings: Hydra composes and sweeps, and each job is checked before torch is imported.

What is heavy is imported where it is needed: `--help` and a typo are answered in a fraction of a second.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from maskrcnn_exp.errors import ConfigError, Interrupted, UserError
from maskrcnn_exp.hydra_version import version_words
from maskrcnn_exp.record.secrets import mask_urls, refuse_typed_secrets

__all__ = ["configuration_errors", "forget_stdout", "run_hydra"]


def run_hydra(words: list[str]) -> None:
    """Let Hydra compose the configuration and call the training, in one job or in a sweep's many."""
    import hydra

    from maskrcnn_exp.config_errors import explain, refuse_strange_words
    from maskrcnn_exp.config_names import conf_dir
    from maskrcnn_exp.hydra_guard import composing_is_guarded
    from maskrcnn_exp.schema import register_schema

    if any(word.startswith("--exp") for word in words):  # --experimental-rerun reads a pickle, which may run anything
        raise ConfigError("--experimental-rerun is not for this program. A run goes on with its command and run_dir=….")
    refuse_typed_secrets(words)
    refuse_strange_words(words)
    if {"--multirun", "-m"} & set(words) and {"--cfg", "-c", "--info", "-i"} & set(words):
        raise ConfigError("--cfg and --info show one training: leave out --multirun and words with several values.")
    register_schema()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and leaving with code 1
    # A launcher may write what `job` holds into a file: a password in a URL stays out of it.
    command = [mask_urls(word) for word in sys.argv]
    failed: list[BaseException] = []

    def job(config: Any) -> float | None:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from maskrcnn_exp.sweep.trial import current_trial

        sys.argv = command
        alone = HydraConfig.get().mode == RunMode.RUN
        if alone and str(HydraConfig.get().sweeper.get("_target_", "")).endswith("OptunaSweeper"):
            click.echo("one training without a search: the search takes --multirun")
        try:
            return _train_job(config)
        except (UserError, Interrupted) as error:
            if not alone and isinstance(error, Interrupted) and current_trial() is None:
                raise KeyboardInterrupt from error  # Hydra's own grid would go on with the next job
            if not alone:
                raise  # the sweeper decides what a failed trial means
            failed.append(error)
            return None

    sys.argv = [command[0], *words]
    try:
        with composing_is_guarded():
            hydra.main(**version_words(), config_path=str(conf_dir()), config_name="train")(job)()
    except configuration_errors() as error:  # one of them is an OSError as well, so they are not left to `_guarded`
        from maskrcnn_exp.problems import all_problems

        raise all_problems(words, explain(error)) from error
    except BrokenPipeError as error:  # a study's workers have saved by now
        forget_stdout()
        raise Interrupted from error
    if failed:
        raise failed[0]


def _train_job(config: Any) -> float | None:
    """Check the configuration, then import what is heavy, then train."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from maskrcnn_exp.compose import refuse_added_keys, to_train_config
    from maskrcnn_exp.config_check import check_or_raise

    refuse_added_keys(config)
    plain = to_train_config(config)
    check_or_raise(plain)
    from maskrcnn_exp.recipes.train import RunSettings, run
    from maskrcnn_exp.sweep.trial import current_trial

    hydra_config = HydraConfig.get()
    trial = current_trial()
    if trial is not None:
        from maskrcnn_exp.diagnose.chance import mask_chance

        trial.mask_chance = mask_chance(plain.model.mask_loss.bce_weight, plain.model.mask_loss.dice_weight)
    settings = RunSettings(
        folder=Path(hydra_config.runtime.output_dir),
        config_yaml=mask_urls(OmegaConf.to_yaml(config, resolve=True)),
        # As they were typed: iterating would put an environment variable's value in its place.
        overrides=tuple(map(str, OmegaConf.to_container(hydra_config.overrides.task, resolve=False) or ())),
    )
    return run(plain, settings, trial)


def configuration_errors() -> tuple[type[Exception], ...]:
    """Return what Hydra raises. Called for an exception that nothing above knows: importing it takes 0.2 s."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    return HydraException, OmegaConfBaseException


def forget_stdout() -> None:
    """The reader left; that the interpreter flushes the stream at its end must not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
