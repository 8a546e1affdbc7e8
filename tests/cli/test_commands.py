"""The commands as a shell sees them: help texts, exit codes, one message on stderr."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.commands import run_command, start_command
from tests.recipes.conftest import SMALL

HELP = """Usage: maskrcnn-exp [OPTIONS] COMMAND [ARGS]...

  Train Mask R-CNN with all five losses in sight.

    python -m maskrcnn_exp train                      a small network on drawn shapes, minutes on a CPU
    python -m maskrcnn_exp train lr.mask_mult=10      the mask head learns ten times faster
    python -m maskrcnn_exp check-data dataset=coco dataset.root=FOLDER
    python -m maskrcnn_exp train dataset=coco dataset.root=FOLDER model=mobilenet_v2_fpn
    python -m maskrcnn_exp evaluate checkpoint=runs/maskrcnn/RUN/checkpoints/best.pt
    python -m maskrcnn_exp predict checkpoint=runs/maskrcnn/RUN/checkpoints/best.pt images=pictures output=found
    python -m maskrcnn_exp export runs/maskrcnn/RUN   as ONNX, or as torchvision's own weights
    python -m maskrcnn_exp diagnose runs/maskrcnn/RUN what is wrong, and the command that mends it
    python -m maskrcnn_exp compare runs/maskrcnn/*    which run is better, and why
    tensorboard --logdir runs/maskrcnn

  Exit codes: 0 done · 1 diagnose --fail-on: found · 2 usage or configuration · 3 data ·
  4 training diverged · 5 checkpoint · 130 interrupted, state saved

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  check-data  Check a dataset before training; `check-data --help` says how.
  compare     Say which run is better, why, and whether it is more than noise.
  diagnose    Say what is wrong with runs, and the command that mends it.
  evaluate    Evaluate a checkpoint: `evaluate checkpoint=PATH [overrides]`.
  export      Write a checkpoint as ONNX or torchvision weights.
  predict     Find objects in pictures: overlays, COCO results, label files.
  train       Train; takes Hydra overrides: `train --help` lists them.
"""


def cpu_seconds(*words: str, cwd: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Return the processor time of a command: what it takes on an idle machine, whatever else runs on this one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run_command(*words, cwd=cwd)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, result


def _seconds(measured: tuple[float, object]) -> float:
    return measured[0]


def test_help_is_frozen_and_quick(tmp_path: Path) -> None:
    seconds, result = min((cpu_seconds("--help", cwd=tmp_path) for _ in range(3)), key=_seconds)
    assert result.returncode == 0
    assert result.stdout == HELP
    assert seconds < 0.5


def test_train_help_lists_groups_keys_and_examples(tmp_path: Path) -> None:
    result = run_command("train", "--help", cwd=tmp_path)
    assert result.returncode == 0
    for words in (
        "dataset: coco, labelme, mask_png, shapes, voc, yolo_seg\n",
        "lr: differential, uniform\n",
        "mask_mult: 1.0",
        "lr.mask_mult=10",
    ):
        assert words in result.stdout


def test_evaluate_help(tmp_path: Path) -> None:
    assert "checkpoint=PATH" in run_command("evaluate", "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "lr.mask_mutl=1"], 2, "Config error: unknown key lr.mask_mutl. Did you mean lr.mask_mult?"),
        (["train", "lr.mask_mult=-1", "clip.norm=0"], 2, "Config error: 2 problems in the configuration:"),
        (["train", "lr.mask_mult"], 2, "Config error:"),
        (["trian"], 2, "Error: No such command 'trian'."),
        (["evaluate", "lr.base=1"], 2, "Config error: evaluate needs checkpoint=PATH"),
        (["evaluate", "checkpoint=absent.pt"], 5, "Checkpoint error: absent.pt: no such checkpoint."),
        (["train", "resume=absent.pt"], 5, "Checkpoint error: resume=absent.pt: no such checkpoint."),
        (["train", "replay=absent"], 5, "Checkpoint error: absent: no black box"),
    ],
)
def test_a_users_mistake_is_one_message_and_its_exit_code(
    words: list[str], code: int, message: str, tmp_path: Path
) -> None:
    result = run_command(*words, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train trainer.epochs=0", "trainer.epochs=0 must be ≥ 1."),
        ("evaluate checkpoint=absent.pt", "absent.pt: no such checkpoint"),
        ("predict checkpoint=absent.pt images=. output=found", "absent.pt: no such checkpoint"),
        ("export absent", "absent: no such checkpoint"),
    ],
)
def test_a_mistyped_word_is_answered_before_torch_is_imported(words: str, message: str, tmp_path: Path) -> None:
    seconds, result = min((cpu_seconds(*words.split(), cwd=tmp_path) for _ in range(2)), key=_seconds)
    assert message in result.stderr
    assert seconds < 2


def test_data_mistake_exits_3(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "boxes.json").write_text("{}")
    words = ["dataset=coco", "dataset.train.images=pictures", "dataset.train.annotations=boxes.json"]
    result = run_command("train", *words, cwd=tmp_path)
    assert result.returncode == 3, result.stderr
    assert "boxes.json" in result.stderr
    assert "Traceback" not in result.stderr


def test_cfg_job_prints_the_configuration(tmp_path: Path) -> None:
    result = run_command("train", "--cfg", "job", "lr.mask_mult=7", cwd=tmp_path)
    assert result.returncode == 0
    assert "mask_mult: 7.0" in result.stdout


def test_train_evaluate_and_multirun_from_another_folder(tmp_path: Path) -> None:
    """The three commands of the first page, from a folder that is not the repository."""
    short = [*SMALL, "trainer.epochs=1"]
    trained = run_command("train", *short, "run_dir=out", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "out/.hydra/overrides.yaml").is_file()
    best = tmp_path / "out/checkpoints/best.pt"
    evaluated = run_command("evaluate", f"checkpoint={best}", "output=numbers.json", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    shown = next(line for line in trained.stdout.splitlines() if "Validation Loss" in line)
    assert shown in evaluated.stdout  # the same number, computed again
    assert (tmp_path / "numbers.json").is_file()
    refused = run_command("evaluate", f"checkpoint={best}", "model.fpn_channels=8", cwd=tmp_path)
    assert refused.returncode == 2
    assert "the network is the checkpoint's" in refused.stderr


@pytest.mark.slow
def test_multirun_gives_each_trial_its_folder(tmp_path: Path) -> None:
    swept = run_command("train", "--multirun", *SMALL, "trainer.epochs=1", "lr.mask_mult=1,5", cwd=tmp_path)
    assert swept.returncode == 0, swept.stderr
    trials = sorted(path.parent.parent.name for path in tmp_path.glob("multirun/*/*/checkpoints/last.pt"))
    assert trials == ["0", "1"]
    assert not (tmp_path / "runs").exists()


def test_a_plain_torch_file_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "plain.pt")
    result = run_command("evaluate", "checkpoint=plain.pt", cwd=tmp_path)
    assert result.returncode == 5
    assert "model.weights=plain.pt" in result.stderr


def test_a_search_without_multirun_says_that_it_trains_once(tmp_path: Path) -> None:
    result = run_command("train", "search=mask_head", "trainer.epochs=0", cwd=tmp_path)
    assert result.returncode == 2
    assert "one training without a search: the search takes --multirun" in result.stdout


def test_a_signal_ends_hydras_grid_and_not_only_its_job(tmp_path: Path) -> None:
    words = [*SMALL, "trainer.epochs=50", "lr.mask_mult=1,5,10", "hydra.sweep.dir=grid"]
    process = start_command("train", "--multirun", *words, cwd=tmp_path)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("grid/0/checkpoints/last.pt")) and time.monotonic() < until:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not (tmp_path / "grid/1").exists()
