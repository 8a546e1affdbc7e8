"""Values and command-line words: a value as the text of a Hydra override, and a choice as the study stores it.

Optuna stores None, bool, int, float and str. A list or a dict is therefore stored as the text of its override, and
that text goes back to Hydra as it is. A *string* that reads as a list, a dict or a quoted string is stored with quotes
around it, so that both ways are one to one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Quote, QuotedString, Sweep, Transformer
from hydra.errors import HydraException

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.hydra_version import cast_range

__all__ = ["Choice", "contains_sweep", "parse_word", "stored_choice", "value_text"]

Choice = None | bool | int | float | str
"""What Optuna stores as a choice."""

_BARE: Final = re.compile(r"[A-Za-z_/][\w./-]*", re.ASCII)
_RESERVED: Final = frozenset({"null", "true", "false", "nan", "inf"})


def parse_word(word: str) -> Any:
    """Return one command-line word as Hydra's `Override`.

    Raises:
        ConfigError: the word does not follow Hydra's grammar.
    """
    try:
        (override,) = _parser().parse_overrides([word])
    except HydraException as error:
        lines = [line.strip() for line in str(error).splitlines() if not line.startswith("See http")]
        said = " ".join(line for line in lines if line.strip("^") and not line.startswith("Error parsing override"))
        advice = "Words are key=value in Hydra's grammar; put quotes around a string with commas: \"key='a, b'\"."
        if "NoneType" in said:
            advice = "Hydra takes null only in a plain list: key=null,other."
        raise ConfigError(f"cannot read {word!r}: {said.rstrip('.')}. {advice}") from error
    cast_range(override.value())
    return override


def value_text(value: object) -> str:
    """Return the text after `key=` that Hydra reads as exactly this value.

    Floats as `repr`, so that no digit is lost. A string that reads as a list, a dict or a quoted string is taken for
    the stored text of one (see the head of this module). Any other string is quoted where Hydra would read something
    else without.

    Raises:
        ConfigError: a value that is no None, bool, number, string, list or dict.
    """
    if isinstance(value, str) and _is_structure(value):
        return value
    return _text(value)


def stored_choice(element: object) -> Choice:
    """Return one element of a parsed choice as the study stores it; `value_text` is the way back.

    Raises:
        ConfigError: a sweep inside a list or a dict.
    """
    if element is None or isinstance(element, bool | int | float):
        return element
    if isinstance(element, list | dict):
        if contains_sweep(element):
            raise ConfigError("a sweep inside a list or a dict cannot be searched. Give the inner key its own word.")
        return str(Transformer.str(element))
    text = element.text if isinstance(element, QuotedString) else element
    if not isinstance(text, str):
        raise ConfigError(f"a choice of type {type(element).__name__} cannot be stored.")
    return _quoted(text) if _is_structure(text) else text


def contains_sweep(element: object) -> bool:
    """Return whether a parsed value is a sweep or has one inside."""
    if isinstance(element, list):
        return any(contains_sweep(item) for item in element)
    if isinstance(element, dict):
        return any(contains_sweep(item) for item in element.values())
    return isinstance(element, Sweep | Glob)


@lru_cache(maxsize=1)
def _parser() -> Any:
    return OverridesParser.create()


def _text(value: object) -> str:
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()  # a numpy number; numpy 2 writes it as np.float64(…)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, str):
        return _string_text(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_text(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{Transformer.str(key)}:{_text(item)}' for key, item in value.items())}}}"
    raise ConfigError(
        f"a value of type {type(value).__name__} cannot be written as an override. "
        "Use null, true, false, a number, a string, a list or a dict."
    )


def _string_text(text: str) -> str:
    is_bare = _BARE.fullmatch(text) is not None and text.lower() not in _RESERVED
    return text if is_bare else _quoted(text)


def _quoted(text: str) -> str:
    return str(QuotedString(text, Quote.single).with_quotes())


def _is_structure(text: str) -> bool:
    """Return whether Hydra reads the text as a list, a dict or a quoted string."""
    if text.lstrip(" \t")[:1] not in ("[", "{", "'", '"'):
        return False
    try:
        override = _parser().parse_override(f"x={text}")
    except HydraException:
        return False
    if override.is_sweep_override():
        return False
    if isinstance(override.value(), list | dict):
        return True
    return str(override.get_value_element_as_str())[:1] in ("'", '"')
