"""Every error that a user can cause, one class per reaction.

    UserError                    one message, no traceback
    ├── ConfigError      exit 2  the command line or the configuration
    │   └── BusyError    exit 2  another process works in the folder
    ├── DataError        exit 3  pictures or annotations
    ├── DivergedError    exit 4  a loss or a gradient is no longer finite
    └── CheckpointError  exit 5  a checkpoint is absent, damaged or does not fit
        └── WriteError   exit 5  the disk is full, or a folder of ours is read-only or gone

    Interrupted          exit 130  not an error: SIGINT or SIGTERM came, the state is saved
    Pruned                         not an error: a study stopped this trial, the state is saved

A message says what is wrong, what was found, what was expected, where, and what to do next.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "BusyError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DivergedError",
    "Interrupted",
    "Pruned",
    "UserError",
    "WriteError",
]


class UserError(Exception):
    """Base of the errors that are shown as one message; `exit_code` goes to the shell."""

    exit_code = 1


class ConfigError(UserError):
    """The command line or the configuration asks for something impossible."""

    exit_code = 2

    @classmethod
    def from_problems(cls, problems: Sequence[str]) -> ConfigError:
        """Put all problems of one configuration into one error. `problems` must not be empty."""
        if len(problems) == 1:
            return cls(problems[0])
        lines = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(problems, start=1))
        return cls(f"{len(problems)} problems in the configuration:\n{lines}")


class BusyError(ConfigError):
    """Another process works in the folder; waiting may help."""


class DataError(UserError):
    """A picture, an annotation or a whole dataset cannot be used."""

    exit_code = 3


class DivergedError(UserError):
    """Training stopped because a loss or a gradient became NaN or infinite."""

    exit_code = 4


class CheckpointError(UserError):
    """A checkpoint is absent, damaged, of another format version, or does not fit the model."""

    exit_code = 5

    @classmethod
    def absent(cls, path: object) -> CheckpointError:
        return cls(f"{path}: no such checkpoint. A run keeps its own under checkpoints/last.pt and best.pt.")


class WriteError(CheckpointError):
    """What a run or a study writes cannot be written. What was written before is whole."""

    @classmethod
    def of(cls, error: OSError, folder: Path) -> WriteError | None:
        """Return what to say of an OSError of a run or study in `folder`; None where it is not about writing there."""
        name = error.filename if isinstance(error.filename, str | Path) else None
        inside = name is not None and Path(name).absolute().is_relative_to(folder.absolute())
        if not inside and error.errno not in _CANNOT_WRITE:
            return None
        gone = "" if folder.is_dir() else " (the folder itself is gone)"
        return cls(
            f"{name or folder}: could not be written: {error.strerror or error}{gone}. What was saved before is whole. "
            "Make room on the disk, or mend what keeps the folder from being written, and type the same command again."
        )


_CANNOT_WRITE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.ESTALE))


class Interrupted(Exception):  # noqa: N818 - it names an event, not a fault
    """A signal to stop arrived, or nobody reads the output any more; what was done so far is saved."""

    exit_code = 130


class Pruned(Exception):  # noqa: N818 - it names an event, not a fault
    """A study stopped this trial; what was done so far is saved."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
