"""One short training, seen from outside: its folder, its record, its console text, its errors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from maskrcnn_exp.engine.checkpoint import read_checkpoint
from maskrcnn_exp.errors import CheckpointError, ConfigError, DivergedError
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.recipes.replay import run_words as replay
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.tags import EPOCH_TAGS, STEP_TAGS
from tests.recipes.records import assert_same_checkpoint, assert_same_record

Train = Callable[..., float | None]


def test_a_run_leaves_its_record_its_checkpoints_and_its_environment(train_small: Train, tmp_path: Path) -> None:
    value = train_small("trainer.keep_checkpoints=1")
    folder = tmp_path / "run"
    history = History.read(folder)
    always = {tag for tag in EPOCH_TAGS if not tag.startswith("mAP/")}  # mAP of sizes that do not occur is undefined
    assert always | set(STEP_TAGS) <= set(history.tags)
    assert list(history.series("loss/val").steps) == [1, 2]
    assert list(history.series("step/total").steps) == list(range(1, 13))
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.pt", "epoch_0002.pt", "last.pt"]
    assert value == pytest.approx(history.best("mAP/segm_AP", "max")[1])  # the record holds float32
    assert (
        json.loads((folder / "environment.json").read_text())["packages"]["torch"].split("+")[0]
        == torch.__version__.split("+")[0]
    )


def test_losses_add_up_and_shares_add_to_one(train_small: Train, tmp_path: Path) -> None:
    train_small("model.loss_weight.loss_mask=2", "trainer.epochs=1")
    history = History.read(tmp_path / "run")
    losses = {name: history.last(f"loss/train_{name}")[1] for name in LOSSES}
    total = math.fsum(losses.values()) + losses["loss_mask"]  # weight 2
    assert history.last("loss/train_total")[1] == pytest.approx(total, rel=1e-5)
    assert math.fsum(history.last(f"share/{name}")[1] for name in LOSSES) == pytest.approx(1, abs=1e-5)
    assert history.last("share/loss_mask")[1] == pytest.approx(2 * losses["loss_mask"] / total, rel=1e-5)


def test_pictures_and_curves_of_every_evaluation_lie_beside_the_record(train_small: Train, tmp_path: Path) -> None:
    train_small("trainer.preview_pictures=2")
    names = sorted(path.name for path in (tmp_path / "run/pictures").iterdir())
    assert names == [f"epoch_{epoch:05d}.tfevents.maskrcnn-exp" for epoch in (1, 2)]
    train_small("trainer.preview_pictures=0", folder="without")
    assert not (tmp_path / "without/pictures").exists()
    for folder in ("run", "without"):
        for kind in ("boxes", "masks"):
            assert sorted(path.name for path in (tmp_path / folder / "pr_curves" / kind).iterdir()) == names


def test_mask_multiplier_shows_in_table_record_and_update_ratio(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_small("trainer.epochs=1", folder="one")
    capsys.readouterr()
    train_small("trainer.epochs=1", "lr.mask_mult=10", folder="ten")
    table = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if "/decay" in line}
    assert float(table["mask/decay"][3]) == pytest.approx(10 * float(table["box/decay"][3]))
    one, ten = (History.read(tmp_path / name) for name in ("one", "ten"))
    assert ten.last("lr/mask")[1] == pytest.approx(10 * one.last("lr/mask")[1])
    assert ten.last("lr/box")[1] == one.last("lr/box")[1]
    assert ten.last("update_ratio/mask")[1] > 4 * one.last("update_ratio/mask")[1]
    assert ten.last("update_ratio/backbone")[1] < 2 * one.last("update_ratio/backbone")[1]


def test_a_frozen_part_does_not_change_and_keeps_its_groups(train_small: Train, tmp_path: Path) -> None:
    train_small("trainer.epochs=1", "lr.backbone_mult=0", folder="frozen")
    train_small("trainer.epochs=1", folder="free")
    frozen, free = (read_checkpoint(tmp_path / name / "checkpoints/last.pt") for name in ("frozen", "free"))
    assert frozen.groups == free.groups
    assert History.read(tmp_path / "frozen").last("update_ratio/backbone")[1] == 0
    again = History.read(tmp_path / "frozen").last("grad_norm/backbone")
    assert again is not None
    assert again[1] > 0  # the norm is still logged
    started = read_checkpoint(tmp_path / "frozen/checkpoints/last.pt").model["backbone.body.bn1.running_mean"]
    assert torch.equal(started, torch.zeros_like(started))  # and so do the statistics of its norms


def test_console_block_and_last_lines(train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_small("trainer.epochs=1")
    text = capsys.readouterr().out
    block = text[text.index("Epoch 1/1") :].splitlines()
    starts = ["Epoch 1/1", "📊 Training Losses:", "   Total: ", *(f"   {name}: " for name in sorted(LOSSES))]
    starts += ["📈 Validation Loss: ", "📦 Box mAP: ", "🎭 Mask mAP: "]
    assert all(line.startswith(start) for line, start in zip(block, starts, strict=False))
    assert "\x1b" not in text
    assert f"look: tensorboard --logdir {tmp_path}" in text
    assert "again: python -m maskrcnn_exp train dataset.train_size=24" in text


def test_finished_run_resumes_to_nothing_and_a_longer_one_goes_on(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_small("schedule=constant", "trainer.epochs=1", folder="run")
    train_small("schedule=constant", "trainer.epochs=2", folder="run")
    assert "changed since: trainer.epochs 1 → 2" in capsys.readouterr().out
    train_small("schedule=constant", "trainer.epochs=2", folder="whole")
    assert_same_record(tmp_path / "whole", tmp_path / "run")
    assert_same_checkpoint(tmp_path / "whole/checkpoints/last.pt", tmp_path / "run/checkpoints/last.pt")
    before = History.read(tmp_path / "run").series("loss/val").values
    train_small("schedule=constant", "trainer.epochs=2", folder="run")
    said = capsys.readouterr().out
    assert f"nothing is left to train: all 2 epochs of {tmp_path / 'run'} are done. trainer.epochs=4 goes" in said
    assert list(History.read(tmp_path / "run").series("loss/val").values) == list(before)


def test_resume_from_a_file_forks_the_run_with_its_curve(train_small: Train, tmp_path: Path) -> None:
    train_small("trainer.epochs=2", "trainer.keep_checkpoints=2", folder="first")
    source = tmp_path / "first/checkpoints/epoch_0001.pt"
    train_small("trainer.epochs=2", f"resume={source}", folder="fork")
    assert_same_record(tmp_path / "first", tmp_path / "fork")
    assert len(list((tmp_path / "first").glob("events*"))) == 1  # the source keeps its own record


def test_a_fork_learns_by_the_new_settings_not_by_the_checkpoints(train_small: Train, tmp_path: Path) -> None:
    train_small("trainer.epochs=1", folder="first")
    source = tmp_path / "first/checkpoints/last.pt"
    new = ("trainer.epochs=2", "lr.mask_mult=7", "optimizer.weight_decay=0.3", "optimizer.beta1=0.5", "clip.norm=1e-6")
    train_small(*new, f"resume={source}", folder="fork")
    record = History.read(tmp_path / "fork")
    lr_mask, lr_box = (record.series(f"lr/{part}").values for part in ("mask", "box"))
    assert (lr_mask / lr_box).tolist() == pytest.approx([1, 7])  # the first epoch is the source's
    assert record.last("clip/mask") == (2, 1.0)
    groups = read_checkpoint(tmp_path / "fork/checkpoints/last.pt").optimizer["param_groups"]
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}
    assert {tuple(group["betas"]) for group in groups} == {(0.5, 0.999)}


def test_a_run_may_leave_off_early_and_go_on_as_if_it_had_not(train_small: Train, tmp_path: Path) -> None:
    """The schedule is that of trainer.epochs, and the epoch it leaves off after is evaluated like a last one."""
    train_small("trainer.epochs=3", "trainer.eval_every_epochs=3", "trainer.stop_after_epoch=1", folder="run")
    assert History.read(tmp_path / "run").series("loss/val").steps.tolist() == [1]
    train_small("trainer.epochs=3", folder="run")
    train_small("trainer.epochs=3", folder="whole")
    assert_same_record(tmp_path / "whole", tmp_path / "run")


def test_resume_never_refuses_a_folder_that_holds_a_run(train_small: Train) -> None:
    train_small("trainer.epochs=1")
    with pytest.raises(ConfigError, match="holds a run already"):
        train_small("resume=never")


def test_resume_with_another_model_names_the_keys(train_small: Train) -> None:
    train_small("trainer.epochs=1")
    with pytest.raises(CheckpointError, match=r"shape: backbone\.fpn.* is \[16, .*\], the network has \[24"):
        train_small("model.fpn_channels=24")


def test_moving_average_is_what_validation_sees(train_small: Train, tmp_path: Path) -> None:
    train_small("trainer.ema_decay=0.5", "trainer.epochs=1", folder="ema")
    train_small("trainer.epochs=1", folder="plain")
    ema, plain = (History.read(tmp_path / name) for name in ("ema", "plain"))
    assert ema.last("loss/train_total") == plain.last("loss/train_total")
    assert ema.last("loss/val") != plain.last("loss/val")


def test_accumulated_batches_make_one_step(train_small: Train, tmp_path: Path) -> None:
    train_small("trainer.epochs=1", "trainer.accumulate_steps=4")
    assert list(History.read(tmp_path / "run").series("step/total").steps) == [1, 2]  # 6 batches: 4 + 2


def test_limit_batches_limits_training_and_validation_and_says_so(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_small("trainer.epochs=1", "trainer.limit_batches=1")
    assert "trainer.limit_batches=1: a quick look at 1 batches per epoch and 4 validation pictures" in (
        capsys.readouterr().out
    )
    assert list(History.read(tmp_path / "run").series("step/total").steps) == [1]


def test_early_stopping_counts_evaluations_without_a_better_monitor(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A learning rate of almost nothing leaves every validation loss the same: the first one stays the best.
    train_small(
        "trainer.epochs=9",
        "lr.base=1e-30",
        "model.backbone_norm=frozen_bn",
        "trainer.monitor=loss/val",
        "trainer.early_stop_evals=2",
    )
    assert "stopped early: 2 evaluations without a better loss/val" in capsys.readouterr().out
    assert list(History.read(tmp_path / "run").series("loss/val").steps) == [1, 2, 3]


def test_an_exploding_run_stops_within_the_step_and_leaves_a_black_box(train_small: Train, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="weights were not touched") as caught:
        train_small("lr.base=1e30", "clip=none", "trainer.checkpoint_every_steps=1", "schedule.warmup_steps=0")
    (box,) = (tmp_path / "run/black_box").iterdir()
    assert str(box) in str(caught.value)
    report = json.loads((box / "report.json").read_text())
    assert report["step"] == 2  # the first step blew the weights up, the second saw it
    assert len(report["pictures"]) == 4
    assert all(picture["annotation_ids"] for picture in report["pictures"])
    assert set(report["steps"][-1]["losses"]) == set(LOSSES)
    assert set(report["steps"][-1]["lr"]) == set(PARTS)
    last = read_checkpoint(tmp_path / "run/checkpoints/last.pt")
    assert last.progress["step"] == 1
    with pytest.raises(DivergedError, match="step 2 is not finite again"):
        replay([f"replay={box}"])


def test_a_replayed_step_gives_the_same_losses(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The black box's state, seeds and batch make the same numbers, here of a step made to fail by an infinite LR."""
    with pytest.raises(DivergedError):
        train_small("lr.base=1e30", "clip=none", "schedule.warmup_steps=0")
    (box,) = (tmp_path / "run/black_box").iterdir()
    cause = json.loads((box / "report.json").read_text())["cause"]
    capsys.readouterr()
    with pytest.raises(DivergedError):
        replay([f"replay={box}"])
    text = capsys.readouterr().out
    assert f"then: {cause}" in text
    assert text.count(" alone: ") == 4
