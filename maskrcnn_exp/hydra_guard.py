"""What a composed configuration may make Hydra itself call: its own plugins, plain loggers, the user's own callbacks.

Hydra builds sweepers, launchers, callbacks and logging handlers from names in the configuration, most of them before
this program sees the first value. Its own list of what it refuses is a list of the known bad, which lacks `os.mkdir`
and `shutil.copyfile`; this is one of the known good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.named_code import named_class

__all__ = ["check_hydra_config", "composing_is_guarded"]

_PLUGINS: Final = ("hydra_plugins.", "hydra._internal.core_plugins.")
_OURS: Final = "hydra_plugins.maskrcnn_optuna_sweeper.sweeper.OptunaSweeper"
_LOGGING_CLASSES: Final = frozenset(
    {"logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.Formatter"}
    | {"logging.handlers.RotatingFileHandler", "logging.handlers.TimedRotatingFileHandler"}
    | {"colorlog.ColoredFormatter", "rich.logging.RichHandler"}
)
_OWN_FOLDERS: Final = ("${hydra.runtime.output_dir}/", "${hydra.run.dir}/", "${hydra.sweep.dir}/")


@contextmanager
def composing_is_guarded() -> Iterator[None]:
    """Inside, Hydra gets to see no composed configuration that `check_hydra_config` refuses."""
    from hydra._internal.hydra import Hydra

    compose_config = Hydra.compose_config

    def checked(self: Any, *arguments: Any, **keys: Any) -> Any:
        config = compose_config(self, *arguments, **keys)
        check_hydra_config(config)
        return config

    Hydra.compose_config = checked
    try:
        yield
    finally:
        Hydra.compose_config = compose_config


def check_hydra_config(config: Any) -> None:
    """Raise a ConfigError that lists every name that Hydra would call and should not.

    Args:
        config: The composed configuration, with its node `hydra`.
    """
    hydra = _resolved(config.hydra)
    problems = [
        *_plugins(hydra),
        *_callbacks(hydra.get("callbacks")),
        *_logging("hydra.hydra_logging", hydra.get("hydra_logging")),
        *_logging("hydra.job_logging", hydra.get("job_logging")),
    ]
    if problems:
        raise ConfigError.from_problems(problems)


def _plugins(hydra: Mapping[str, Any]) -> list[str]:
    problems = []
    for kind in ("sweeper", "launcher"):
        for where, target in _targets(f"hydra.{kind}", hydra.get(kind)):
            if where == f"hydra.{kind}._target_" or not _builds_its_own(hydra.get(kind)):
                fine = target.startswith(_PLUGINS) or (target.startswith("optuna.") and kind == "sweeper")
                problems += [] if fine else [f"{where}={target} is not one of Hydra's plugins."]
    return problems


def _builds_its_own(node: Any) -> bool:
    """Our sweeper looks at what its sampler and pruner name, where Hydra leaves that to it."""
    return isinstance(node, Mapping) and node.get("_target_") == _OURS and node.get("_recursive_") is False


def _callbacks(node: Any) -> list[str]:
    from hydra.experimental.callback import Callback

    problems = []
    for where, target in _targets("hydra.callbacks", node):
        if where.count(".") != 3:
            problems.append(f"{where}={target}: a callback takes plain values only.")
            continue
        try:
            named_class(target, (Callback,), f"{where}={target}")
        except ConfigError as error:
            problems.append(str(error))
    return problems


def _logging(where: str, node: Any) -> list[str]:
    """The keys with which logging.config builds objects, and files outside of the run's folder."""
    problems = []
    for key, value in _leaves(where, node):
        last = key.rpartition(".")[2]
        text = str(value)
        if last in ("()", "class", "_target_") and text not in _LOGGING_CLASSES:
            problems.append(f"{key}={text} is none of {', '.join(sorted(_LOGGING_CLASSES))}.")
        if text.startswith("ext://") and text not in ("ext://sys.stdout", "ext://sys.stderr"):
            problems.append(f"{key}={text} must be ext://sys.stdout or ext://sys.stderr.")
        if last == "filename" and (".." in text or not text.startswith(_OWN_FOLDERS)):
            problems.append(f"{key}={text} must lie in the run's folder: {_OWN_FOLDERS[0]}NAME.log.")
    return problems


def _targets(where: str, node: Any) -> list[tuple[str, str]]:
    return [(key, str(value)) for key, value in _leaves(where, node) if key.endswith("._target_")]


def _leaves(where: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(f"{where}.{key}", value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for number, value in enumerate(node):
            yield from _leaves(f"{where}[{number}]", value)
    else:
        yield where, node


def _resolved(node: Any) -> Any:
    """Return a configuration as plain values, each interpolation as what it stands for, or as its text.

    File names keep their text: it says in which folder they lie. So does what cannot be known yet.
    """
    from omegaconf import DictConfig, ListConfig

    if isinstance(node, DictConfig):
        return {key: _resolved_entry(node, key) for key in node} if _is_there(node) else None
    if isinstance(node, ListConfig):
        return [_resolved_entry(node, place) for place in range(len(node))] if _is_there(node) else None
    return node


def _resolved_entry(node: Any, key: Any) -> Any:
    from omegaconf.errors import OmegaConfBaseException

    raw = node._get_node(key)
    if raw._is_missing() or raw._is_none():
        return None
    if not raw._is_interpolation():
        return _resolved(node[key])
    try:
        return raw._value() if key == "filename" else _resolved(node[key])
    except OmegaConfBaseException as error:
        if raw._value().count("${") > 1:  # what is chosen later may be anything
            raise ConfigError(f"hydra: {raw._value()} cannot be resolved: {error}") from error
        return raw._value()


def _is_there(node: Any) -> bool:
    return not (node._is_none() or node._is_missing())
