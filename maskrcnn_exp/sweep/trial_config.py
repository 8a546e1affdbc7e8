"""The sweep's configuration as it is written down and as its trials get it: with the study's folder, no password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskrcnn_exp.record.atomic import write_atomic
from maskrcnn_exp.record.secrets import mask_urls
from maskrcnn_exp.sweep.storage import StorageSpec

__all__ = ["save_config", "trial_config"]


def save_config(config: Any, folder: Path) -> None:
    """Write `multirun.yaml` into the study's folder, as Hydra's own sweeper does."""
    from omegaconf import OmegaConf

    text = mask_urls(OmegaConf.to_yaml(config))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "multirun.yaml", lambda file: _write(file, text))


def trial_config(config: Any, spec: StorageSpec) -> Any:
    """Return the sweep's configuration as its trials get it: with the study's folder, without a password.

    Hydra composes each trial anew from `hydra.overrides`, so that is where the folder must stand.
    """
    from omegaconf import open_dict, read_write

    changed = config.copy()
    with read_write(changed), open_dict(changed):
        words = [
            word
            for word in map(str, changed.hydra.overrides.hydra)
            if not word.lstrip("+").startswith(("hydra.sweeper.storage=", "hydra.sweep.dir="))
        ]
        words.append(f"hydra.sweep.dir={_quoted(str(spec.folder))}")
        if spec.url is not None:
            words.append(f"hydra.sweeper.storage={_quoted(spec.shown)}")
        changed.hydra.overrides.hydra = words
        changed.hydra.sweep.dir = str(spec.folder)
        if "storage" in changed.hydra.sweeper:
            changed.hydra.sweeper.storage = None if spec.url is None else spec.shown
    return changed


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _write(file: Any, text: str) -> None:
    file.write(text.encode())
