"""What a study found, in two small files: `best.yaml` for people and programs, and the peer sweeper's own file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import optuna
import yaml
from optuna.trial import FrozenTrial

from maskrcnn_exp.override_keys import bare_key
from maskrcnn_exp.record.atomic import write_text_atomic
from maskrcnn_exp.sweep.attrs import OVERRIDES
from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.trial_text import run_folder, train_command

__all__ = ["BEST_FILE", "PEER_FILE", "checkpoint_of", "write_results"]

BEST_FILE: Final = "best.yaml"
PEER_FILE: Final = "optimization_results.yaml"
_CHECKPOINTS: Final = ("best.pt", "last.pt")


def write_results(study: optuna.Study, folder: Path, command: str, seed_key: str = "seed") -> None:
    """Rewrite `best.yaml` and `optimization_results.yaml` in `folder`, each atomically.

    `best.yaml` holds `study`, `metric`, `direction`, the counts of `trials`, and `best`: trial, folder, checkpoint,
    value, params, overrides, seeds and the command that trains it again. With several objectives `pareto` is a list
    of the same, in order of trial numbers. Before anything completed `best` is null (`pareto` empty), and `reasons`
    counts why. The second file has the keys that hydra-optuna-sweeper writes.

    Args:
        study: Any study; trials from another program are shown with what they have.
        folder: The study's folder, which exists.
        command: Prefix of the command, such as `python -m maskrcnn_exp train`.
        seed_key: The training's key for its seed, with its dots.
    """
    standing = Standing.read(study, folder)
    _write_yaml(folder / BEST_FILE, _best_entry(standing, command, seed_key))
    _write_yaml(folder / PEER_FILE, _peer_entry(standing))


def checkpoint_of(run: Path) -> Path | None:
    """Return a run's best checkpoint; its last one where none is the best yet; None without any."""
    paths = (run / "checkpoints" / name for name in _CHECKPOINTS)
    return next((path for path in paths if path.is_file()), None)


def _best_entry(standing: Standing, command: str, seed_key: str) -> dict[str, object]:
    directions = ["maximize" if up else "minimize" for up in standing.maximize]
    entry: dict[str, object] = {
        "study": standing.name,
        "metric": standing.metrics[0] if standing.is_single else list(standing.metrics),
        "direction": directions[0] if standing.is_single else directions,
        "trials": standing.counts(),
    }
    if standing.is_single:
        best = standing.best
        entry["best"] = None if best is None else _trial_entry(best, standing, command, seed_key)
    else:
        entry["pareto"] = [_trial_entry(trial, standing, command, seed_key) for trial in standing.pareto]
    if not standing.ranked:
        entry["reasons"] = [
            {"count": len(row.trials), "state": row.state, "reason": row.example, "trials": list(row.trials)}
            for row in standing.reasons()
        ]
    return entry


def _trial_entry(trial: FrozenTrial, standing: Standing, command: str, seed_key: str) -> dict[str, object]:
    run = run_folder(trial, standing.folder)
    checkpoint = checkpoint_of(run)
    values: dict[str, object] = (
        {"value": trial.values[0]}
        if standing.is_single
        else {"values": dict(zip(standing.metrics, trial.values, strict=True))}
    )
    return {
        "trial": trial.number,
        "folder": str(run),
        "checkpoint": None if checkpoint is None else str(checkpoint),
        **values,
        "params": trial.params,
        "overrides": trial.user_attrs.get(OVERRIDES, []),
        "seeds": _seeds(trial, run, seed_key),
        "command": train_command(trial, command, standing.fixed),
    }


def _peer_entry(standing: Standing) -> dict[str, object]:
    if not standing.is_single:
        solutions = [{"params": trial.params, "values": trial.values} for trial in standing.pareto]
        return {"name": "optuna", "solutions": solutions}
    best = standing.best
    return {
        "name": "optuna",
        "best_params": {} if best is None else best.params,
        "best_value": None if best is None else best.values[0],
    }


def _seeds(trial: FrozenTrial, run: Path, seed_key: str) -> list[int]:
    """Return the seeds that the trial was trained with: from its words, else from what its run composed."""
    values = [word.partition("=")[2] for word in trial.user_attrs.get(OVERRIDES, []) if bare_key(word) == seed_key]
    seeds = [int(value) for value in values if value.lstrip("-").isdecimal()]
    composed = run / ".hydra" / "config.yaml"
    if seeds or not composed.is_file():
        return seeds
    seed = yaml.safe_load(composed.read_text())
    for part in seed_key.split("."):
        seed = seed.get(part) if isinstance(seed, dict) else None
    return [seed] if isinstance(seed, int) else []


def _write_yaml(path: Path, entry: Mapping[str, object]) -> None:
    write_text_atomic(path, yaml.safe_dump(_plain(entry), sort_keys=False, allow_unicode=True, width=10_000))


def _plain(value: object) -> Any:
    """Turn what a foreign study may hold, such as a tuple or a class as a choice, into what YAML knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)  # a plain one, also of NumPy's subclasses
    return value if value is None else str(value)
