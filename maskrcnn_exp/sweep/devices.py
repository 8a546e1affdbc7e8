"""Which part of this machine a worker gets: its own GPU, or its share of the processor's threads."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["device_shares", "environment"]


def device_shares(n_jobs: int, devices_each: int = 1) -> list[dict[str, str]]:
    """Return each worker's environment: its GPUs where there are some, else its share of the processor's threads.

    Args:
        n_jobs: Workers. With more of them than GPUs (or groups of `devices_each` GPUs) some share theirs.
        devices_each: Devices of one trial; on a processor the processes that share a worker's threads.
    """
    gpus = _visible_gpus()
    if gpus:
        whole = max(1, len(gpus) // devices_each)  # what is left over would be too few for a trial
        groups = [gpus[place * devices_each : (place + 1) * devices_each] for place in range(whole)]
        return [{"CUDA_VISIBLE_DEVICES": ",".join(groups[place % len(groups)])} for place in range(n_jobs)]
    if n_jobs == 1 and devices_each == 1:
        return [{}]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(1, cores // (n_jobs * devices_each)))
    return [{"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads} for _ in range(n_jobs)]


def _visible_gpus() -> list[str]:
    """Name the GPUs without importing torch, which takes seconds."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip() not in ("", "-1")]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, line in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while the context is open: a process that is started in it inherits them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
