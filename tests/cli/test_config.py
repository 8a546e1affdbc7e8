"""The configuration: every choice composes, every typo and every nonsense is one clear answer."""

from __future__ import annotations

import dataclasses
from itertools import product
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from maskrcnn_exp import schema
from maskrcnn_exp.compose import compose, refuse_added_keys, to_train_config
from maskrcnn_exp.config_check import check_config, check_or_raise
from maskrcnn_exp.config_errors import explain
from maskrcnn_exp.config_names import conf_dir
from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.hydra_version import version_words
from maskrcnn_exp.schema import register_schema
from maskrcnn_exp.sweep.objective import parse_metric
from maskrcnn_exp.sweep.points import first_points
from maskrcnn_exp.sweep.settings import SweeperSettings
from maskrcnn_exp.sweep.space import parse_space

CONF = conf_dir()
GROUPS = sorted({str(path.parent.relative_to(CONF)) for path in CONF.rglob("*.yaml")} - {"."})
CHOICES = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((CONF / group).glob("*.yaml"))
    if group not in ("experiment", "search")
]
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
SEARCHES = sorted(path.stem for path in (CONF / "search").glob("*.yaml"))


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_makes_sense(group: str, choice: str, tmp_path: Path) -> None:
    words = [f"{group}={choice}"]
    if group == "dataset" and choice != "shapes":
        words.append(f"dataset.root={tmp_path}")
    assert check_config(to_train_config(compose(words))) == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_makes_sense(name: str, tmp_path: Path) -> None:
    words = [f"experiment={name}"]
    text = (CONF / "experiment" / f"{name}.yaml").read_text()
    if "root: ???" in text:
        words.append(f"dataset.root={tmp_path}")
    assert "# Question:" in text
    assert check_config(to_train_config(compose(words))) == []


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_composes(name: str) -> None:
    compose([f"search={name}"])


@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "none"])
def test_every_search_has_settings_a_space_and_known_metrics(name: str) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    register_schema()
    with initialize_config_dir(str(CONF), **version_words()):
        keys = dict(hydra_compose("train", [f"search={name}"], return_hydra_config=True).hydra.sweeper)
    settings = SweeperSettings.from_config({key: keys[key] for key in keys if key not in ("_target_", "_recursive_")})
    settings.check()
    assert settings.study_name == name
    assert parse_space([], settings.params).distributions.keys() >= {"lr.mask_mult"}
    assert all(parse_metric(metric) for metric in settings.metric)
    (first,) = settings.enqueue  # the defaults, so that the winner has something to beat
    assert first.keys() == parse_space([], settings.params).distributions.keys()
    assert first == {key: OmegaConf.select(compose([f"search={name}"]), key) for key in first}
    assert first_points(settings, parse_space([], settings.params)) == [first]


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_config_files_explain_themselves(path: Path) -> None:
    """Each begins by saying what it is for, and none is named as a word that YAML reads as a boolean."""
    lines = path.read_text().splitlines()
    comments = [line for line in lines[:6] if line.startswith("#") and "@package" not in line]
    assert comments
    assert path.stem not in ("on", "off", "yes", "no", "true", "false")


def test_configured_defaults_are_those_of_the_default_choices() -> None:
    """A default written in YAML and in the schema must not drift apart."""
    config = to_train_config(compose([]))
    assert config.dataset == schema.ShapesConfig()
    assert config.optimizer == schema.AdamWConfig()
    assert config.lr == schema.LrConfig()
    assert config.clip == schema.GlobalClipConfig()
    assert dataclasses.replace(config.trainer, ema_decay=0.0) == schema.TrainerConfig()


KEYS_USERS_TYPE = [
    *(f"lr.{name}" for name in ("base", "backbone_mult", "fpn_mult", "rpn_mult", "box_mult", "mask_mult")),
    *(f"trainer.{name}" for name in ("epochs", "batch_size", "precision", "devices", "num_workers")),
    *("clip.norm", "model.backbone_weights", "model.weights", "seed", "run_dir", "resume"),
]


