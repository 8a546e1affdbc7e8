"""Fifty epochs of one run, and two hundred trainings in one process: memory does not grow after the warm-up."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_exp.recipes.train import run
from tests.recipes.conftest import settings_for

pytestmark = [pytest.mark.torture, pytest.mark.timeout(3600)]

EPOCHS, TRIALS = 50, 200
SHORT = ("dataset.train_size=8", "dataset.val_size=2", "trainer.preview_pictures=1", "diagnose=warn")


def resident_mib() -> float:
    """Return the process's own memory: neither file pages nor shared ones."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1024


class Watch:
    """A trial that looks at the memory after each epoch."""

    def __init__(self) -> None:
        self.mib: list[float] = []

    def report(self, epoch: int, values: Mapping[str, float]) -> str | None:
        gc.collect()
        self.mib.append(resident_mib())
        return None


def slope(values: list[float]) -> tuple[float, float]:
    """Return the least-squares slope per point and its standard error."""
    x = np.arange(len(values)) - (len(values) - 1) / 2
    y = np.asarray(values) - np.mean(values)
    rise = float(x @ y / (x @ x))
    rest = y - rise * x
    return rise, float(np.sqrt(rest @ rest / (len(values) - 2) / (x @ x)))


def assert_flat(what: str, values: list[float], most_mib: float) -> None:
    rise, error = slope(values)
    print(f"\n{what}: {rise:+.4f} ± {error:.4f} MiB each, {values[0]:.1f} → {values[-1]:.1f} MiB over {len(values)}")
    assert rise - 2 * error < most_mib


def test_fifty_epochs_do_not_grow(tmp_path: Path) -> None:
    watch = Watch()
    run(*settings_for(tmp_path / "run", *SHORT, f"trainer.epochs={EPOCHS}"), watch)
    assert len(watch.mib) == EPOCHS
    assert_flat("epochs", watch.mib[10:], 0.1)


def test_two_hundred_trainings_in_one_process_do_not_grow(tmp_path: Path) -> None:
    mib = []
    for number in range(TRIALS):
        folder = tmp_path / str(number)
        run(*settings_for(folder, *SHORT, "trainer.epochs=1", f"lr.mask_mult={1 + number % 9}"), Watch())
        (folder / "checkpoints/last.pt").unlink()
        (folder / "checkpoints/best.pt").unlink(missing_ok=True)
        gc.collect()
        mib.append(resident_mib())
    assert_flat("trainings", mib[40:], 0.1)
