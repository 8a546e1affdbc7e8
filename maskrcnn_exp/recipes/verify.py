"""Verify: a run forked before its trouble, once as it was and once as prescribed. Imports no torch: trainings do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.diagnosis import Diagnosis, diagnose
from maskrcnn_exp.diagnose.fork import AS_IT_WAS, PRESCRIBED, Fork, choose_verdict, plan_fork
from maskrcnn_exp.diagnose.proof import SHOWN_TAGS, Arm, prove
from maskrcnn_exp.diagnose.proof_text import arm_title, epoch_line, plan_text, proof_json, proof_text
from maskrcnn_exp.diagnose.sources import FORKS, curves_at, runs_under
from maskrcnn_exp.errors import ConfigError, DataError, Interrupted
from maskrcnn_exp.recipes.fork_training import Origin, curves_so_far, epochs_done, train
from maskrcnn_exp.record.atomic import write_json_atomic
from maskrcnn_exp.record.console import Console

__all__ = ["run"]

_FILE: Final = "verify.json"
_PLAN: Final = "plan.json"
_CHANGES_FREELY: Final = "trainer.stop_after_epoch="


def run(
    path: Path,
    say: Callable[[str], None],
    *,
    rule: str | None = None,
    epochs: int | None = None,
    as_json: bool = False,
) -> int:
    """Try the prescription for a run in `RUN/verify/<rule>/{as_it_was,prescribed}`, print, and return 0.

    The run itself is only read. A second call goes on where one was stopped, and with more `epochs` goes further.

    Args:
        rule: Of the verdict to try; the first one where not given.
        epochs: To train; a few where not given.

    Raises:
        ConfigError, DataError: nothing can be tried; the message says why and what to do.
        Interrupted: a signal came; the same command goes on.
    """
    folder, curves = _one_run(path)
    diagnosis = diagnose(curves)
    chosen = choose_verdict(diagnosis, rule)
    if chosen is None:
        say(json.dumps({"run": curves.name, "outcome": None}) if as_json else f"{curves.name}: no fault found")
        return 0
    verdict, prescription = chosen
    fork = plan_fork(curves, verdict, prescription, folder, epochs)
    place = folder / FORKS / fork.rule
    _claim(place, fork)
    console = Console(sys.stderr if as_json else None)
    console.print(plan_text(fork, curves.name, verdict.says, curves.facts.epochs or 0) + "\n")
    origin = Origin.of_run(folder)
    arms = {name: _train_arm(name, place / name, fork, origin, console) for name in (AS_IT_WAS, PRESCRIBED)}
    proof = prove(curves, arms[AS_IT_WAS], arms[PRESCRIBED], fork.part, fork.epochs)
    content = proof_json(fork, proof, arms, curves.name, curves.facts.overrides)
    write_json_atomic(place / _FILE, content)
    if as_json:
        say(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
        return 0
    say("\n" + proof_text(fork, proof, arms, curves.facts.overrides))
    say(f"written: {place / _FILE}\nlook: tensorboard --logdir {place}")
    return 0


def _one_run(path: Path) -> tuple[Path, Curves]:
    found = runs_under(path)
    if len(found) != 1:
        raise ConfigError(f"{path}: {len(found)} runs, --verify takes one: name its folder, such as {found[0]}.")
    folder = found[0] if found[0].is_dir() else found[0].parent
    return folder, curves_at(found[0])


def _claim(place: Path, fork: Fork) -> None:
    """Note what is tried in `place`.

    Raises:
        ConfigError: something else was tried there before.
    """
    plan: dict[str, Any] = {
        "checkpoint": None if fork.checkpoint is None else fork.checkpoint.name,
        "first_epoch": fork.first_epoch,
        **{
            name: [word for word in words if not word.startswith(_CHANGES_FREELY)] for name, words in fork.words.items()
        },
    }
    noted = place / _PLAN
    if noted.is_file():
        before = json.loads(noted.read_text())
        if before != plan:
            raise ConfigError(
                f"{place} holds a verification of something else: {_differences(before, plan)}. "
                "Delete it, or move it away, and start again."
            )
        return
    place.mkdir(parents=True, exist_ok=True)
    write_json_atomic(noted, plan)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return "; ".join(f"{key} {before.get(key)}, now {now[key]}" for key in now if before.get(key) != now[key])


def _train_arm(name: str, folder: Path, fork: Fork, origin: Origin, console: Console) -> Arm:
    """Train one of the two as far as it must, and return what it recorded."""
    curves = curves_so_far(folder)
    done = max(0, epochs_done(curves) - fork.first_epoch + 1)
    if done < len(fork.epochs) and (curves is None or curves.crash is None):
        with console.progress(len(fork.epochs), done, arm_title(name)) as bar:

            def heard(epoch: int) -> None:
                console.print(epoch_line(name, epoch, fork.last_epoch, _numbers(folder, epoch)))
                bar.advance()

            try:
                train(folder, fork.words[name], fork.checkpoint, origin, heard)
            except Interrupted:
                console.print("saved; the same command goes on")
                raise
        curves = curves_so_far(folder)
    elif curves is not None:
        console.print(f"{arm_title(name)} · done before: {folder}")
    if curves is None:
        raise DataError(f"{folder}: the training left no record. What it printed: {folder}.log")
    crash = curves.crash
    diverged = "" if crash is None else f"{crash.cause}, epoch {crash.epoch}, step {crash.step}"
    return Arm(curves, diverged, _is_found(diagnose(curves), fork))


def _numbers(folder: Path, epoch: int) -> dict[str, float]:
    curves = curves_so_far(folder)
    if curves is None or curves.epoch(-1) != epoch:
        return {}
    return {tag: float(curves[tag][-1]) for tag in SHOWN_TAGS if curves.has(tag)}


def _is_found(diagnosis: Diagnosis, fork: Fork) -> bool:
    found = [*diagnosis.verdicts, *(verdict for verdict, _ in diagnosis.consequences)]
    return any((verdict.rule, verdict.part) == (fork.rule, fork.part) for verdict in found)