@pytest.mark.parametrize("key", KEYS_USERS_TYPE)
def test_keys_that_users_type_exist(key: str) -> None:
    """Frozen: these names are a promise."""
    assert OmegaConf.select(compose([]), key, throw_on_missing=False, default="absent") != "absent"


@pytest.mark.parametrize("part", ["backbone", "fpn", "rpn", "box", "mask"])
def test_per_part_clip_has_a_key_for_each_part(part: str) -> None:
    config = to_train_config(compose(["clip=per_part", f"clip.{part}=inf"]))
    assert getattr(config.clip, part) == float("inf")


@pytest.mark.parametrize(("split", "what"), list(product(["train", "val"], ["images", "annotations"])))
def test_dataset_paths_have_their_frozen_keys(split: str, what: str) -> None:
    config = compose(["dataset=coco", f"dataset.{split}.{what}=here"])
    assert OmegaConf.select(config, f"dataset.{split}.{what}") == "here"


FROZEN_GROUPS = {
    "dataset": {"shapes", "coco", "mask_png"},
    "model": {"tiny", "resnet50_fpn", "resnet50_fpn_v2", "mobilenet_v2_fpn"},
    "model/mask_loss": {"bce", "bce_dice"},
    "lr": {"uniform", "differential"},
    "optimizer": {"sgd", "adamw"},
    "schedule": {"cosine", "multistep", "constant"},
    "clip": {"none", "global", "per_part"},
    "trainer": {"cpu", "gpu", "ddp"},
    "search": {"none", "mask_head", "mask_head_per_part", "all_heads", "mask_ap_time", "mask_ap_box_ap"},
}


@pytest.mark.parametrize("group", FROZEN_GROUPS)
def test_frozen_choices_are_there(group: str) -> None:
    assert FROZEN_GROUPS[group] <= {path.stem for path in (CONF / group).glob("*.yaml")}


ERRORS = {
    "lr.mask_mutl=10": "unknown key lr.mask_mutl. Did you mean lr.mask_mult?",
    "lr.mask_mult=ten": "lr.mask_mult: Value 'ten' of type 'str' could not be converted to Float.",
    "trainer.epochs=1.5": "trainer.epochs: Value '1.5' of type 'float' could not be converted to Integer.",
    "model=tinny": "model=tinny: no such choice. Did you mean tiny?",
    "modle=tiny": "unknown config group or key modle. Did you mean model?",
    "model/mask_los=bce": "unknown config group or key model/mask_los. Did you mean model/mask_loss?",
    "clip.mask=1": "clip.mask is a key of clip=per_part, which is not the choice here: give it, too.",
    "dataset.root=x": "dataset.root is a key of dataset=coco or mask_png or yolo_seg or labelme or voc, which is not",
    "lr.mask_mult": "lr.mask_mult: a word without its value. Type lr.mask_mult=VALUE.",
    "clip.masks=1": "unknown key clip.masks. Did you mean clip.mask?",
    "epochs=3": "unknown config group or key epochs. Did you mean trainer.epochs?",
    "mask_mult=10": "unknown config group or key mask_mult. Did you mean lr.mask_mult?",
    "lr=0.1": "lr=0.1: it is a config group, whose choices are differential, uniform. "
    "A number belongs to one of its keys: lr.backbone_mult, lr.base,",
    "lr=1,2": "lr=1,2: it is a config group,",
    "clip=false": "clip=false: it is a config group,",
    "model=null": "model=null: to leave a config group out, type ~model.",
    "--epochs=3": "--epochs=3: there is no such flag. Settings are typed without dashes, as key=value. "
    "Did you mean trainer.epochs=3?",
    "--batch-size": "--batch-size: there is no such flag. Settings are typed without dashes, as key=value. "
    "Did you mean trainer.batch_size=VALUE?",
    "--lr": "--lr: there is no such flag. Settings are typed without dashes, as key=value. lr: it is a config group,",
    "--device": "--device: there is no such flag. Settings are typed without dashes, as key=value. `train --help`",
}


