"""The search space: Hydra's grammar in, Optuna's distributions out, and a trial's parameters back to words."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.hydra_version import version_words
from maskrcnn_exp.sweep.space import SearchSpace, grid_choices, parse_space, trial_words
from maskrcnn_exp.sweep.words import stored_choice, value_text

PARSER = OverridesParser.create()


def hydra_value(word: str) -> Any:
    return PARSER.parse_override(word).value()


def only(word: str) -> BaseDistribution:
    (distribution,) = parse_space([word]).distributions.values()
    return distribution


DISTRIBUTIONS = {
    "a=interval(0.1,30)": FloatDistribution(0.1, 30),
    "a=interval(1,10)": FloatDistribution(1, 10),
    "a=interval(start=-2,end=1e-05)": FloatDistribution(-2, 1e-05),
    "a=float(interval(1,10))": FloatDistribution(1, 10),
    "a=int(interval(1,10))": IntDistribution(1, 10),
    "a=tag(log, interval(0.1, 30))": FloatDistribution(0.1, 30, log=True),
    "a=tag(log, int(interval(1, 10)))": IntDistribution(1, 10, log=True),
    "a=int(tag(log, interval(1, 10)))": IntDistribution(1, 10, log=True),
    "a=range(1,4)": IntDistribution(1, 3),
    "a=range(4)": IntDistribution(0, 3),
    "a=range(1,10,3)": IntDistribution(1, 7, step=3),  # 1 4 7
    "a=range(1,9,3)": IntDistribution(1, 7, step=3),
    "a=range(10,1,-4)": IntDistribution(2, 10, step=4),  # 10 6 2
    "a=range(0,1,0.25)": FloatDistribution(0, 0.75, step=0.25),
    "a=range(0,0.6,0.25)": FloatDistribution(0, 0.5, step=0.25),
    "a=range(0,7,0.7)": FloatDistribution(
        0, 6.3, step=0.7
    ),  # in binary 10 * 0.7 < 7, and Hydra's own iterator ends at 7.0
    "a=range(1,0,-0.5)": FloatDistribution(0.5, 1, step=0.5),  # 1 0.5
    "a=float(range(1,4))": FloatDistribution(1, 3, step=1),
    "a=int(range(1.0,4.0))": IntDistribution(1, 3),
    "a=sort(range(3,0,-1))": IntDistribution(1, 3),
    "a=tag(log, range(1,100))": IntDistribution(1, 99, log=True),
    "a=shuffle(range(1,4))": CategoricalDistribution([1, 2, 3]),
    "a=shuffle(range(0,1,0.5))": CategoricalDistribution([0.0, 0.5]),
    "a=1,5,10": CategoricalDistribution([1, 5, 10]),
    "a=choice(x)": CategoricalDistribution(["x"]),
    "a=null, true, 2, 0.5, b c, 'd, e'": CategoricalDistribution([None, True, 2, 0.5, "b c", "d, e"]),
    "a=shuffle(c,a,b)": CategoricalDistribution(["c", "a", "b"]),
    "a=sort(3,1,2)": CategoricalDistribution([1, 2, 3]),
    "a=float(1,2)": CategoricalDistribution([1.0, 2.0]),
    "a=[1,2],[3]": CategoricalDistribution(["[1,2]", "[3]"]),
    "a=choice({x:1},{x:2})": CategoricalDistribution(["{x:1}", "{x:2}"]),
}


@pytest.mark.parametrize("word", DISTRIBUTIONS)
def test_a_sweep_becomes_its_distribution(word: str) -> None:
    assert only(word) == DISTRIBUTIONS[word]


PROBLEMS = {
    "a=interval(3,1)": "a=interval(3,1): the interval is inverted, low must be < high, got 3.0 and 1.0. Swap its ends",
    "a=interval(2,2)": "a=interval(2,2): the interval is empty",
    "a=int(interval(2,2))": "Write 2 for this one value.",
    "a=interval(0,inf)": "the ends must be finite numbers, got 0.0 and inf.",
    "a=tag(log,interval(0,1))": "a log scale needs low > 0, got 0.0.",
    "a=int(interval(0.5,9))": "int(…) needs whole numbers inside, got interval(0.5,9).",
    "a=int(range(0,1,0.5))": "int(…) needs whole numbers inside, got range(0,1,0.5).",
    "a=tag(lgo,interval(1,2))": "unknown tag lgo. The only tag is log: tag(log, interval(0.1, 30)).",
    "a=tag(log,choice(1,2))": "choices take no tag, got log.",
    "a=tag(log,range(1,9,2))": "a log scale over a range needs whole numbers from 1 on in steps of 1, got range(1",
    "a=tag(log,range(0,9))": "a log scale over a range needs whole numbers from 1 on",
    "a=range(4,1)": "the range has no value: from 4 to before 1 in steps of 1.",
    "a=range(1,4,0)": "the step not 0",
    "a=range(0,inf,0.5)": "start, stop and step must be finite",
    "a=choice(1,true)": "the study cannot tell the choices 1 and true apart.",
    "a=1,1.0": "the study cannot tell the choices 1 and 1.0 apart.",
    "a=choice(1,[choice(2,3)])": "a sweep inside a list or a dict cannot be searched.",
    "a=[interval(1,2)]": "a sweep inside a list or a dict cannot be searched.",
    "a={x:choice(1,2)}": "a sweep inside a list or a dict cannot be searched.",
    "hydra.job.num=1,2": "hydra.job.num=1,2: Hydra's own settings cannot be searched.",
    "model=glob(*)": "model=glob(*): glob(…) works for configuration groups only.",
    "a=b,": "cannot read 'a=b,': ",
    "a=choice(null,x)": "Hydra takes null only in a plain list: key=null,other.",
    "a=str(interval(1,2))": "Intervals cannot be cast to str",
    "word": "cannot read 'word': ",
}


@pytest.mark.parametrize("word", PROBLEMS)
def test_a_word_that_cannot_be_searched_says_why(word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_space([word])
    assert PROBLEMS[word] in str(caught.value)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tag_inside_of_a_cast_is_refused_where_hydra_drops_it() -> None:
    word = "a=int(tag(log,range(1,9)))"
    if version_words():
        with pytest.raises(ConfigError, match=r"Hydra drops this tag. Put tag\(log, …\) outermost"):
            parse_space([word])
    else:  # Hydra 1.4 keeps it
        assert only(word) == IntDistribution(1, 8, log=True)


def test_all_problems_come_in_one_error() -> None:
    with pytest.raises(ConfigError, match=r"^4 problems in the configuration:") as caught:
        parse_space(["a=interval(3,1)", "b=range(4,1)", "ok=1,2"], {"c": {"d": "choice(1,2)"}, "e": "choice()"})
    for part in ("a=interval", "b=range", "hydra.sweeper.params.c is a mapping", "c.d: choice(1, 2)", "empty choice"):
        assert part in str(caught.value)


def test_keys_stay_as_typed_and_in_order() -> None:
    space = parse_space(["+new.key=1,2", "group@pkg=a,b", "++forced=interval(0.5,1)", "$x=3,4"])
    assert list(space.distributions) == ["+new.key", "group@pkg", "++forced", "$x"]


def test_fixed_words_stay_as_typed() -> None:
    words = ["model=tiny", "~clip", "~a=1,2", "+key=1", "hydra.job.chdir=true", "x='a b'", "y=", "z=[1,2]"]
    assert parse_space(words) == SearchSpace({}, tuple(words), ())


def test_configured_parameters_are_read_in_the_same_grammar_or_as_plain_values() -> None:
    params = {
        "lr": "tag(log, interval(0.1, 1))",
        "model": "tiny",
        "n": 3,
        "x": None,
        "on": True,
        "l": [1, "a b"],
        "~c": None,
    }
    space = parse_space([], params)
    assert space.distributions == {"lr": FloatDistribution(0.1, 1, log=True)}
    assert space.fixed == ("model=tiny", "n=3", "x=null", "on=true", "l=[1,'a b']", "~c")
    assert hydra_value(space.fixed[4]) == [1, "a b"]


def test_a_word_wins_over_a_configured_parameter() -> None:
    params = {"a": "interval(0.5,1)", "+b": "1,2", "c": "1,2", "d": "1,2"}
    space = parse_space(["a=7", "b=3,4", "~c"], params)
    assert space.distributions == {"d": CategoricalDistribution([1, 2]), "b": CategoricalDistribution([3, 4])}
    assert space.fixed == ("a=7", "~c")


@pytest.mark.parametrize("words", [["a=1,2", "a=3"], ["a=1,2", "+a=interval(0.5,1)"]])
def test_a_searched_key_given_twice_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^a is given 2 times: a=1,2  .*\. Keep one of them\.$"):
        parse_space(words)


def test_a_key_may_be_deleted_before_it_is_searched() -> None:
    space = parse_space(["~a", "+a=1,2"])
    assert (list(space.distributions), space.fixed) == (["+a"], ("~a",))


def test_glob_takes_the_choices_of_its_group() -> None:
    known = {"model": ["tiny", "resnet50_fpn", "resnet50_fpn_v2"]}
    space = parse_space(["model=glob(res*,exclude=*v2)", "+model@other=glob(*)"], group_choices=known.__getitem__)
    assert space.distributions["model"] == CategoricalDistribution(["resnet50_fpn"])
    assert space.distributions["+model@other"] == CategoricalDistribution(known["model"])
    with pytest.raises(ConfigError, match=r"no choice of model matches. It has: tiny, resnet50_fpn, resnet50_fpn_v2\."):
        parse_space(["model=glob(vit*)"], group_choices=known.__getitem__)


WARNINGS = {
    "a=range(1,4)": "a=range(1,4) ends before 4, as ranges do; hydra-optuna-sweeper would also have tried 4.",
    "a=range(0,1,0.1)": "a=range(0,1,0.1) ends before 1, as ranges do; hydra-optuna-sweeper would also have tried 1.",
    "a=interval(1,10)": "a=interval(1,10) searches real numbers; for whole ones write int(interval(…)).",
    "a=1,2,1": "a=1,2,1 names 1 more than once, which is searched as one choice.",
    "a=tag(log,range(1,10,1))": "a=tag(log,range(1,10,1)) searches on a log scale; hydra-optuna-sweeper ignored",
    "a=range(1,9,3)": None,  # 1 4 7: the end is not met either way
    "a=range(4,1,-1)": None,  # the peer refuses it
    "a=shuffle(range(1,4))": None,
    "a=interval(0.1,10)": None,
    "a=int(interval(1,10))": None,
    "a=float(interval(1,10))": None,
    "a=interval(int(1),3)": None,
    "a=1,2": None,
}


@pytest.mark.parametrize("word", WARNINGS)
def test_a_difference_to_the_peer_is_said(word: str) -> None:
    expected, warnings = WARNINGS[word], parse_space([word]).warnings
    assert (warnings == ()) if expected is None else warnings[0].startswith(expected)


LEGACY = {
    "f": {"type": "float", "low": -5.5, "high": 5.5, "step": 0.5},
    "g": {"type": "float", "low": 0.1, "high": 1, "log": True},
    "i": {"type": "int", "low": 1, "high": 9},
    "c": {"type": "categorical", "choices": ["a", 1, None, [1, 2]]},
}


def test_the_deprecated_search_space_is_read_with_a_warning() -> None:
    space = parse_space(["g=3"], None, LEGACY)
    assert space.distributions == {
        "f": FloatDistribution(-5.5, 5.5, step=0.5),
        "i": IntDistribution(1, 9),
        "c": CategoricalDistribution(["a", 1, None, "[1,2]"]),
    }
    assert space.warnings[0].startswith("hydra.sweeper.search_space is deprecated: move it to hydra.sweeper.params")


def test_params_win_over_the_deprecated_search_space() -> None:
    space = parse_space([], {"x": "1,2"}, LEGACY)
    assert list(space.distributions) == ["x"]
    assert "ignored" in space.warnings[0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "float", "low": 1}, "of type float needs high."),
        ({"type": "categorical"}, "of type categorical needs choices."),
        ({"type": "real", "low": 1, "high": 2}, "type=real must be one of int, float, categorical."),
        ({"low": 1, "high": 2}, "must be a mapping with type"),
        ({"type": "int", "low": 3, "high": 2}, "low"),
        ({"type": "float", "low": 0, "high": 2, "log": True}, "low"),
        (3, "must be a mapping"),
    ],
)
def test_a_broken_entry_of_the_deprecated_search_space_is_named(entry: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.search_space\.x") as caught:
        parse_space([], None, {"x": entry})
    assert message in str(caught.value)


def test_the_words_of_a_trial_are_the_fixed_ones_then_its_parameters() -> None:
    space = parse_space(["model=tiny", "lr=tag(log, interval(1e-6, 1))", "~clip", "+n=int(interval(1,9))", "z='a b',c"])
    words = trial_words(space, {"+n": 3, "custom": -0.5, "lr": 1e-05, "z": "a b"})
    assert words == ["model=tiny", "~clip", "lr=1e-05", "+n=3", "z='a b'", "custom=-0.5"]


def test_parameters_that_a_trial_lacks_keep_their_configured_value() -> None:
    assert trial_words(parse_space(["a=1,2", "b=3"]), {}) == ["b=3"]


def test_a_parameter_that_is_fixed_too_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^\+a is searched, and a=3 fixes it for every trial\."):
        trial_words(parse_space(["a=3"]), {"+a": 1})


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
# Surrogates cannot be written to any storage.
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text("ab01.,'\"=$\\ []{}():-+~\t\n", max_size=8)


@given(value=scalars)
def test_hydra_reads_a_number_back_to_the_last_bit(value: object) -> None:
    read = hydra_value(f"x={value_text(value)}")
    assert read == value
    assert type(read) is type(value)


@given(text=texts)
def test_hydra_reads_a_stored_string_back(text: str) -> None:
    """A string that reads as a list is stored in quotes; all others are stored as they are."""
    stored = stored_choice(text)
    assert hydra_value(f"x={value_text(stored)}") == text


@given(texts=st.lists(texts, min_size=2, max_size=5, unique=True))
def test_different_strings_are_stored_differently(texts: list[str]) -> None:
    assert len({stored_choice(text) for text in texts}) == len(texts)


def elements(text: Any) -> Any:
    leaves = scalars | text
    return st.lists(leaves | st.lists(leaves, max_size=3), max_size=4)


@given(value=elements(texts))
def test_lists_are_stored_as_text_and_reach_hydra_as_lists(value: list[Any]) -> None:
    (override,) = PARSER.parse_overrides([f"x={value_text(value)}"])
    stored = stored_choice(override.value())
    assert isinstance(stored, str)
    assert override.value() == value


@pytest.mark.parametrize(
    "text",
    [
        "a b",
        "a,b",
        "it's",
        'say "hi"',
        "k=v",
        "$x",
        "${x}",
        "",
        "null",
        "True",
        "false",
        "NaN",
        "-inf",
        "1e5",
        "007",
        "a\\",
    ],
)
def test_a_string_that_would_be_read_otherwise_is_quoted(text: str) -> None:
    """In a space made of a quoted choice, as a user types it."""
    quoted = value_text(text)
    distribution = only(f"x={quoted},other")
    assert distribution == CategoricalDistribution([text, "other"])
    assert hydra_value(trial_words(SearchSpace({"x": distribution}, (), ()), {"x": text})[0]) == text


def test_a_string_that_looks_like_a_list_stays_a_string() -> None:
    choices = only("x='[1,2]',[1,2]").choices  # type: ignore[attr-defined]
    assert choices == ("'[1,2]'", "[1,2]")
    assert [hydra_value(f"x={value_text(choice)}") for choice in choices] == ["[1,2]", [1, 2]]


@pytest.mark.parametrize("plain", ["tiny", "resnet50_fpn_v2", "/data/set-1/x.png", "a.b"])
def test_a_plain_name_is_not_quoted(plain: str) -> None:
    assert value_text(plain) == plain
    assert hydra_value(f"x={plain}") == plain


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (np.float64(0.1), "0.1"),
        (np.float32(0.1), "0.10000000149011612"),
        (np.int64(-3), "-3"),
        (np.bool_(True), "true"),
    ],
)
def test_numpy_numbers_are_written_as_numbers(number: object, text: str) -> None:
    assert value_text(number) == text


def test_not_a_number_and_infinity_reach_hydra() -> None:
    assert math.isnan(hydra_value(f"x={value_text(math.nan)}"))
    assert hydra_value(f"x={value_text(-math.inf)}") == -math.inf


def test_a_value_that_no_override_can_express_is_refused() -> None:
    with pytest.raises(ConfigError, match="a value of type object cannot be written as an override"):
        value_text(object())


@given(data=st.data())
def test_every_point_that_optuna_draws_reaches_hydra_unchanged(data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(sorted(DISTRIBUTIONS)))
    space = parse_space([word])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(data.draw(st.integers(0, 99))))
    params = study.ask(space.distributions).params
    read = hydra_value(trial_words(space, params)[0])
    assert read == params["a"] or value_text(read) == params["a"]  # a list is stored as its text


GRIDS = {
    "a=1,5,10": [1, 5, 10],
    "a=range(1,9,3)": [1, 4, 7],
    "a=range(0,0.4,0.1)": [0.0, 0.1, 0.2, 0.3],  # not 0.30000000000000004
    "a=int(interval(1,4))": [1, 2, 3, 4],
    "a=tag(log,range(1,4))": [1, 2, 3],
    "a=null,x": [None, "x"],
}


@pytest.mark.parametrize("word", GRIDS)
def test_a_finite_distribution_lists_its_values(word: str) -> None:
    distribution = only(word)
    values = grid_choices(distribution)
    assert values == GRIDS[word]
    assert all(distribution._contains(distribution.to_internal_repr(value)) for value in values)


def test_an_interval_cannot_be_a_grid() -> None:
    with pytest.raises(
        ConfigError, match=r"needs a finite set of values, got an interval from 0\.1 to 30\.0\. Use choice"
    ):
        grid_choices(FloatDistribution(0.1, 30))


def test_a_space_travels_to_another_process() -> None:
    space = parse_space(["a=1,2", "b=interval(0.5,1)", "c=3"])
    assert pickle.loads(pickle.dumps(space)) == space
