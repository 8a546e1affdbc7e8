"""How far a checkpoint got, read without torch: its plain values stand in a pickle beside the tensors."""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, cast

from maskrcnn_exp.errors import CheckpointError

__all__ = ["read_progress"]


def read_progress(path: Path) -> dict[str, Any]:
    """Return what `Checkpoint.progress` holds: step, epoch under way, batches done in it, the best so far.

    It takes milliseconds, since no tensor is read, and runs no code of the file. Whether the tensors are whole is for
    `read_checkpoint` to say.

    Raises:
        CheckpointError: absent, not a checkpoint of ours, or its list of contents is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as file:
                content = _NamesOnly(cast(BinaryIO, file)).load()
        progress = {str(key): value for key, value in content["progress"].items()}
        return {**progress, "epoch": int(progress["epoch"]), "step": int(progress["step"])}
    except Exception as error:  # a damaged file fails in zipfile, zlib, the pickle machine, or as a wrong type
        raise CheckpointError(
            f"{path}: absent, damaged, or not a checkpoint of maskrcnn-exp ({type(error).__name__}: {error})."
        ) from error


class _Nothing:
    """Stands for whatever a pickle wants to build."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


class _NamesOnly(pickle.Unpickler):
    """Reads containers, numbers and texts; every class and function but OrderedDict becomes `_Nothing`."""

    def find_class(self, module: str, name: str) -> Any:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Nothing

    def persistent_load(self, pid: Any) -> _Nothing:
        return _Nothing()
