"""The harness: pairs, rows, and the section of the results."""

from __future__ import annotations

import pytest

from benchmarks.bench.pairs import Paired, interleave
from benchmarks.bench.results import END, START, with_section
from benchmarks.bench.row import Row, not_measured, table


def test_the_ratio_is_the_median_over_pairs_not_the_ratio_of_medians() -> None:
    # Pairs 4/2, 9/3, 5/1: ratios 2, 3, 5, median 3; the medians 5 and 2 would give 2.5.
    paired = Paired(ours=(2.0, 3.0, 1.0), reference=(4.0, 9.0, 5.0))
    assert paired.ratio == 3.0
    assert paired.spread == "2.00 to 5.00, 3 pairs"
    assert paired.medians == (2.0, 5.0)


def test_both_sides_of_a_pair_get_its_number_and_take_turns_to_begin() -> None:
    calls: list[tuple[str, int]] = []
    paired = interleave(lambda n: calls.append(("a", n)), lambda n: calls.append(("b", n)), pairs=2, warmup=1)
    assert calls == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert len(paired.ours) == len(paired.reference) == 2


def test_a_row_shows_what_it_has_and_leaves_the_rest_empty() -> None:
    lines = table([Row("step", "0.2 s", "≥ 3", 3.456, "3 to 4"), not_measured("gpu", "≥ 2", "no GPU")]).splitlines()
    assert lines[2] == "| step | 0.2 s | ≥ 3 | 3.46 × | 3 to 4 |  |"
    assert lines[3] == "| gpu | not measured: no GPU | ≥ 2 |  |  |  |"


def test_a_section_replaces_the_last_one_and_nothing_else() -> None:
    once = with_section("# Measured\n\nkept\n", "first")
    twice = with_section(once + "\nafter\n", "second")
    assert twice == f"# Measured\n\nkept\n\n{START}\nsecond\n{END}\n\nafter\n"


def test_a_section_without_an_end_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="has no"):
        with_section(f"a\n{START}\nb\n", "new")
