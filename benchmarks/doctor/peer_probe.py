"""Run by the interpreter of another environment: what runmedic, losslint and training-doctor say of CSV files.

    VENV/bin/python peer_probe.py FILE… > findings.json

It imports nothing of this project. Each tool gets the same file and its own defaults; where a tool cannot read a file,
that is what it says.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Findings = list[list[str]]  # kind, severity, in the tool's own words


def main() -> None:
    found: dict[str, dict[str, Findings]] = {}
    for name in sys.argv[1:]:
        path = Path(name)
        found[path.stem] = {
            "runmedic": said(runmedic, path),
            "losslint": said(losslint, path),
            "training-doctor": said(training_doctor, path),
        }
    json.dump(found, sys.stdout)


def said(tool: Callable[[Path], Findings], path: Path) -> Findings:
    """Return a tool's findings; how it failed where it did."""
    try:
        return tool(path)
    except Exception as problem:  # a crash of theirs on one file must not lose the others
        return [[f"crashed: {type(problem).__name__}: {problem}"[:200], "none"]]


def runmedic(path: Path) -> Findings:
    answer = json.loads(command("-m", "runmedic", "diagnose", "--json", str(path)))
    return [[finding["check"], finding["severity"]] for run in answer for finding in run["findings"]]


def losslint(path: Path) -> Findings:
    answer = json.loads(command("-m", "losslint.cli", "check", "--format", "json", str(path)))
    return [[finding["check"], finding["severity"]] for finding in answer["findings"]]


def training_doctor(path: Path) -> Findings:
    from training_doctor import Doctor  # type: ignore[import-not-found]

    found = Doctor().load(path).analyze()
    return [[diagnosis.problem, diagnosis.severity.value] for diagnosis in found]


def command(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise RuntimeError(done.stderr.strip()[-150:])
    return done.stdout


if __name__ == "__main__":
    main()
