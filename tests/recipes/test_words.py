"""A command's own keys."""

from __future__ import annotations

import pytest

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.recipes.words import several_of, split_words, yes_or_no


def test_own_keys_and_overrides_part() -> None:
    assert split_words(["output=x=y", "lr.base=1"], ("output",)) == ({"output": "x=y"}, ["lr.base=1"])
    with pytest.raises(ConfigError, match="runs/a: expected key=value"):
        split_words(["runs/a"], ("output",))


def test_yes_and_no_in_any_case_and_nothing_else() -> None:
    assert yes_or_no({"json": "True"}, "json", False)
    assert not yes_or_no({}, "json", False)
    with pytest.raises(ConfigError, match="json=yes must be true or false"):
        yes_or_no({"json": "yes"}, "json", False)


def test_several_names_of_a_list_the_first_by_default() -> None:
    known = ("coco", "yolo", "labelme")
    assert several_of({}, "format", known) == {"coco"}
    assert several_of({"format": "yolo,labelme"}, "format", known) == {"yolo", "labelme"}
    with pytest.raises(ConfigError, match="format=yolo,voc: voc is none of coco, yolo, labelme"):
        several_of({"format": "yolo,voc"}, "format", known)
