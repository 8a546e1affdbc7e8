"""The diagnose command, and the diagnosis inside of a training."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from maskrcnn_exp.diagnose.live import FILE
from maskrcnn_exp.errors import DataError, DivergedError, Pruned
from maskrcnn_exp.recipes.diagnose import FOUND, run
from maskrcnn_exp.recipes.train import run as train
from maskrcnn_exp.record.history import History
from tests.commands import run_command
from tests.diagnose.recorded import write_run
from tests.recipes.conftest import settings_for

Train = Callable[..., float | None]

SLOW_MASKS = ("lr.mask_mult=0.001", "schedule.warmup_steps=1", "trainer.epochs=6")
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a healthy run, an undertrained one, and one that has only begun."""
    folder = tmp_path_factory.mktemp("study")
    write_run("shapes_mult_1", folder / "0")
    write_run("shapes_mult_0.02", folder / "1")
    begun = write_run("shapes_mult_1", folder / "2")
    for events in begun.glob("events*"):
        events.write_bytes(b"")
    (begun / "environment.json").unlink()
    return folder


def test_each_run_of_a_study_is_diagnosed_and_what_cannot_be_is_named(runs: Path) -> None:
    lines: list[str] = []
    assert run([runs], lines.append) == 0
    text = "\n".join(lines)
    assert "1: epoch 6 of 6 · box AP 0.533 · mask AP 0.315\n\nSEVERE: The mask head is undertrained" in text
    assert "→ python -m maskrcnn_exp train trainer.epochs=6 seed=0 lr.mask_mult=" in text
    assert lines[-1].startswith("left out: ")


def test_a_run_named_alone_must_have_a_record(runs: Path) -> None:
    with pytest.raises(DataError, match="of the five losses are not there"):
        run([runs / "2"], print)


@pytest.mark.parametrize(
    ("which", "severity", "code"),
    [("0", "warning", 0), ("0", "info", FOUND), ("1", "severe", FOUND), ("1", None, 0)],
)
def test_the_exit_code_is_for_continuous_integration(which: str, severity: str | None, code: int, runs: Path) -> None:
    assert run([runs / which], lambda text: None, fail_on=severity) == code  # type: ignore[arg-type]


def test_json_holds_the_verdicts_and_the_command_to_type(runs: Path) -> None:
    lines: list[str] = []
    run([runs / "1"], lines.append, as_json=True)
    (entry,) = json.loads("\n".join(lines))["runs"]
    first = entry["verdicts"][0]
    assert first["rule"] == "undertrained_part"
    assert first["prescription"]["typed"].startswith(
        "python -m maskrcnn_exp train trainer.epochs=6 seed=0 lr.mask_mult="
    )


def test_the_report_has_a_picture_for_each_verdict_with_curves(runs: Path, tmp_path: Path) -> None:
    run([runs / "1"], lambda text: None, report=tmp_path / "report")
    text = (tmp_path / "report/diagnosis.md").read_text()
    assert "![undertrained_part](1_undertrained_part_mask.png)" in text
    assert (tmp_path / "report/1_undertrained_part_mask.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_exits_by_what_it_finds(runs: Path, tmp_path: Path) -> None:
    found = run_command("diagnose", str(runs / "1"), "--fail-on", "severe", cwd=tmp_path)
    assert found.returncode == FOUND
    assert "SEVERE: The mask head is undertrained" in found.stdout
    assert found.stderr == ""
    absent = run_command("diagnose", "absent", cwd=tmp_path)
    assert (absent.returncode, absent.stdout) == (3, "")
    assert absent.stderr.startswith("Data error: absent: no such file or folder.")
    assert run_command("diagnose", cwd=tmp_path).returncode == 2
    assert run_command("diagnose", str(runs / "1"), "--fail-on", "awful", cwd=tmp_path).returncode == 2


def test_the_command_starts_in_under_a_second_and_never_imports_torch(runs: Path) -> None:
    """Processor time: what it takes on an idle machine, whatever else runs on this one."""
    code = (
        "import sys, atexit\n"
        "heavy = {'torch', 'hydra', 'matplotlib', 'optuna'}\n"
        "atexit.register(lambda: print('heavy:', sorted(heavy & set(sys.modules))))\n"
        "from maskrcnn_exp.cli import main\n"
        f"main(['diagnose', {str(runs / '1')!r}])\n"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stdout.splitlines()[-1] == "heavy: []"
    assert min(seconds) < 1


def test_a_training_notes_its_verdicts_in_console_tensorboard_and_file(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_small(*SLOW_MASKS, "trainer.epochs=3")
    printed = capsys.readouterr().out
    marked = [line for line in printed.splitlines() if "loss_mask:" in line and "←" in line]
    assert len(marked) == 2  # the second and the third epoch
    assert all("        ← barely moving: lr.mask_mult=" in line for line in marked)
    assert "diagnosis: The mask head is undertrained" in printed
    content = json.loads((tmp_path / "run" / FILE).read_text())
    assert content["verdicts"][0]["rule"] == "undertrained_part"
    assert list(History.read(tmp_path / "run").texts["diagnosis"]) == [2]


def test_stop_ends_the_run_after_two_severe_epochs_and_that_is_no_error(train_small: Train, tmp_path: Path) -> None:
    assert train_small(*SLOW_MASKS, "diagnose=stop") is not None
    assert History.read(tmp_path / "run").series("loss/train_total").steps.tolist() == [1, 2, 3]


def test_without_the_diagnosis_nothing_is_said_and_no_file_is_written(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_small(*SLOW_MASKS, "trainer.epochs=3", "diagnose=none")
    assert "←" not in capsys.readouterr().out
    assert not (tmp_path / "run" / FILE).exists()


def test_a_nan_is_the_answer_and_the_error_says_what_to_type(train_small: Train, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"diagnosis: .*\n   → python -m maskrcnn_exp train"):
        train_small("lr.base=1e30", "clip=none", "schedule.warmup_steps=0")
    content = json.loads((tmp_path / "run" / FILE).read_text())
    assert content["verdicts"][0]["rule"] == "not_finite"


def test_in_a_study_the_verdict_is_the_reason_to_prune(tmp_path: Path) -> None:
    class Patient:
        def report(self, epoch: int, values: object) -> str | None:
            return None

    config, settings = settings_for(tmp_path / "run", *SLOW_MASKS, "diagnose=stop")
    with pytest.raises(Pruned) as caught:
        train(config, settings, Patient())
    assert caught.value.reason.startswith("The mask head is undertrained")
