"""A train/val split that depends on the names of the pictures and on nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.errors import DataError

__all__ = ["split_by_name"]


def split_by_name(names: Sequence[str], val_fraction: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the positions of the training and of the validation pictures, each ascending.

    Pictures are ranked by the SHA-256 of their name; the first `val_fraction` of them are held out. So the
    split is the same for any order of the names, on any machine. Both sides get at least one picture.

    Raises:
        DataError: there are fewer than two pictures, or `val_fraction` is not between 0 and 1.
    """
    if not 0.0 < val_fraction < 1.0:
        raise DataError(f"val_fraction={val_fraction} must lie between 0 and 1, both excluded.")
    if len(names) < 2:
        raise DataError(
            f"{len(names)} usable picture cannot be split into training and validation pictures. "
            "Give at least two, or name the validation pictures with dataset.val."
        )
    ranked = sorted(range(len(names)), key=lambda position: (_hash(names[position]), position))
    held_out = min(max(round(val_fraction * len(names)), 1), len(names) - 1)
    return (
        np.sort(np.array(ranked[held_out:], dtype=np.int64)),
        np.sort(np.array(ranked[:held_out], dtype=np.int64)),
    )


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
