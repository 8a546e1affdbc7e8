"""Loggers beside TensorBoard in whole trainings: the real clients, a real MLflow server, and one that is not there."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from maskrcnn_exp.record.history import History
from tests.commands import run_command, start_command
from tests.recipes.conftest import SMALL

SHORT = (*SMALL, "trainer.epochs=1", "trainer.limit_batches=1", "run_dir=run", "seed=5")


def train(folder: Path, *words: str, **variables: str) -> str:
    process = start_command("train", *SHORT, *words, cwd=folder, **variables)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_csv_holds_the_numbers_of_the_record(tmp_path: Path) -> None:
    train(tmp_path, "logger=csv")
    history = History.read(tmp_path / "run")
    with (tmp_path / "run/metrics.csv").open(newline="") as file:
        rows = {(int(row["step"]), row["tag"]): float(row["value"]) for row in csv.DictReader(file)}
    expected = {
        (int(step), tag): float(value)
        for tag in history.tags
        for step, value in zip(history.series(tag).steps, history.series(tag).values, strict=True)
    }
    assert len(rows) > 40
    assert rows == pytest.approx(expected, rel=1e-6)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """MLflow's own server on a database in `folder`; it and its workers end with the context."""
    address = f"http://127.0.0.1:{free_port()}"
    words = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [sys.executable, "-m", "mlflow", "server", *words, "--workers", "1", "--port", address.rpartition(":")[2]]
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder)
    try:
        _wait_for(f"{address}/health", server, folder / "server.log")
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)
        log.close()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(log.read_text())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("flask") is None, reason="mlflow's server is not installed (pip install mlflow)")
def test_mlflow_has_the_run_with_its_numbers_settings_texts_and_pictures(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    with mlflow_server(tmp_path) as address:
        said = train(tmp_path, "logger=[csv,mlflow]", f"logger.mlflow.tracking_uri={address}")
        assert "logger=mlflow" not in said
        train(tmp_path, "logger=mlflow", "trainer.epochs=2", MLFLOW_TRACKING_URI=address)  # goes on as the same run
        client = MlflowClient(address)
        experiment = client.get_experiment_by_name("maskrcnn-exp")
        (run,) = client.search_runs([experiment.experiment_id])
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "run"
        assert run.data.params["seed"] == "5"
        assert run.data.params["model.backbone"] == "resnet18"
        points = client.get_metric_history(run.info.run_id, "loss/train_loss_mask")
        recorded = History.read(tmp_path / "run").series("loss/train_loss_mask")
        assert [point.step for point in points] == [1, 2]
        assert [point.value for point in points] == pytest.approx(list(recorded.values), rel=1e-6)
        assert client.get_metric_history(run.info.run_id, "step/total")
        folders = {path.path for path in client.list_artifacts(run.info.run_id)}
        assert {"texts", "images"} <= folders


@pytest.mark.skipif(find_spec("mlflow") is None, reason="the optional extra mlflow is not installed")
def test_a_server_that_is_not_there_is_one_warning_and_the_training_goes_on(tmp_path: Path) -> None:
    words = ["logger=mlflow", f"logger.mlflow.tracking_uri=http://127.0.0.1:{free_port()}"]
    said = train(tmp_path, *words, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    warnings = [line for line in said.splitlines() if line.startswith("logger=mlflow: ")]
    assert len(warnings) == 1
    assert "The training goes on without it" in warnings[0]
    assert "Epoch 1/1" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.skipif(find_spec("wandb") is None, reason="the optional extra wandb is not installed")
def test_wandb_keeps_the_run_in_its_folder_and_no_key(tmp_path: Path) -> None:
    key = "0123456789abcdef" * 2 + "01234567"
    said = train(tmp_path, "logger=wandb", "logger.wandb.mode=offline", WANDB_API_KEY=key)
    assert "logger=wandb:" not in said
    (kept,) = (tmp_path / "run/wandb").glob("offline-run-*/*.wandb")
    content = kept.read_bytes()
    assert b"loss/train_loss_mask" in content
    assert b"resnet18" in content
    assert list((tmp_path / "run/wandb").glob("offline-run-*/files/media/images/**/*.png"))
    holders = [path for path in (tmp_path / "run").rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert holders == []


def test_a_password_in_an_address_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    words = ["logger=mlflow", "logger.mlflow.tracking_uri=http://me:hunter2@host"]
    done = run_command("train", *SHORT, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "MLFLOW_TRACKING_PASSWORD" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_password_from_the_environment_reaches_no_file(tmp_path: Path) -> None:
    """Hydra writes an interpolation down as it is; what the run writes itself is resolved."""
    words = ["logger.mlflow.tracking_uri='${oc.env:TRACKING}'"]
    train(tmp_path, *words, TRACKING="http://me:hunter2@host")
    holders = [path for path in (tmp_path / "run").rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert holders == []


def test_a_missing_extra_is_one_message_with_its_command(tmp_path: Path) -> None:
    """A package that hides wandb: an import system without it, as a plain installation has."""
    hide = "u.find_spec = lambda name, package=None: None if name == 'wandb' else real(name, package)"
    call = "from maskrcnn_exp.cli import main; main(['train', 'logger=wandb', 'run_dir=run'])"
    code = f"import importlib.util as u; real = u.find_spec; {hide}; {call}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "logger=wandb needs wandb: pip install 'maskrcnn-exp[wandb]'" in done.stderr
