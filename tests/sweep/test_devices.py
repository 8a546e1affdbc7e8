"""Which part of the machine a worker gets."""

from __future__ import annotations

import os

import pytest

from maskrcnn_exp.sweep.devices import device_shares, environment


@pytest.mark.parametrize(
    ("visible", "n_jobs", "each", "expected"),
    [
        ("0,1,2,3", 4, 1, ["0", "1", "2", "3"]),
        ("4,5", 3, 1, ["4", "5", "4"]),  # more workers than GPUs: two share one
        ("0,1,2,3", 2, 2, ["0,1", "2,3"]),
        ("0,1,2", 2, 2, ["0,1", "0,1"]),  # the third alone is too few for a trial
        ("GPU-a,GPU-b", 2, 1, ["GPU-a", "GPU-b"]),
    ],
)
def test_each_worker_gets_its_own_gpus(
    visible: str, n_jobs: int, each: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [share["CUDA_VISIBLE_DEVICES"] for share in device_shares(n_jobs, each)] == expected


@pytest.mark.parametrize(("n_jobs", "each", "threads"), [(2, 1, "4"), (4, 2, "1"), (20, 1, "1"), (1, 2, "4")])
def test_without_gpus_workers_share_the_threads(
    n_jobs: int, each: int, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [share["OMP_NUM_THREADS"] for share in device_shares(n_jobs, each)] == [threads] * n_jobs


def test_a_worker_alone_gets_the_machine_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device_shares(1) == [{}]


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with environment({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("1", "1")
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
