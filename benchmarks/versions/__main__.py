"""Build an environment for each set of versions, try the program in it, and print the table.

    python -m benchmarks.versions                          every set of benchmarks/versions/sets.py
    python -m benchmarks.versions lowest hydra-1.4         some of them
    python -m benchmarks.versions lowest --tests tests/cli
    python -m benchmarks.versions --audit                  only look for known vulnerabilities: nothing is installed

Needs `uv` on the PATH. An environment takes some 6 GB, is removed when its tests have run, and shares files with the
cache of uv where both lie on one disk. A Python that is not on the machine is not tried, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.versions import advisories
from benchmarks.versions.sets import EXTRAS, SETS, SHOWN, TESTS, VersionSet

_REPOSITORY: Final = Path(__file__).parents[2]
_CONSTRAINTS: Final = _REPOSITORY / "constraints.txt"
_HEAD: Final = f"| set | Python | {' | '.join(SHOWN)} | one step | tests | s |\n{'|---' * (len(SHOWN) + 5)}|"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(each.name for each in SETS)}; all where none is named")
    parser.add_argument("--tests", nargs="+", default=list(TESTS), help="files and folders instead of the chosen ones")
    parser.add_argument("--processes", default="2", help="of pytest")
    parser.add_argument("--folder", type=Path, help="where environments and logs go; a temporary one by default")
    parser.add_argument("--keep", action="store_true", help="leave the environments, and use what is there")
    parser.add_argument("--audit", action="store_true", help="only resolve, and look for known vulnerabilities")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {each.name for each in SETS}
    if unknown:
        parser.error(f"no such set: {', '.join(sorted(unknown))}")
    uv = shutil.which("uv")
    if uv is None:
        parser.error("uv is not on the PATH: pip install uv")
    chosen = [each for each in SETS if not arguments.names or each.name in arguments.names]
    folder = (arguments.folder or Path(tempfile.mkdtemp(prefix="versions_"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    fine = _audit(uv, folder, chosen)
    if not arguments.audit:
        rows = [_row(uv, folder, each, arguments.tests, arguments.processes, arguments.keep) for each in chosen]
        print("\n".join([_HEAD, *(row for row, _ in rows)]), f"\nlogs: {folder}")
        fine &= all(worked for _, worked in rows)
    return 0 if fine else 1


def _audit(uv: str, folder: Path, chosen: Sequence[VersionSet]) -> bool:
    """Print each known vulnerability that constraints.txt or a set's resolution holds; say whether none counts."""
    known = advisories.read(advisories.fetch(uv, folder / "advisories"))
    fine = True
    tested = VersionSet("constraints.txt", "3.11", requirements=tuple(_CONSTRAINTS.read_text().splitlines()))
    for each in (tested, *chosen):
        versions = advisories.pinned(_resolved(uv, each))
        hits = advisories.found(versions, known)
        print(f"{each.name}: {len(versions)} packages, {len(hits)} known vulnerabilities ({advisories.DATE})")
        for package, advisory in hits:
            reason = advisories.ACCEPTED.get(advisory.id)
            fine &= reason is not None
            says = f"accepted: {reason}" if reason else f"{advisory.severity} {advisory.versions}"
            print(f"    {package}: {advisory.id} {advisory.title}; {says}")
    return fine


def _resolved(uv: str, each: VersionSet) -> list[str]:
    """Return the versions that an installation of the set would get, `name==version` a line."""
    how = ["--all-extras", "--python-version", each.python, "--resolution", each.resolution]
    done = _run([uv, "pip", "compile", "--quiet", "--no-header", *how, "pyproject.toml", "-"], each.requirements)
    if done.returncode:
        raise SystemExit(f"{each.name} cannot be resolved: {done.stderr.strip()}")
    return done.stdout.splitlines()


def _row(uv: str, folder: Path, each: VersionSet, tests: Sequence[str], processes: str, keep: bool) -> tuple[str, bool]:
    started = time.perf_counter()
    python = folder / each.name / "bin" / "python"
    problem = None if keep and python.exists() else _install(uv, folder / each.name, each)
    if problem:
        return _line([each.name, each.python, *[""] * len(SHOWN), "not tried", problem, ""]), False
    versions = _versions(python)
    step = _run([str(python), "-m", "maskrcnn_exp", "train", "trainer=debug", f"run_dir={folder / 'runs' / each.name}"])
    mark = ["-m", "not slow and not torture", "-p", "no:cacheprovider", "--numprocesses", processes]
    mark += ["-o", "filterwarnings=default"]  # old packages are told off by newer ones; that is between them
    done = _run([str(python), "-m", "pytest", "-q", *mark, *tests])
    (folder / f"{each.name}.log").write_text(step.stdout + step.stderr + done.stdout + done.stderr, encoding="utf-8")
    if not keep:
        shutil.rmtree(folder / each.name)
    said = (done.stdout.strip().splitlines() or ["nothing"])[-1].strip("= ")
    seconds = f"{time.perf_counter() - started:.0f}"
    cells = [each.name, versions["python"], *(versions[name] for name in SHOWN)]
    return _line(
        [*cells, "done" if step.returncode == 0 else "failed", said, seconds]
    ), not step.returncode + done.returncode


def _install(uv: str, venv: Path, each: VersionSet) -> str | None:
    """Build the environment; return in a line what went wrong."""
    project = f".[{','.join(EXTRAS)}]"
    how = ["--resolution", each.resolution, "--compile-bytecode", "--editable", project, *each.requirements]
    for command in (
        [uv, "venv", "--quiet", "--clear", "--seed", "--python", each.python, str(venv)],
        [uv, "pip", "install", "--quiet", "--python", str(venv / "bin" / "python"), *how],
    ):
        done = _run(command)
        if done.returncode:
            return done.stderr.strip().splitlines()[0]
    return None


def _versions(python: Path) -> dict[str, str]:
    code = (
        "import importlib.metadata as m, json, platform, sys;"
        "print(json.dumps({'python': platform.python_version()} | {name: m.version(name) for name in sys.argv[1:]}))"
    )
    found: dict[str, str] = json.loads(_run([str(python), "-c", code, *SHOWN]).stdout)
    return found


def _run(command: Sequence[str], typed: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    environment.setdefault("OMP_NUM_THREADS", "1")
    lines = "\n".join(typed)
    return subprocess.run(
        command, cwd=_REPOSITORY, env=environment, input=lines, capture_output=True, text=True, check=False
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
