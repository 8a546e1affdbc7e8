"""Precision, signals and stops."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from maskrcnn_exp.engine.runtime import build_fabric, choose_precision, launch, spawns
from maskrcnn_exp.stop import stop_on_signals


class _Spy(nn.Module):
    """Remembers the dtypes of its inputs and of a matrix product inside."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.seen: list[torch.dtype] = []

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> Tensor:
        product = self.layer(images[0])
        self.seen = [images[0].dtype, targets[0]["boxes"].dtype, product.dtype]
        return product.float().sum()


def test_mixed_precision_multiplies_in_bfloat16_and_leaves_boxes_alone() -> None:
    """A box from y = 255.7 to 256 has no height in bfloat16: found on the real nuclei."""
    fabric = build_fabric("cpu", 1, 1, "bf16-mixed")
    spy = _Spy()
    module = fabric.setup(spy)
    module([torch.rand(2, 4)], [{"boxes": torch.tensor([[0.0, 255.7, 8.0, 256.0]])}])
    assert spy.seen == [torch.float32, torch.float32, torch.bfloat16]


def test_full_precision_multiplies_in_float32() -> None:
    spy = _Spy()
    module = build_fabric("cpu", 1, 1, "32-true").setup(spy)
    module([torch.rand(2, 4)], [{"boxes": torch.zeros(1, 4)}])
    assert spy.seen[2] == torch.float32


@pytest.mark.parametrize("asked", ["32-true", "bf16-mixed"])
def test_a_precision_that_was_asked_for_is_taken(asked: str) -> None:
    assert choose_precision(asked, "cpu") == (asked, "asked for")


def test_automatic_precision_says_why() -> None:
    precision, reason = choose_precision("auto", "cpu")
    assert precision == ("32-true" if "no fast bfloat16" in reason else "bf16-mixed")
    assert "this CPU has" in reason


def test_launch_hands_arguments_and_result_through() -> None:
    fabric = build_fabric("cpu", 1, 1, "32-true")
    assert launch(fabric, lambda given, text: (given is fabric, text), "word") == (True, "word")


@pytest.fixture
def usual_interrupt() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where the tests run with `&` or nohup, which ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_interrupt")
def test_first_signal_sets_the_flag_second_acts_as_usual() -> None:
    said: list[str] = []
    with stop_on_signals(said.append) as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        assert said == ["SIGTERM"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("devices", "nodes", "outside", "expected"),
    [(1, 1, "", False), (2, 1, "", True), (2, 1, "SLURM_NTASKS", False), (2, 1, "TORCHELASTIC_RUN_ID", False)],
)
def test_processes_are_spawned_only_where_nobody_else_started_them(
    devices: int, nodes: int, outside: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that torchrun or srun started trains itself, and has to hear SIGUSR1."""
    for name in ("SLURM_NTASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    if outside:
        monkeypatch.setenv(outside, "2")
    assert spawns(devices, nodes) == expected
