"""What the long forms share with the tests of sweeps."""

from __future__ import annotations

from tests.sweep.conftest import postgresql

__all__ = ["postgresql"]
