"""Which folder is which study's. A study has one folder, on however many machines; a folder has one study."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.record.atomic import write_text_atomic
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.presence import a_worker_lives

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["came_to_nothing", "check_folder", "claim_folder", "put_aside"]

_FILE: Final = ".study_id"  # two lines: a random id, which the study's storage has too, and the study's name
_EARLIER: Final = ".earlier"


class _Owner(NamedTuple):
    study_id: str
    study_name: str


def check_folder(folder: Path, study_name: str, study: Study | None) -> None:
    """Refuse a folder that is another study's, and a study whose folder is another one. Writes nothing.

    Workers look for each other's locks in the folder, and trials for their checkpoints: in a second folder the living
    would look dead. Paths are not compared, since each machine may have the same folder elsewhere.

    Args:
        folder: What the command calls the study's folder; it may be absent.
        study_name: What the command calls the study.
        study: None where the storage has none of this name yet.

    Raises:
        ConfigError: folder and study do not belong together.
    """
    owner = _read(folder)
    if owner is not None and owner.study_name != study_name:
        raise ConfigError(
            f"{folder} belongs to study {owner.study_name}, not to {study_name}: its trials are numbered there. Give "
            f"hydra.sweep.dir=… another folder, or hydra.sweeper.study_name={owner.study_name} to go on with that one."
        )
    known = None if study is None else study.user_attrs.get(attrs.STUDY_ID)
    if known is not None and (owner is None or owner.study_id != known):
        home = study.user_attrs.get(attrs.HOME) if study is not None else None
        raise ConfigError(
            f"study {study_name} belongs to another folder than {folder}: it was made in {home}, where its trials' "
            "records and checkpoints are. Give that folder with hydra.sweep.dir=…, as this machine sees it, or "
            "hydra.sweeper.study_name=… a new name."
        )
    is_empty = study is None or not study.get_trials(deepcopy=False)
    if known is None and is_empty and any(_trial_folders(folder)):
        raise ConfigError(
            f"{folder} holds trials already, and study {study_name} has none: they are another study's, or of another "
            "storage. Give hydra.sweep.dir=… another folder, or hydra.sweeper.study_name=… another name."
        )


def claim_folder(study: Study, folder: Path, *, is_new: bool) -> None:
    """Give study and folder the same id, where they have none yet. The caller holds the study's lock."""
    if study.user_attrs.get(attrs.STUDY_ID) is not None:
        return
    owner = _read(folder)
    # A new study gets a new id: one of this name in another storage, without trials, may have had the folder before.
    if owner is None or is_new:
        owner = _Owner(uuid.uuid4().hex, study.study_name)
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(folder / _FILE, f"{owner.study_id}\n{owner.study_name}\n")
    study.set_user_attr(attrs.HOME, f"{platform.node()}:{folder}")
    study.set_user_attr(attrs.STUDY_ID, owner.study_id)


def came_to_nothing(study: Study, folder: Path) -> bool:
    """Say whether a study has nothing worth keeping: no trial ended well, none runs, none left a checkpoint."""
    states = {trial.state.name for trial in study.get_trials(deepcopy=False)}
    if states & {"COMPLETE", "PRUNED", "RUNNING"}:
        return False
    return not any(folder.glob("[0-9]*/checkpoints/*.pt")) and not a_worker_lives(folder)


def put_aside(folder: Path) -> None:
    """Move the trials' folders out of the way of a study that starts over; what they printed can still be read."""
    aside = folder / _EARLIER / uuid.uuid4().hex[:8]
    for path in list(_trial_folders(folder)):
        aside.mkdir(parents=True, exist_ok=True)
        path.rename(aside / path.name)


def _trial_folders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("[0-9]*") if path.name.isdecimal() and path.is_dir())


def _read(folder: Path) -> _Owner | None:
    try:
        text = (folder / _FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    study_id, _, study_name = text.partition("\n")
    return _Owner(study_id, study_name.rstrip("\n"))
