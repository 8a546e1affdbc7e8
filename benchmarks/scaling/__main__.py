"""Measure how a study grows, into a table; docs/scaling.md says what follows from it.

    python -m benchmarks.scaling                                             everything; a night on two cores
    python -m benchmarks.scaling --samplers tpe_joint random --sizes 100 300 1000
    python -m benchmarks.scaling --crowd 16 --boards 100 1000 3000           only these
    python -m benchmarks.scaling --growth                                    exponents of the table there is

PostgreSQL is a server of the benchmark's own with fsync off, where its binaries are installed.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import optuna

from benchmarks.scaling.boards import boards
from benchmarks.scaling.crowd import crowd
from benchmarks.scaling.growth import growth
from benchmarks.scaling.matrix import SIZES, Limits, measure_all
from benchmarks.scaling.studies import SAMPLERS
from tests.sweep.postgresql import find_binaries, running_server

_TABLE = Path(__file__).parents[1] / "scaling.csv"
_STORAGES = ("journal", "sqlite", "postgresql")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--storages", nargs="+", choices=_STORAGES, default=list(_STORAGES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--limit", type=float, default=300.0, help="seconds of one point; more are given up")
    parser.add_argument("--crowd", type=int, help="processes that report at the same time, on each storage")
    parser.add_argument("--boards", nargs="+", type=int, help="runs that TensorBoard is started with")
    parser.add_argument("--growth", action="store_true", help="print the exponents of --out")
    parser.add_argument("--out", type=Path, default=_TABLE)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if asked.growth:
        print(growth(asked.out))
        return
    everything = asked.crowd is None and asked.boards is None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaling")))
        storages = _storages(asked.storages, folder, stack)
        if everything:
            limits = Limits(fill_s=asked.limit, point_s=asked.limit)
            measure_all(asked.samplers, storages, asked.sizes, asked.out, folder, limits)
            print(growth(asked.out))
        if asked.crowd or everything:
            crowd(asked.crowd or 16, storages, folder / "crowd")
        if asked.boards or everything:
            boards(asked.boards or [100, 1_000, 3_000], folder / "boards")


def _storages(asked: list[str], folder: Path, stack: ExitStack) -> dict[str, Callable[[], str | None]]:
    known: dict[str, Callable[[], str | None]] = {
        "journal": lambda: None,
        "sqlite": lambda: f"sqlite:///{tempfile.mkdtemp(dir=folder)}/study.db",
    }
    binaries = find_binaries()
    if "postgresql" in asked and binaries is not None:
        known["postgresql"] = stack.enter_context(running_server(binaries)).new_database
    absent = set(asked) - known.keys()
    if absent:
        print(f"left out, no server is installed: {', '.join(absent)}")
    print(f"Python {platform.python_version()}, Optuna {optuna.__version__}, {platform.system()}")
    return {name: known[name] for name in asked if name in known}


if __name__ == "__main__":
    main()
