"""Freed memory is kept for the next step, and the peak is in GiB."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest
import torch

from maskrcnn_exp.engine import memory
from maskrcnn_exp.engine.memory import keep_freed_memory, peak_gib

STEPS = 3

FAULTS_OF_STEPS = f"""
import resource

import torch

from maskrcnn_exp.engine.memory import keep_freed_memory

torch.set_num_threads(1)


def step():
    one = torch.ones(9 * 2**20)  # 36 MiB, more than glibc would ever keep by itself
    other = one + one
    return float(other[-1])


def faults(warm_up):
    for _ in range(warm_up):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({STEPS}):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


print(faults(warm_up=1))
keep_freed_memory()
print(faults(warm_up=10))  # until the heap is as large as a step needs
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told to keep memory")
def test_a_step_takes_its_tensors_from_kept_pages() -> None:
    command = [sys.executable, "-c", FAULTS_OF_STEPS]  # alone, for what is told cannot be taken back
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    usual, kept = map(int, run.stdout.split())
    assert usual >= STEPS * 2 * 18  # even where one fault brings a page of 2 MiB
    assert kept * 10 < usual


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(ctypes, "CDLL", asked.append)
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()
    assert asked == []


def test_a_c_library_without_mallopt_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Musl:
        def __init__(self, name: object) -> None:
            asked.append(name)

    monkeypatch.setattr(ctypes, "CDLL", Musl)
    monkeypatch.setattr(memory.sys, "platform", "linux")
    keep_freed_memory()
    assert asked == [None]  # the process itself was asked


def test_peak_of_a_cpu_is_the_resident_memory_in_gib() -> None:
    before = peak_gib(torch.device("cpu"))
    held = torch.ones(2**26)  # a quarter of a GiB
    after = peak_gib(torch.device("cpu"))
    assert held[-1] == 1
    assert 0.05 < before <= after < before + 1
