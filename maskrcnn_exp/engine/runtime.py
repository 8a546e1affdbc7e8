"""Device, precision, processes and signals."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Literal, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from maskrcnn_exp.errors import ConfigError, Interrupted, UserError
from maskrcnn_exp.stop import STOP_SIGNALS

__all__ = [
    "build_fabric",
    "choose_precision",
    "launch",
    "on_first",
    "pass_signals_on",
    "set_determinism",
    "spawns",
]

# Our own first lines say what Fabric would. Here, because a spawned process imports this before Fabric says it.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

Precision = Literal["32-true", "bf16-mixed"]
_Result = TypeVar("_Result")


def choose_precision(asked: str, accelerator: str) -> tuple[Precision, str]:
    """Return the precision and the reason to print.

    `auto` takes bfloat16 only where the hardware multiplies it fast: a CPU with AMX or AVX512-BF16, a GPU of compute
    capability 8.0 (Ampere) or later. Elsewhere bfloat16 is emulated and slower than float32.
    """
    if asked == "32-true":
        return "32-true", "asked for"
    if asked == "bf16-mixed":
        return "bf16-mixed", "asked for"
    if accelerator == "gpu":
        fast = torch.cuda.get_device_capability() >= (8, 0)
        name = torch.cuda.get_device_name()
        return ("bf16-mixed", f"{name} computes it fast") if fast else ("32-true", f"{name} has no fast bfloat16")
    unit = _cpu_bf16_unit()
    return ("bf16-mixed", f"this CPU has {unit}") if unit else ("32-true", "this CPU has no fast bfloat16")


def _cpu_bf16_unit() -> str | None:
    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if capabilities.get("amx_bf16"):
        return "AMX"
    if capabilities.get("avx512_bf16"):
        return "AVX512-BF16"
    if not capabilities and torch.cpu._is_avx512_bf16_supported():
        return "AVX512-BF16"
    return None


class _Autocast(MixedPrecision):
    """bfloat16 autocast that leaves the inputs as they are.

    Fabric's own converts every floating-point input, target boxes included: rounded to 8 bits, a box of one pixel
    near x = 256 has no width any more.
    """

    def convert_input(self, data: Any) -> Any:
        return data


def build_fabric(accelerator: str, devices: int, nodes: int, precision: Precision) -> Fabric:
    """Return Lightning Fabric for the machine asked for.

    Several devices get one spawned process each; under torchrun or Slurm the processes are already there.

    Raises:
        ConfigError: Slurm's job has other tasks than that.
    """
    # On a cluster's login node, and in a worker of a study there, one process is what was asked for.
    warnings.filterwarnings("ignore", message="The `srun` command is available on your system but is not used")
    strategy = "ddp_spawn" if spawns(devices, nodes) else "ddp" if devices * nodes > 1 else "auto"
    try:
        return Fabric(
            accelerator="cuda" if accelerator == "gpu" else "cpu",
            devices=devices,
            num_nodes=nodes,
            strategy=strategy,
            plugins=[_Autocast("bf16-mixed", "cuda" if accelerator == "gpu" else "cpu")]
            if precision != "32-true"
            else None,
        )
    except RuntimeError as error:
        if "SLURM" not in str(error):
            raise
        raise ConfigError(
            f"Slurm's job does not fit trainer.devices={devices} trainer.nodes={nodes}: {error}"
        ) from error


def spawns(devices: int, nodes: int) -> bool:
    """Say whether this process starts those that train; under torchrun or Slurm it is one of them itself."""
    launched_outside = "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_NTASKS" in os.environ
    return devices > 1 and nodes == 1 and not launched_outside


def launch(fabric: Fabric, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function(fabric, *arguments)` on every process and return what the first one returned.

    Arguments and result cross process borders untouched: Fabric would walk into them, and refuses frozen dataclasses.
    """
    result: _Sealed = fabric.launch(partial(_call, function, arguments))
    return result.content


class _Sealed:
    """A result that Fabric does not look into."""

    def __init__(self, content: Any) -> None:
        self.content = content


def _call(function: Callable[..., Any], arguments: tuple[Any, ...], fabric: Fabric) -> _Sealed:
    # A 1 × 1 kernel has the same bytes in both memory formats; DDP sees other strides and warns of its speed.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    result = _Sealed(function(fabric, *arguments))
    if multiprocessing.parent_process() is not None and torch.distributed.is_initialized():
        # A spawned process that ends with its connections open now and then dies of their threads, with SIGABRT.
        fabric.barrier()
        torch.distributed.destroy_process_group()
        if not fabric.is_global_zero:
            # Nobody asks for its result, and what threads are left would now and then abort it.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
    return result


def on_first(fabric: Fabric, compute: Callable[[], _Result]) -> _Result:
    """Compute on the first process and return the result on all of them; they must all call this.

    An error that a user can cause is raised on all of them too: a process that went on alone would wait for ever.
    """
    if fabric.world_size == 1:
        return compute()
    answer: tuple[Any, UserError | Interrupted | None] = (None, None)
    if fabric.is_global_zero:
        try:
            answer = (compute(), None)
        except (UserError, Interrupted) as error:
            answer = (None, error)
    answer = fabric.broadcast(answer)
    if answer[1] is not None:
        raise answer[1]
    result: _Result = answer[0]
    return result


def set_determinism(deterministic: bool) -> None:
    """Refuse operations whose result depends on thread timing, or allow them."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # a GPU's matrix products ask for it, else refuse
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time, hides nothing here


@contextmanager
def pass_signals_on(spawned: bool) -> Iterator[None]:
    """In the parent of spawned processes, hand signals that ask to stop to them and wait for them to save.

    A terminal's Ctrl-C reaches the children by itself; what is sent to the parent alone does not. A process that trains
    itself must not have these handlers: SIGHUP and SIGUSR1 are left to whoever has them.
    """
    if not spawned:
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            for child in multiprocessing.active_children():
                child.terminate()

    previous = {which: signal.signal(which, handle) for which in STOP_SIGNALS}
    try:
        yield
    finally:
        for which, handler in previous.items():
            signal.signal(which, handler)
