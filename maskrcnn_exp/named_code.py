"""Code that a configuration names: a class or a function of the user's own, never one that lends itself to anything.

A configuration may come from a stranger. What it can name is importable already, so the danger lies in what the
standard library and large packages can be made to do: `os.system`, `shutil.rmtree`, `maskrcnn_exp.cli.os.system`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import FunctionType
from typing import Any, Final

from maskrcnn_exp.errors import ConfigError

__all__ = ["named_class", "named_function"]

_NOT_THE_USERS: Final = frozenset(
    {"PIL", "click", "cloudpickle", "hydra", "maskrcnn_exp", "numpy", "omegaconf", "optuna", "pip", "pkg_resources"}
    | {"pycocotools", "rich", "setuptools", "tensorboard", "torch", "torchvision", "yaml", "matplotlib", "sqlalchemy"}
)
"""Packages in which nobody keeps a search space of their own."""


def named_class(path: str, bases: tuple[type, ...], where: str) -> type:
    """Return the class that `path` names, one of `bases` or derived from one.

    Args:
        where: The key and its value, for the error.

    Raises:
        ConfigError: there is none, or `path` is a way around to something else. A module of the standard library is
            not even imported.
    """
    found = _found(path, where, lends=("optuna", "hydra"))
    expected = " or ".join(base.__name__ for base in bases)
    if not isinstance(found, type) or not issubclass(found, bases):
        raise ConfigError(f"{where} is not a class derived from {expected}.")
    _check_home(found, path, where)
    return found


def named_function(path: str, where: str) -> Callable[..., Any]:
    """Return the user's own function that `path` names.

    Raises:
        ConfigError: there is none, or it is not of a module of the user's.
    """
    found = _found(path, where)
    if not isinstance(found, FunctionType):
        raise ConfigError(f"{where} is not a function written in Python.")
    _check_home(found, path, where)
    return found


def _found(path: str, where: str, lends: tuple[str, ...] = ()) -> Any:
    """Import what `path` names, which may be of the packages `lends` or of the user's own."""
    first, *others = path.split(".")
    if not others or not all(part.isidentifier() for part in (first, *others)):
        raise ConfigError(f"{where} must be an import path, such as package.module.name.")
    if any(part.startswith("__") for part in (first, *others)):
        raise ConfigError(f"{where}: names that begin with __ cannot be used.")
    if first in sys.stdlib_module_names:
        raise ConfigError(f"{where}: nothing of Python's standard library can be named in a configuration.")
    if first in _NOT_THE_USERS - {*lends}:
        raise ConfigError(f"{where} must be of a module of your own, not of {first}.")
    try:
        return _imported([first, *others])
    except Exception as error:  # the user's module is run, which may raise anything
        said = str(error).partition("\n")[0]
        raise ConfigError(f"{where} cannot be imported: {type(error).__name__}: {said}") from error


def _imported(parts: list[str]) -> Any:
    found: Any = import_module(parts[0])
    for number, part in enumerate(parts[1:], start=2):
        if not hasattr(found, part):
            import_module(".".join(parts[:number]))
        found = getattr(found, part)
    return found


def _check_home(found: Any, path: str, where: str) -> None:
    """Refuse what a module only imported from elsewhere. `optuna.integration` lies in `optuna_integration`."""
    home, first = str(found.__module__).split(".")[0], path.split(".", maxsplit=1)[0]
    if not home.startswith(first):
        raise ConfigError(f"{where} is {home}'s, not {first}'s. Name it where it is defined.")
