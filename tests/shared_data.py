"""Where the real pictures and annotation files lie, and the skip for machines that do not have them."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared" / "data"

needs_shared_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"real data absent: no folder {SHARED}")
