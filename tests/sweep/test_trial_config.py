"""What the trials get of the sweep's configuration, composed by Hydra as for a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from maskrcnn_exp.hydra_version import version_words
from maskrcnn_exp.sweep.storage import StorageSpec
from maskrcnn_exp.sweep.trial_config import trial_config
from tests.sweep.sweeps import APP, MULT, sweep

URL = "postgresql://ana:s3cret@host/studies"


def composed(*words: str) -> Any:
    with initialize_config_dir(str(APP.parent), **version_words()):
        return compose("config", overrides=list(words), return_hydra_config=True)


def words_of(spec: StorageSpec, *typed: str) -> list[str]:
    """Return the words about Hydra of each trial of a sweep that was started with `typed`."""
    config = composed()
    config.hydra.overrides.hydra = list(typed)
    OmegaConf.set_readonly(config.hydra, True)  # as a sweeper gets it from Hydra 1.4
    words: Any = OmegaConf.to_container(trial_config(config, spec).hydra.overrides.hydra, resolve=False)
    return list(words)


@pytest.mark.parametrize(
    "word",
    [
        f"hydra.sweeper.storage='{URL}'",
        f"++hydra.sweeper.storage='{URL}'",
        f"+hydra.sweeper.storage.url={URL}",
        f"hydra.sweeper={{storage:'{URL}'}}",
        f"+hydra.job.name='{URL}'",
    ],
)
def test_no_form_of_a_word_carries_a_password_to_the_trials(word: str, tmp_path: Path) -> None:
    words = words_of(StorageSpec(tmp_path, URL), word)
    assert "s3cret" not in str(words)
    assert words[-1] == "hydra.sweeper.storage='postgresql://ana:***@host/studies'"


def test_a_trials_own_environment_reaches_it_whole(tmp_path: Path) -> None:
    """Who sets a login for the trial must not find three stars in it."""
    word = "+hydra.job.env_set.OTHER=https://ana:own@host/data"
    assert word in words_of(StorageSpec(tmp_path, URL), word)


def test_words_of_a_trials_own_are_resolved_by_the_trial(tmp_path: Path) -> None:
    words = words_of(StorageSpec(tmp_path), "+hydra.job.env_set.NUMBER=${hydra.job.num}")
    assert words[0] == "+hydra.job.env_set.NUMBER=${hydra.job.num}"


@pytest.mark.parametrize(
    "name", ["plain", "with space", "it's", "back\\slash", "back\\", "a,b=c", "${x}", "\\${x}", "$x"]
)
def test_a_folder_of_any_name_reaches_the_trials_as_it_is(name: str, tmp_path: Path) -> None:
    spec = StorageSpec(tmp_path / name)
    assert composed(*words_of(spec, "hydra.sweep.dir=another")).hydra.sweep.dir == str(spec.folder)
    config = composed()
    assert trial_config(config, spec).hydra.sweep.dir == str(spec.folder)


def test_trials_are_numbered_whatever_the_subfolder_and_share_an_sqlite_file_from_their_own_folders(
    tmp_path: Path,
) -> None:
    done = sweep(
        tmp_path,
        MULT,
        "hydra.sweep.dir='back\\slash'",
        "hydra.sweep.subdir=t${hydra.job.num}_${hydra.job.override_dirname}",
        "hydra.job.chdir=true",
        "hydra.sweeper.storage=sqlite:///study.db",
        "hydra.sweeper.n_trials=2",
        "epochs=2",
    )
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in (tmp_path / "back\\slash").iterdir() if path.is_dir())[-2:] == ["0", "1"]
    assert sorted(tmp_path.rglob("study.db")) == [tmp_path / "study.db"]
