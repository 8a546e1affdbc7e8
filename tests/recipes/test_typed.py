"""What is printed to be typed again is one word per word in a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

from maskrcnn_exp.compose import compose
from maskrcnn_exp.override_keys import command_line
from maskrcnn_exp.recipes.typed import path_word


def test_a_shell_gives_the_words_back() -> None:
    words = ["model.min_size=[192]", "dataset.root=my pictures", "logger=[csv,mlflow]", "lr.mask_mult=10"]
    line = command_line("train", words)
    assert shlex.split(line) == ["python", "-m", "maskrcnn_exp", "train", *words]
    assert "'model.min_size=[192]'" in line  # zsh would look for a file of that name
    assert line.endswith(" lr.mask_mult=10")


def test_hydra_reads_an_odd_folder_as_it_is() -> None:
    folder = Path("/runs, old (1)/it's=here")
    (word,) = shlex.split(command_line("train", [path_word("run_dir", folder)]))[4:]
    assert compose([word]).run_dir == str(folder)
