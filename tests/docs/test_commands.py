"""Every command that README and docs show is right: it runs, or what a training would take is composed and checked.

What trains for minutes is not trained here: its words are composed by Hydra and checked as `train` does before it
starts; of `--verify` the options are read. tests/recipes and tests/sweep train such commands on small networks.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from tensorboard.program import TensorBoard

from maskrcnn_exp.cli import cli
from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.config_check import check_config
from maskrcnn_exp.config_names import choices_by_group
from maskrcnn_exp.sweep.space import parse_space
from tests.docs.written import COMMANDS, PAGES, REPOSITORY, WrittenCommand, commands_in

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, numpy 2


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_what_a_page_shows_works(
    command: WrittenCommand, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command.program == "make":
        assert re.search(rf"^{command.words[0]}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    elif command.program == "pip":
        _check_extras(command.words)
    elif command.program == "tensorboard":
        TensorBoard().configure(argv=["tensorboard", *command.words])
    else:
        here = workplace
        if command.words[0] != "train":  # it may write
            here = tmp_path / "here"
            shutil.copytree(workplace, here)
        monkeypatch.chdir(here)
        monkeypatch.setenv("STUDY_STORAGE", "sqlite:///study.db")
        _check(command.words[0], _meant(command.words[1:]))


def _check(name: str, words: list[str]) -> None:
    assert name in cli.commands, f"no command {name}"
    if name == "train" and "--help" not in words:
        _check_training([word for word in words if word != "--multirun"], searches="--multirun" in words)
    elif _reads_other_data(name, words):
        _check_training(_of_dataset(words), searches=False)
    elif "--verify" in words:
        cli.commands[name].make_context(name, words)
    else:
        code = cli.main([name, *words], prog_name="maskrcnn-exp", standalone_mode=False)
        assert code in ((0, 1, None) if "--fail-on" in words else (0, None))


def _reads_other_data(name: str, words: Sequence[str]) -> bool:
    """Say whether a command wants a run or a folder of a kind that is not there: those words are composed only."""
    formats = {f"dataset={name}" for name in choices_by_group()["dataset"]} - {"dataset=coco", "dataset=shapes"}
    return bool(formats & {*words}) or (name == "evaluate" and any(word.startswith("dataset.val.") for word in words))


def _of_dataset(words: Sequence[str]) -> list[str]:
    """Return the words that are a training's too; a split that is evaluated is checked as one that is trained on."""
    own = [word for word in words if word.startswith("dataset")]
    first = [] if any(word.startswith("dataset=") for word in own) else ["dataset=coco"]
    return [*first, *own, *(word.replace(".val.", ".train.") for word in own if ".val." in word)]


def _check_training(words: list[str], *, searches: bool) -> None:
    """Compose what one run of the command would get, and check it; of a range of values the first one."""
    if searches:
        space = parse_space([word for word in words if not word.startswith("hydra")], {}, group_choices=_choices)
        assert space.distributions or any(word.startswith("search=") for word in words)
        words = [word for word in words if word.split("=")[0] not in space.distributions]
    composed = compose([word for word in words if not word.startswith("--")])
    assert check_config(to_train_config(composed)) == []


def _choices(group: str) -> list[str]:
    return choices_by_group()[group]


def _meant(words: Sequence[str]) -> list[str]:
    """Put what a user would put for a placeholder; a pattern is the shell's."""
    given = {
        "dataset.val.images=…": "dataset.val.images=pictures",
        "dataset.val.annotations=…": "dataset.val.annotations=val.json",
    }
    given |= {"N": "2", "RULE": "undertrained_part"}
    meant = []
    for word in words:
        found = sorted(map(str, Path().glob(word))) if "*" in word and "=" not in word else []
        meant += found or [given.get(word, word)]
    return meant


def _check_extras(words: Sequence[str]) -> None:
    known = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [extra for word in words for extra in re.findall(r"maskrcnn-exp\[(.*)\]", word)]
    assert set(",".join(named).split(",")) - {""} <= known.keys()


def test_commands_are_found_in_blocks_after_arrows_over_lines_and_inline() -> None:
    text = (
        "As `python -m maskrcnn_exp train --help` says:\n\n"
        "    python -m maskrcnn_exp train a=1 \\\n        b=2   # two words\n"
        "       → python -m maskrcnn_exp train 'c=[1, 2]'\n    an output\n\n"
        "```sh\n.venv/bin/python -m maskrcnn_exp compare A [--top N]\nmake train\n```\npython -m maskrcnn_exp prose\n"
    )
    assert [(one.line, one.program, *one.words) for one in commands_in(text, "page")] == [
        (1, "maskrcnn_exp", "train", "--help"),
        (3, "maskrcnn_exp", "train", "a=1", "b=2"),
        (5, "maskrcnn_exp", "train", "c=[1, 2]"),
        (9, "maskrcnn_exp", "compare", "A", "--top", "N"),
        (10, "make", "train"),
    ]


@pytest.mark.parametrize("wrong", ["train lr.mask_mutl=2", "train clip.norm=-1", "diagnose nowhere", "evalute x=1"])
def test_a_wrong_command_is_noticed(wrong: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    name, *words = wrong.split()
    with pytest.raises(Exception, match=r"mutl|clip\.norm|nowhere|evalute"):
        _check(name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_the_readme_leads_to_every_page() -> None:
    text = (REPOSITORY / "README.md").read_text()
    for page in (REPOSITORY / "docs").glob("*.md"):
        assert f"docs/{page.name}" in text, page.name
