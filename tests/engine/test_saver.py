"""A checkpoint is of the moment of its save, written by a thread, whole before the training is over."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from maskrcnn_exp.engine.checkpoint import Checkpoint, read_checkpoint
from maskrcnn_exp.engine.checkpoint_folder import CheckpointFolder
from maskrcnn_exp.engine.meter import EpochMeter
from maskrcnn_exp.engine.saver import RunIdentity, Saver
from maskrcnn_exp.engine.state import TrainState
from maskrcnn_exp.errors import CheckpointError, DivergedError
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record.run_log import RunLog


class HeldFolder(CheckpointFolder):
    """A disk that writes when it is told to, and remembers how many writes there were at once."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go = threading.Event()
        self.under_way, self.most_under_way = 0, 0
        self.hurry: threading.Event | None = None

    def save(
        self,
        checkpoint: Checkpoint,
        *,
        best: bool = False,
        epoch: int | None = None,
        hurry: threading.Event | None = None,
    ) -> None:
        self.hurry = hurry
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        assert self.go.wait(60)
        super().save(checkpoint, best=best, epoch=epoch, hurry=hurry)
        self.under_way -= 1


def saver_of(folder: CheckpointFolder, log: RunLog | None = None) -> Saver:
    network = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(3)).sum().backward()
    optimizer.step()
    state: Any = TrainState(
        fabric=Fabric(accelerator="cpu", devices=1),
        module=network,
        network=network,  # type: ignore[arg-type]  # of a network only its tensors are saved
        optimizer=optimizer,
        groups=[],
        policy=None,  # type: ignore[arg-type]
        schedule=None,  # type: ignore[arg-type]
        limits=None,  # type: ignore[arg-type]
        loss_weights=dict.fromkeys(LOSSES, 1.0),
    )
    identity = RunIdentity([[1, "cat"]], 100, "", [])
    return Saver(folder, state, EpochMeter(state.loss_weights), log or RunLog.disabled(), identity, 0, 0.0)


def test_the_moment_is_that_of_the_save_whatever_is_trained_while_it_is_written(tmp_path: Path) -> None:
    folder = HeldFolder(tmp_path)
    with saver_of(folder) as saver:
        weight, moment = saver.state.network.weight, saver.state.optimizer.state_dict()["state"][0]["exp_avg"].clone()
        before = weight.detach().clone()
        saver.save()
        assert not folder.last.exists()  # the training goes on
        weight.data.fill_(9.0)
        saver.state.optimizer.state_dict()["state"][0]["exp_avg"].fill_(9.0)
        saver.state.progress.step = 77
        folder.go.set()
        saver.wait()
        saved = read_checkpoint(folder.last)
    assert torch.equal(saved.model["weight"], before)
    assert torch.equal(saved.optimizer["state"][0]["exp_avg"], moment)
    assert saved.progress["step"] == 0


def test_checkpoints_are_written_one_at_a_time_each_with_its_own_moment(tmp_path: Path) -> None:
    folder = HeldFolder(tmp_path)
    folder.keep = 3
    with saver_of(folder) as saver:
        for epoch in (1, 2, 3):
            saver.state.network.weight.data.fill_(float(epoch))
            saver.save(best=epoch == 2, epoch=epoch)  # from the second on this waits for the one before
            folder.go.set()
    names = {"epoch_0001.pt": 1, "epoch_0002.pt": 2, "epoch_0003.pt": 3, "best.pt": 2, "last.pt": 3}
    for name, value in names.items():
        assert read_checkpoint(tmp_path / name).model["weight"][0, 0].item() == value
    assert folder.most_under_way == 1


def test_a_write_takes_its_time_until_somebody_waits_for_it(tmp_path: Path) -> None:
    folder = HeldFolder(tmp_path)
    folder.go.set()
    with saver_of(folder) as saver:
        for _ in range(2):
            saver.save()
            assert not saver._hurry.is_set()
            saver.wait()
            assert folder.hurry is not None
            assert folder.hurry.is_set()


def diverge_after_a_save(saver: Saver) -> None:
    with saver:
        saver.save()
        raise DivergedError("loss_mask = nan")


def test_the_last_checkpoint_is_on_the_disk_when_the_training_is_over(tmp_path: Path) -> None:
    folder = HeldFolder(tmp_path)
    threading.Timer(0.05, folder.go.set).start()
    with pytest.raises(DivergedError):
        diverge_after_a_save(saver_of(folder))
    assert folder.last.is_file()


def test_the_record_that_a_checkpoint_counts_on_is_in_the_file_at_the_save(tmp_path: Path) -> None:
    with RunLog.open(tmp_path / "run") as log, saver_of(CheckpointFolder(tmp_path), log) as saver:
        log.step(1, {"step/total": 1.0})
        saver.save()
        (record,) = (tmp_path / "run").iterdir()
        size = record.stat().st_size
        log.step(2, {"step/total": 1.0})
        saver.wait()
        assert read_checkpoint(saver.folder.last).record_offset == size < record.stat().st_size


def failing(tmp_path: Path) -> CheckpointFolder:
    (tmp_path / "file").write_text("")
    return CheckpointFolder(tmp_path / "file/checkpoints")


def test_a_failed_write_is_told_at_the_next_save_and_at_the_end(tmp_path: Path) -> None:
    saver = saver_of(failing(tmp_path))
    saver.save()
    message = r"last\.pt: the checkpoint could not be written: Not a directory\. There is none before it\. Make room"
    for _ in range(2):
        with pytest.raises(CheckpointError, match=message):
            saver.save()
        with pytest.raises(CheckpointError, match=message):
            saver.wait()
    with pytest.raises(CheckpointError, match=message), saver:
        pass


def test_a_failed_write_names_the_good_one_before_it(tmp_path: Path) -> None:
    saver = saver_of(CheckpointFolder(tmp_path))
    saver.save()
    saver.wait()
    saver.folder.best.mkdir()  # no file can take its place
    saver.save(best=True)
    with pytest.raises(
        CheckpointError, match=r"Is a directory\. The one before it is whole: the run goes on from there"
    ):
        saver.wait()


def test_a_failed_write_does_not_hide_what_ended_the_training(tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        diverge_after_a_save(saver_of(failing(tmp_path)))


def test_the_second_save_copies_into_the_memory_of_the_first(tmp_path: Path) -> None:
    with saver_of(CheckpointFolder(tmp_path)) as saver:
        saver.save()
        first = {where: tensor.data_ptr() for where, tensor in saver._memory._tensors.items()}
        saver.save()
        assert {where: tensor.data_ptr() for where, tensor in saver._memory._tensors.items()} == first
    assert len(first) == 2 * 4  # weight and bias: themselves, two averages, the count of steps
