"""The section of benchmarks/RESULTS.md that `make bench` writes; everything else in the file stays as it is."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.bench.row import Row, table
from maskrcnn_exp.record.atomic import write_text_atomic
from maskrcnn_exp.record.environment import environment

__all__ = ["END", "START", "with_section", "write_section"]

START: Final = "<!-- `make bench` writes from here -->"
END: Final = "<!-- to here -->"
_VERSIONS: Final = ("torch", "torchvision", "lightning-fabric", "pycocotools", "faster-coco-eval", "numpy")


def write_section(path: Path, rows: Sequence[Row], profile: str) -> None:
    """Put the table, the machine and the profile into the file."""
    text = "\n\n".join(["## Speed", _machine(), table(rows), "### Where a step spends its time", profile])
    write_text_atomic(path, with_section(path.read_text(), text))


def with_section(document: str, section: str) -> str:
    """Return the document with the section between its two marks; at its end where it has none."""
    marked = f"{START}\n{section}\n{END}"
    before, start, rest = document.partition(START)
    if not start:
        return f"{document.rstrip()}\n\n{marked}\n"
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{START} has no {END} after it: what comes after the section is not known.")
    return f"{before}{marked}{after}"


def _machine() -> str:
    found: dict[str, Any] = environment()
    cpu, packages = found["cpu"], found["packages"]
    versions = ", ".join(f"{name} {packages[name]}" for name in _VERSIONS)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"`make bench`, {datetime.date.today().isoformat()}: {cpu['model']}, {cpu['usable_cores']} cores "
        f"({', '.join(cpu['flags'])}), {gpu}; {torch.get_num_threads()} threads. "
        f"Python {found['python']}, {versions}.\n\n"
        "Ratios count: both sides run in turns, each in its own process, on the same batches from the same weights. "
        "Seconds are those of this machine on this day."
    )
