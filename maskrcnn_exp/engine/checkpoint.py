"""Checkpoints: written whole or not at all, read without running code, refused when they do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, cast

import torch
from torch import nn

from maskrcnn_exp.engine.checkpoint_entries import misplaced_entries, optimizer_misfit
from maskrcnn_exp.engine.paced_file import PacedFile
from maskrcnn_exp.engine.state import Progress, TrainState
from maskrcnn_exp.errors import CheckpointError
from maskrcnn_exp.model.archive import check_archive
from maskrcnn_exp.model.weights import differences, listing
from maskrcnn_exp.record.atomic import write_atomic

__all__ = [
    "FORMAT_VERSION",
    "Checkpoint",
    "load_evaluated",
    "read_checkpoint",
    "restore",
    "write_checkpoint",
]

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds: tensors and plain values only, so that reading it cannot run code."""

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    ema: dict[str, torch.Tensor] | None
    groups: list[list[Any]]  # [group name, [parameter names]]
    progress: dict[str, Any]
    meter: dict[str, dict[str, float]]  # sums over the epoch under way
    record_offset: int  # bytes of the event file that belong to this moment
    categories: list[list[Any]]  # [id, name], in the order of the labels
    detections_per_image: int
    config: str  # the composed configuration, YAML
    overrides: list[str]  # what the user typed
    format_version: int = FORMAT_VERSION

    @classmethod
    def capture(cls, state: TrainState, **rest: Any) -> Checkpoint:
        """Take the state's tensors by reference: write or copy it before the next step."""
        return cls(
            model=state.network.state_dict(),
            optimizer=state.optimizer.state_dict(),
            ema=None if state.ema is None else state.ema.state_dict(),
            groups=_group_names(state),
            progress=asdict(state.progress),
            **rest,
        )

    @property
    def epochs_done(self) -> int:
        """Whole epochs behind this moment."""
        return int(self.progress["epoch"]) - 1

    def evaluated_weights(self) -> dict[str, torch.Tensor]:
        """Return the weights that validation looked at: the moving average where there is one."""
        if self.ema is None:
            return self.model
        return {key.removeprefix("module."): value for key, value in self.ema.items() if key != "n_averaged"}


def write_checkpoint(path: Path, checkpoint: Checkpoint, hurry: Event | None = None) -> None:
    """Replace `path` by a checkpoint, whole or not at all.

    Args:
        hurry: Until it is set, the thread rests nine tenths of the time; None does not rest.

    Raises:
        OSError: the disk is full, or the folder is absent or read-only.
    """
    content = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}

    def write(file: BinaryIO) -> None:
        try:
            torch.save(content, file if hurry is None else cast(BinaryIO, PacedFile(file, hurry)))
        except Exception as error:
            # torch goes on to end its archive, fails at that, and raises an error that does not say why.
            raise _first_os_error(error) or error from None

    write_atomic(path, write)


def _first_os_error(error: BaseException | None) -> OSError | None:
    """The OSError among an error and those that it was raised on top of; None where there is none."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. A single flipped bit is noticed.

    Raises:
        CheckpointError: absent, damaged, not ours, or of another format version.
    """
    if not path.is_file():
        raise CheckpointError.absent(path)
    try:
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in torch, zipfile, pickle or the decoder of any entry
        raise CheckpointError(
            f"{path}: damaged, or not a checkpoint ({type(error).__name__}: {str(error)[:200]}). "
            "Use another checkpoint of the run."
        ) from error
    version = content.get("format_version") if isinstance(content, Mapping) else None
    if version is None:
        raise CheckpointError(
            f"{path}: a torch file, but not a checkpoint of maskrcnn-exp. "
            f"To start from its weights: model.weights={path}"
        )
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {version}, this version of maskrcnn-exp reads format {FORMAT_VERSION}. "
            f"To start from its weights: model.weights={path}"
        )
    try:
        if wrong := misplaced_entries(content):
            raise TypeError(f"{', '.join(wrong)} of another kind")
        return Checkpoint(**content)
    except TypeError as error:
        raise CheckpointError(f"{path}: damaged, its entries are not those of format {version} ({error}).") from error


def restore(state: TrainState, checkpoint: Checkpoint, source: Path) -> None:
    """Put a checkpoint's weights, optimiser state and progress into `state`.

    The optimiser's options stay those of `state`: a run that goes on with another weight decay gets it, as it gets
    another learning rate, schedule or clip limit.

    Raises:
        CheckpointError: another model, other groups, another optimiser, or a moving average on one side only.
    """
    _refuse_other_model(state.network, checkpoint.model, source)
    if checkpoint.groups != _group_names(state):
        raise CheckpointError(f"{source}: its optimiser groups hold other parameters. Resume with the same freezing.")
    if (checkpoint.ema is None) != (state.ema is None):
        raise CheckpointError(f"{source}: trainer.ema_decay is switched on only on one side. Resume as it was started.")
    if misfit := optimizer_misfit(state.optimizer, checkpoint.optimizer):
        raise CheckpointError(
            f"{source}: its optimiser's state does not fit: {misfit}. Resume with the same optimizer, or start a new "
            f"run from its weights: model.weights={source}"
        )
    state.network.load_state_dict(checkpoint.model)
    # The rate is no option: each step sets it, and a run killed after an epoch's last step takes none before it saves.
    options = [
        {key: value for key, value in group.items() if key not in ("params", "lr")}
        for group in state.optimizer.param_groups
    ]
    state.optimizer.load_state_dict(checkpoint.optimizer)
    for group, option in zip(state.optimizer.param_groups, options, strict=True):
        group.update(option)
    if state.ema is not None and checkpoint.ema is not None:
        state.ema.load_state_dict(checkpoint.ema)
    state.progress = Progress(**checkpoint.progress)


def load_evaluated(network: nn.Module, checkpoint: Checkpoint, source: Path) -> None:
    """Put the weights that validation looked at into `network`.

    Raises:
        CheckpointError: another model.
    """
    weights = checkpoint.evaluated_weights()
    _refuse_other_model(network, weights, source)
    network.load_state_dict(weights)


def _refuse_other_model(network: nn.Module, weights: Mapping[str, torch.Tensor], source: Path) -> None:
    lines = differences(network.state_dict(), weights)
    if lines:
        raise CheckpointError(
            f"{source} is of another model, {listing(lines)}\n"
            "Use the model that it was trained with (model=…, model.backbone=…), or start a new run_dir."
        )


def _group_names(state: TrainState) -> list[list[Any]]:
    return [[group.name, [name for name, _ in group.parameters]] for group in state.groups]
