"""Where Hydra 1.3 and 1.4 want to be called differently. Everything else works with both."""

from __future__ import annotations

__all__ = ["version_words"]


def version_words() -> dict[str, str]:
    """Return the keyword arguments of `hydra.main` and `initialize_config_dir` that choose the defaults of a version.

    Hydra 1.3 warns unless it is told whose defaults hold. 1.4 warns if it is told, and 1.5 will not take the words.
    """
    import hydra

    major, minor = hydra.__version__.split(".")[:2]
    return {"version_base": "1.3"} if (int(major), int(minor)) < (1, 4) else {}
