"""What a run ran on, so that a number can be explained a year later. Nothing here tells who ran it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from maskrcnn_exp.record.secrets import mask_urls

__all__ = ["environment"]

_PACKAGES: Final = (
    "maskrcnn-exp",
    "torch",
    "torchvision",
    "lightning-fabric",
    "hydra-core",
    "omegaconf",
    "optuna",
    "pycocotools",
    "faster-coco-eval",
    "tensorboard",
    "numpy",
    "pillow",
)
_CPU_FLAGS: Final = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")  # they decide speed and bf16
_GIT_SECONDS: Final = 5.0


def environment(extra: Mapping[str, object] | None = None) -> dict[str, object]:
    """Describe software, machine, code version and command line; `extra` is added and wins.

    Versions are read without importing anything. Holds no environment variables, no host name and no user name:
    the home folder in the command line becomes `~`, the password of a URL `***`. Never fails: what cannot be
    found out is None.
    """
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu(),
        "git": _git(Path(__file__).parent),
        "command": _command_line(sys.argv),
        **(extra or {}),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> dict[str, object]:
    """Model, interesting flags, and cores: those of the machine and those this process may use."""
    fields = _first_processor(Path("/proc/cpuinfo"))
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "model": fields.get("model name") or platform.processor() or None,
        "flags": [flag for flag in _CPU_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "usable_cores": usable,
    }


def _first_processor(cpuinfo: Path) -> dict[str, str]:
    """Read the first block of Linux's processor list; empty on other systems."""
    try:
        block = cpuinfo.read_text(errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _git(folder: Path) -> dict[str, object] | None:
    """Commit of the checkout that `folder` belongs to, and whether it was changed; None outside of one."""
    # An installed package may lie in a folder that some other project's repository ignores.
    if not _run_git(folder, "ls-files"):
        return None
    commit = _run_git(folder, "rev-parse", "HEAD")
    changes = _run_git(folder, "status", "--porcelain", ":/")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _run_git(folder: Path, *arguments: str) -> str | None:
    # Without optional locks, because reading must not touch a repository that somebody works in.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _command_line(arguments: list[str]) -> list[str]:
    home = os.path.expanduser("~")
    hide = home not in ("", "/", "~")
    masked = map(mask_urls, arguments)
    return [argument.replace(home, "~") if hide else argument for argument in masked]
