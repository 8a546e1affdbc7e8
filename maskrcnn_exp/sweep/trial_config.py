"""The sweep's configuration as it is written down and as its trials get it: with the study's folder, no password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from maskrcnn_exp.override_keys import bare_key
from maskrcnn_exp.record.atomic import write_text_atomic
from maskrcnn_exp.record.secrets import mask_urls
from maskrcnn_exp.sweep.storage import StorageSpec
from maskrcnn_exp.sweep.words import value_text

__all__ = ["save_config", "trial_config"]

_OURS: Final = ("hydra.sweeper.storage", "hydra.sweep.dir", "hydra.sweep.subdir")
"""Keys whose words the trials do not get as they were typed."""
_NUMBER: Final = "${hydra.job.num}"  # a trial's folder, whatever hydra.sweep.subdir says
_INTERPOLATION: Final = re.compile(r"(\\*)\$\{")


def save_config(config: Any, folder: Path) -> None:
    """Write `multirun.yaml` into the study's folder, as Hydra's own sweeper does."""
    from omegaconf import OmegaConf

    text = mask_urls(OmegaConf.to_yaml(config))
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomic(folder / "multirun.yaml", text)


def trial_config(config: Any, spec: StorageSpec) -> Any:
    """Return the sweep's configuration as its trials get it: with the study's folder, without a password.

    Hydra composes each trial anew from `hydra.overrides`, so that is where the folder must stand.
    """
    from omegaconf import OmegaConf, open_dict, read_write

    changed = config.copy()
    folder, url = _literal(str(spec.folder)), None if spec.url is None else _literal(spec.shown)
    with read_write(changed.hydra), open_dict(changed.hydra):
        # Unresolved: ${hydra.job.num} is each trial's own.
        typed: Any = OmegaConf.to_container(changed.hydra.overrides.hydra, resolve=False)
        words = [_masked(word) for word in typed if not _is_ours(bare_key(word))]
        words += [f"hydra.sweep.dir={value_text(folder)}", f"hydra.sweep.subdir='{_NUMBER}'"]
        if url is not None:
            words.append(f"hydra.sweeper.storage={value_text(url)}")
        changed.hydra.overrides.hydra = words
        changed.hydra.sweep.dir, changed.hydra.sweep.subdir = folder, _NUMBER
        if "storage" in changed.hydra.sweeper:
            changed.hydra.sweeper.storage = url
    return changed


def _masked(word: str) -> str:
    """Mask passwords, but for what the trial itself gets into its environment: it would log in with three stars."""
    return word if bare_key(word).startswith("hydra.job.env_set.") else mask_urls(word)


def _is_ours(key: str) -> bool:
    return any(key == ours or key.startswith(f"{ours}.") for ours in _OURS)


def _literal(text: str) -> str:
    """Escape what OmegaConf would take for an interpolation."""
    return _INTERPOLATION.sub(lambda match: f"{match[1]}{match[1]}\\${{", text)
