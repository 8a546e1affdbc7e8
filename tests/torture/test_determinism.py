"""One seed, one set of weights, for any number of loader workers: float32 and bfloat16 on a CPU, and on one GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskrcnn_exp.recipes.train import run
from tests.recipes.conftest import settings_for
from tests.recipes.records import assert_same_checkpoint, assert_same_record

pytestmark = [pytest.mark.timeout(1200)]

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def compare(tmp_path: Path, workers: tuple[int, ...], *words: str) -> None:
    folders = [tmp_path / str(number) for number in workers]
    for number, folder in zip(workers, folders, strict=True):
        run(*settings_for(folder, *words, f"trainer.num_workers={number}", "augment=full"))
    for folder in folders[1:]:
        assert_same_record(folders[0], folder)
        assert_same_checkpoint(folders[0] / "checkpoints/last.pt", folder / "checkpoints/last.pt")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_no_worker_and_two_give_the_same_weights(precision: str, tmp_path: Path) -> None:
    compare(tmp_path, (0, 2), f"trainer.precision={precision}", "trainer.epochs=1")


@pytest.mark.torture
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores, here on purpose
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_any_number_of_workers_gives_the_same_weights(precision: str, tmp_path: Path) -> None:
    compare(tmp_path, (0, 1, 2, 3, 5), f"trainer.precision={precision}")


@NO_GPU
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_one_gpu_gives_the_same_weights_twice(precision: str, tmp_path: Path) -> None:
    compare(tmp_path, (0, 2), f"trainer.precision={precision}", "trainer=gpu", "trainer.deterministic=true")
