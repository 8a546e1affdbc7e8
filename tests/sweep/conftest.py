"""What the tests of sweeps share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.recipes.conftest import SMALL
from tests.sweep.postgresql import Server, find_binaries, running_server


@pytest.fixture
def small_training() -> tuple[str, ...]:
    """Words that make a real training one of seconds."""
    return tuple(word for word in SMALL if not word.startswith("trainer.epochs="))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A real server. Without its binaries the test is skipped: .ci/run installs them."""
    pytest.importorskip("psycopg", reason="needs pip install 'maskrcnn-exp[postgresql]'")
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    with running_server(binaries) as server:
        yield server
