"""When two commands are the same study, and when they must not be."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from omegaconf import DictConfig, OmegaConf

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep import attrs
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
        ((MULT, "clip.norm=3"), "mAP/bbox_AP", "metric: was ['mAP/segm_AP@best'], now ['mAP/bbox_AP@best']"),
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
    assert default_name(space(MULT, "clip.norm=3", "++trainer.num_workers=2")) == name


def test_a_metric_is_the_same_with_its_point_said_or_not(tmp_path: Path) -> None:
    study = optuna.create_study()
    check_identity(study, space(MULT), ["mAP/segm_AP"], tmp_path)
    check_identity(study, space(MULT), ["mAP/segm_AP@best"], tmp_path)
    assert study.user_attrs[attrs.METRIC] == ["mAP/segm_AP@best"]
    study.set_user_attr(attrs.METRIC, ["mAP/segm_AP"])  # as it was written before
    check_identity(study, space(MULT), ["mAP/segm_AP"], tmp_path)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}", "multirun/s"),
        ("${now:%Y}/x", "multirun/s"),
        ("sweeps/mine", "sweeps/mine"),
        ("${oc.env:PLACE}/sweeps/${now:%Y}", "place/sweeps/s"),
        ("${paths.log_dir}/${task_name}/multiruns/${now:%Y-%m-%d}_${now:%H-%M-%S}", "logs/train/multiruns/s"),
    ],
)
def test_a_time_in_the_folder_gives_way_to_the_studys_name(
    folder: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLACE", "place")
    assert study_folder(config(folder), "s") == tmp_path / expected


def config(sweep_dir: str) -> DictConfig:
    content = {"paths": {"log_dir": "logs"}, "task_name": "train", "hydra": {"sweep": {"dir": sweep_dir}}}
    created = OmegaConf.create(content)
    OmegaConf.set_struct(created, True)
    OmegaConf.set_readonly(created.hydra, True)  # as a sweeper gets it from Hydra 1.4
    return created


def test_a_time_at_the_root_stays_at_the_root() -> None:
    assert study_folder(config("/${now:%Y}"), "s") == Path("/s")


@pytest.mark.parametrize(("name", "expected"), [("..", "__"), (".", "_"), ("a/../../b", "a_.._.._b"), ("a\\b", "a_b")])
def test_a_studys_name_never_leads_out_of_the_folder_of_studies(name: str, expected: str, tmp_path: Path) -> None:
    assert study_folder(config(f"{tmp_path}/${{now:%Y}}"), name) == tmp_path / expected