@pytest.mark.parametrize("word", ERRORS)
def test_a_mistyped_word_is_named_with_the_nearest_right_one(word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        to_train_config(compose([word]))
    assert str(caught.value).startswith(ERRORS[word])
    assert "\n" not in str(caught.value)


def test_a_key_added_with_a_plus_is_refused_unless_something_reads_it() -> None:
    refuse_added_keys(compose(["experiment=nuclei", "++lr.mask_mult=3"]))
    with pytest.raises(ConfigError) as caught:
        refuse_added_keys(compose(["+lr.mask_mul=10", "++trainer.epocs=3", "+foo=1"]))
    text = str(caught.value)
    assert text.startswith("3 problems in the configuration:")
    assert "unknown key lr.mask_mul, added with + or ++. Did you mean lr.mask_mult?" in text
    assert "unknown key trainer.epocs" in text
    assert "unknown key foo" in text


def test_a_missing_folder_is_asked_for_by_its_key() -> None:
    (problem,) = check_config(to_train_config(compose(["experiment=nuclei"])))
    assert problem.startswith("the dataset has no place: give dataset.root=FOLDER")


NONSENSE = {
    "lr.mask_mult=-1": "lr.mask_mult=-1 must be ≥ 0.",
    "lr.base=nan": "lr.base=nan must be > 0.",
    "clip.norm=0": "clip.norm=0 must be > 0. Use clip=none to switch clipping off.",
    "trainer.batch_size=0": "trainer.batch_size=0 must be ≥ 1.",
    "trainer.precision=fp16": "trainer.precision=fp16 must be one of auto, 32-true, bf16-mixed.",
    "trainer.monitor=segm_AP": "trainer.monitor=segm_AP must be a tag of the record, such as mAP/segm_AP or loss/val.",
    "model.mask_head.resolution=27": "model.mask_head.resolution=27 must be even and ≥ 2.",
    "model.min_size=[999]": "model.min_size=[999] must be sides between 32 and model.max_size=256.",
    "augment.horizontal_flip=2": "augment.horizontal_flip=2 must be between 0 and 1.",
    "dataset.min_objects=9": "dataset.min_objects=9 must be between 0 and dataset.max_objects.",
    "model.backbone_norm=gn": "model.backbone_norm=gn must be one of bn, frozen_bn.",
}


@pytest.mark.parametrize("word", NONSENSE)
def test_a_value_out_of_range_is_refused_with_key_value_and_range(word: str) -> None:
    assert check_config(to_train_config(compose([word]))) == [NONSENSE[word]]


def test_all_problems_come_in_one_error() -> None:
    with pytest.raises(ConfigError) as caught:
        check_or_raise(to_train_config(compose(list(NONSENSE))))
    text = str(caught.value)
    assert text.startswith(f"{len(NONSENSE)} problems in the configuration:")
    assert all(problem in text for problem in NONSENSE.values())


def test_contradictions_between_keys_are_found() -> None:
    def problems(*words: str) -> list[str]:
        return check_config(to_train_config(compose(list(words))))

    assert "needs" not in problems()
    assert problems("trainer.devices=16", "trainer.batch_size=8") == [
        "trainer.batch_size=8 must be ≥ the number of processes, 16."
    ]
    parts = ["backbone", "fpn", "rpn", "box", "mask"]
    assert problems(*(f"lr.{part}_mult=0" for part in parts)) == ["every lr multiplier is 0: nothing would learn."]
    assert "the dataset has no place" in problems("dataset=coco")[0]
    assert "nothing is there" in problems("dataset=coco", "dataset.root=/no/such/folder")[0]


def test_explain_keeps_an_unknown_error_as_it_is() -> None:
    assert str(explain(ValueError("something else"))) == "something else"


@pytest.mark.parametrize(
    "word",
    [
        "model.image_std=[1e-40,1,1]",
        "model.image_std=[0.2,0.2,inf]",
        "model.image_mean=[nan,0,0]",
        "model.image_mean=[0]",
    ],
)
def test_a_normalisation_that_no_pixel_outlives_is_refused(word: str) -> None:
    (problem,) = check_config(to_train_config(compose([word])))
    assert problem.startswith(f"{word.partition('=')[0]}=[")
    assert check_config(to_train_config(compose(["model.image_mean=[123.7,116.3,103.5]"]))) == []
