"""Processes that torchrun starts: two machines of one process each, and a process that is killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.recipes.conftest import SMALL
from tests.recipes.records import assert_same_checkpoint, assert_same_record

REPOSITORY = Path(__file__).parents[2]

WORDS = (
    *SMALL,
    "trainer=ddp",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "trainer.epochs=3",
    "trainer.preview_pictures=0",
)


def torchrun(folder: Path, *flags: str, words: tuple[str, ...] = ("trainer.devices=2",)) -> subprocess.Popen[str]:
    """Start a training by torchrun, its output in `<folder>.txt`."""
    command = [sys.executable, "-m", "torch.distributed.run", *flags, "-m", "maskrcnn_exp", "train", *WORDS, *words]
    with Path(f"{folder}.txt").open("a") as output:
        return subprocess.Popen(
            [*command, f"run_dir={folder}"],
            cwd=folder.parent,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


def finish(*processes: subprocess.Popen[str], folder: Path) -> None:
    for process in processes:
        assert process.wait(timeout=300) == 0, Path(f"{folder}.txt").read_text()[-4000:]


def workers_of(folder: Path) -> list[int]:
    """The process ids of the trainings in a folder, without torchrun's own."""
    pattern = f"maskrcnn_exp train .*run_dir={folder}$"
    listing = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=True)
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in listing.stdout.split()}
    return [pid for pid, command in commands.items() if "torch.distributed.run" not in command]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchrun") / "undisturbed"
    finish(torchrun(folder, "--standalone", "--nproc-per-node=2"), folder=folder)
    return folder


@pytest.mark.torture
def test_two_machines_learn_what_two_processes_of_one_do(undisturbed: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "two"
    flags = ("--nnodes=2", "--nproc-per-node=1", "--master-addr=localhost", f"--master-port={port}")
    words = ("trainer.devices=1", "trainer.nodes=2")
    nodes = [torchrun(folder, *flags, f"--node-rank={rank}", words=words) for rank in (0, 1)]
    finish(*nodes, folder=folder)
    assert_same_record(undisturbed, folder)
    assert_same_checkpoint(undisturbed / "checkpoints/last.pt", folder / "checkpoints/last.pt")


@pytest.mark.torture
def test_a_killed_process_goes_on_from_the_last_checkpoint(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    started = torchrun(folder, "--standalone", "--nproc-per-node=2", "--max-restarts=2")
    until = time.monotonic() + 240
    while not (folder / "checkpoints/last.pt").is_file():
        assert started.poll() is None, Path(f"{folder}.txt").read_text()[-4000:]
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(workers_of(folder)[-1], signal.SIGKILL)
    finish(started, folder=folder)
    assert "resumed from" in Path(f"{folder}.txt").read_text()
    assert_same_record(undisturbed, folder)
    assert_same_checkpoint(undisturbed / "checkpoints/last.pt", folder / "checkpoints/last.pt")
