"""Where a run starts: from nothing, from its own last checkpoint, or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn_exp.engine.checkpoint import Checkpoint, read_checkpoint, restore
from maskrcnn_exp.engine.checkpoint_folder import CheckpointFolder
from maskrcnn_exp.engine.meter import EpochMeter
from maskrcnn_exp.engine.state import TrainState
from maskrcnn_exp.errors import CheckpointError, ConfigError
from maskrcnn_exp.record.run_log import RunLog

__all__ = ["Start", "changed_settings", "check_categories", "find_checkpoints", "open_log", "start_or_resume"]

_MAY_DIFFER = ("run_dir", "resume", "replay")
"""Keys whose change between a run's start and its resume needs no mention."""


@dataclass(frozen=True)
class Start:
    """Where a run goes on from, and what is to be said of it."""

    checkpoint: Checkpoint | None = None  # None: from nothing
    source: Path | None = None
    lines: tuple[str, ...] = ()


def find_checkpoints(resume: str, folder: Path) -> list[Path]:
    """Return the checkpoints to go on from, in the order in which to try them; none for a fresh start.

    Args:
        resume: auto, never, or a checkpoint file.
        folder: The run's folder.

    Raises:
        ConfigError: `never`, but the folder holds a run.
        CheckpointError: the file named does not exist.
    """
    own = CheckpointFolder(folder / "checkpoints").newest_first()
    if resume == "auto":
        return own
    if resume == "never":
        if own:
            raise ConfigError(
                f"run_dir={folder} holds a run already and resume=never forbids to go on with it. "
                "Use another run_dir, or resume=auto."
            )
        return []
    if not Path(resume).is_file():
        raise CheckpointError(f"resume={resume}: no such checkpoint. Use resume=auto, resume=never or a file.")
    return [Path(resume)]


def start_or_resume(
    state: TrainState, meter: EpochMeter, sources: Sequence[Path], categories: list[list[object]], config: str
) -> Start:
    """Fill `state` and `meter` from the first checkpoint that can be used, where there is any.

    Those before it are put aside under another name, so that what the run writes next takes nobody's last chance.

    Raises:
        CheckpointError: none can be used; the message is about the first.
    """
    refused: list[CheckpointError] = []
    for source in sources:
        try:
            checkpoint = _resumed(state, meter, source, categories)
        except CheckpointError as error:
            refused.append(error)
            continue
        aside = sources[: len(refused)]
        lines = [_put_aside(path, error, state) for path, error in zip(aside, refused, strict=True)]
        progress = state.progress
        where = f"epoch {progress.epoch}, batch {progress.batch}, step {progress.step}"
        changed = changed_settings(checkpoint.config, config)
        return Start(checkpoint, source, (*lines, f"resumed from {source}: {where}", *changed))
    if not refused:
        return Start()
    if len(refused) == 1:
        raise refused[0]
    others = ", ".join(path.name for path in sources[1:])
    raise CheckpointError(f"{refused[0]}\nNor can the run go on from {others}. For a new one: another run_dir.")


def _resumed(state: TrainState, meter: EpochMeter, source: Path, categories: list[list[object]]) -> Checkpoint:
    checkpoint = read_checkpoint(source)
    check_categories(checkpoint, categories, source)
    restore(state, checkpoint, source)
    meter.load_state_dict(checkpoint.meter)
    return checkpoint


def _put_aside(path: Path, error: CheckpointError, state: TrainState) -> str:
    """Rename a checkpoint that cannot be used, on one process, and return what is to be said of it."""
    aside = path.with_name(f"{path.name}.refused")
    if state.fabric.is_global_zero:
        path.replace(aside)
    return f"⚠ {error}\n   It is kept as {aside.name}; the run goes back to the one before it."


def check_categories(checkpoint: Checkpoint, categories: list[list[object]], source: Path) -> None:
    """Raise a CheckpointError where a checkpoint's labels mean other names than the dataset's."""
    before, now = ([name for _, name in both] for both in (checkpoint.categories, categories))
    if before != now:
        raise CheckpointError(
            f"{source} was trained on the categories {before}, the dataset has {now}. "
            f"To train on these from its weights: model.weights={source}"
        )


def changed_settings(before: str, now: str) -> list[str]:
    """Return one line per setting that differs between two composed configurations."""
    from omegaconf import OmegaConf

    old, new = (_flat("", OmegaConf.to_container(OmegaConf.create(text))) for text in (before, now))
    return [
        f"   changed since: {key} {old.get(key, 'absent')} → {new.get(key, 'absent')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key not in _MAY_DIFFER
    ]


def _flat(prefix: str, node: object) -> dict[str, object]:
    if not isinstance(node, dict):
        return {prefix: node}
    flat: dict[str, object] = {}
    for key, value in node.items():
        flat |= _flat(f"{prefix}.{key}" if prefix else str(key), value)
    return flat


def open_log(folder: Path, checkpoint: Checkpoint | None, source: Path | None, *, writes: bool) -> RunLog:
    """Open the record: new, or what the checkpoint's moment had of the run that it belongs to.

    Args:
        source: The checkpoint's file; its run's folder is two levels up.
        writes: False on processes beside the first.
    """
    if not writes:
        return RunLog.disabled()
    if checkpoint is None or source is None:
        _drop_unfinished_record(folder)
        return RunLog.open(folder)
    run_folder = source.resolve().parent.parent
    if not any(run_folder.glob("events.out.tfevents.*")):
        return RunLog.open(folder)  # the checkpoint was moved away from its run
    return RunLog.resume(folder, run_folder, checkpoint.record_offset)


def _drop_unfinished_record(folder: Path) -> None:
    """Remove the record of a start that ended before its first checkpoint: its steps will be written again."""
    for stale in folder.glob("events.out.tfevents.*"):
        stale.unlink()
