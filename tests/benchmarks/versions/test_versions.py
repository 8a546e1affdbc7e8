"""Known vulnerabilities are matched by range, and what is pinned and tried lies within the declared bounds."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from benchmarks.versions.advisories import Advisory, found, pinned, read
from benchmarks.versions.sets import EXTRAS, SETS, TESTS

REPOSITORY = Path(__file__).parents[3]


def bounds() -> dict[str, SpecifierSet]:
    """The bounds of pyproject.toml by canonical name, those of its extras too."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    return {canonicalize_name(each.name): each.specifier for each in map(Requirement, lines)}


@pytest.mark.parametrize(
    ("versions", "version", "falls_under"),
    [
        ("<12.2.0", "12.1.1", True),
        ("<12.2.0", "12.2.0", False),
        (">=11.2.1,<12.2.0", "11.2.0", False),
        ("<=2.12.0", "2.12.0", True),
        ("<3.9.0rc0", "3.8.1", True),
        ("<1.4.1", "1.4.0rc3", True),  # a pre-release is older than what mends it
    ],
)
def test_a_version_falls_under_the_range_of_an_advisory(versions: str, version: str, falls_under: bool) -> None:
    advisory = Advisory("GHSA-1", "HIGH", versions, "says what")
    hits = found({"some-package": version}, {"some-package": [advisory]})
    assert hits == ([(f"some-package {version}", advisory)] if falls_under else [])


def test_names_are_matched_however_they_are_spelt(tmp_path: Path) -> None:
    (tmp_path / "db.json").write_text(
        '{"Some_Package": [{"id": "GHSA-1", "severity": "LOW", "v": "<2", "advisory": "says what", "cve": "N/A"}]}'
    )
    versions = pinned(["some.package==1.0  # why", "-e file:///here", "# other==2", "next==3 ; python_version > '3'"])
    assert versions == {"some-package": "1.0", "next": "3"}
    assert [package for package, _ in found(versions, read(tmp_path / "db.json"))] == ["some-package 1.0"]


def test_every_pinned_version_lies_within_the_declared_bounds() -> None:
    declared = bounds()
    pins = pinned((REPOSITORY / "constraints.txt").read_text().splitlines())
    assert pins
    outside = [f"{name}=={pin}" for name, pin in pins.items() if name in declared and pin not in declared[name]]
    assert not outside


def test_sets_try_versions_that_the_bounds_admit() -> None:
    declared = bounds()
    for requirement in map(Requirement, (line for each in SETS for line in each.requirements)):
        (specifier,) = requirement.specifier
        if specifier.operator == ">=":  # a lower bound of a set is a version that it tries
            assert declared[canonicalize_name(requirement.name)].contains(specifier.version, prereleases=True)


def test_sets_take_all_extras_and_tests_that_exist() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"])
    assert [test for test in TESTS if not (REPOSITORY / test).exists()] == []
