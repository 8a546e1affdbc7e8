"""Where Hydra 1.3 and 1.4 want to be called differently. Everything else works with both."""

from __future__ import annotations

from typing import Any

__all__ = ["cast_range", "version_words"]


def version_words() -> dict[str, str]:
    """Return the keyword arguments of `hydra.main` and `initialize_config_dir` that choose the defaults of a version.

    Hydra 1.3 warns unless it is told whose defaults hold. 1.4 warns if it is told, and 1.5 will not take the words.
    """
    import hydra

    major, minor = hydra.__version__.split(".")[:2]
    return {"version_base": "1.3"} if (int(major), int(minor)) < (1, 4) else {}


def cast_range(sweep: Any) -> None:
    """Do to a range what its cast says, as Hydra 1.3 does: int(range(1.0, 4.0)) begins at 1.

    Hydra 1.4 keeps the cast beside the range, for each value that comes out of it.
    """
    for cast in getattr(sweep, "transformers", ()):
        sweep.start, sweep.stop, sweep.step = cast(sweep.start), cast(sweep.stop), cast(sweep.step)
        sweep.transformers = ()
