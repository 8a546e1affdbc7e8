"""When two commands are the same study, and when they must not be."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep.identity import check_identity, default_name, study_folder
from maskrcnn_exp.sweep.space import SearchSpace, parse_space

MULT = "lr.mask_mult=tag(log, interval(0.1, 30))"


def space(*words: str) -> SearchSpace:
    return parse_space(words)


@pytest.mark.parametrize(
    ("words", "metric", "difference"),
    [
        ((MULT, "clip.norm=4"), "mAP/segm_AP", "was clip.norm=3, now clip.norm=4"),
        ((MULT,), "mAP/segm_AP", "was clip.norm=3, now no clip.norm"),
        (("lr.mask_mult=interval(1.5, 2)", "clip.norm=3"), "mAP/segm_AP", "lr.mask_mult: was {"),
        ((MULT, "clip.norm=choice(3, 4)"), "mAP/segm_AP", "clip.norm: was not searched, now {"),
        ((MULT, "clip.norm=3"), "mAP/bbox_AP", "metric: was ['mAP/segm_AP'], now ['mAP/bbox_AP']"),
    ],
)
def test_another_search_is_refused_with_the_difference(
    words: tuple[str, ...], metric: str, difference: str, tmp_path: Path
) -> None:
    study = optuna.create_study()
    check_identity(study, space(MULT, "clip.norm=3"), ["mAP/segm_AP"], tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_identity(study, space(*words), [metric], tmp_path)
    assert difference in str(caught.value)
    assert "give hydra.sweeper.study_name=… a new name" in str(caught.value)


def test_the_same_search_goes_on_also_where_words_stand_in_another_order(tmp_path: Path) -> None:
    study = optuna.create_study()
    check_identity(study, space(MULT, "clip.norm=3", "seed=1"), ["mAP/segm_AP"], tmp_path)
    check_identity(study, space("seed=1", MULT, "trainer.num_workers=2", "clip.norm=3"), ["mAP/segm_AP"], tmp_path)


def test_a_study_without_a_name_is_named_by_what_it_searches() -> None:
    name = default_name(space(MULT, "clip.norm=3"))
    assert name.startswith("lr.mask_mult-")
    assert default_name(space("clip.norm=3", MULT)) == name
    assert default_name(space(MULT, "clip.norm=4")) != name


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}", "multirun/s"),
        ("${now:%Y}/x", "multirun/s"),
        ("sweeps/mine", "sweeps/mine"),
    ],
)
def test_a_time_in_the_folder_gives_way_to_the_studys_name(
    folder: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = OmegaConf.create({"hydra": {"sweep": {"dir": folder}}})
    assert study_folder(config, "s") == tmp_path / expected
