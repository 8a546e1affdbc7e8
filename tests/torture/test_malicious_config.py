"""A configuration from a stranger: by name it can call nothing but Hydra's plugins, plain loggers and the user's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.named_code import named_class, named_function
from maskrcnn_exp.sweep.factories import make_pruner, make_sampler
from tests.commands import run_command

NO_TRAINING = "trainer.epochs=-1"  # what is not stopped before comes to this


def call(target: str, trace: str = "trace", **keys: object) -> str:
    """A Hydra word's value that would make `trace` in the current folder."""
    return "{" + ",".join([f"_target_: {target}", *(f"{key}: {value}" for key, value in keys.items())]) + "}"


ATTACKS: Mapping[str, tuple[str, ...]] = {
    "a callback": ("+hydra.callbacks.x=" + call("os.mkdir", path="trace"),),
    "a callback that Hydra does not know as bad": (
        "+hydra.callbacks.x=" + call("shutil.copyfile", src="evil/train_evil.yaml", dst="trace"),
    ),
    "a callback through a module of ours": ("+hydra.callbacks.x=" + call("maskrcnn_exp.cli.os.mkdir", path="trace"),),
    "a callback in another place": (
        "+hydra.job.env_set.x=" + call("os.mkdir", path="trace"),
        "hydra.callbacks=${hydra.job.env_set}",
    ),
    "an argument of a callback": (
        "+hydra.callbacks.x={_target_: hydra.experimental.callbacks.LogJobReturnCallback, y: "
        + call("os.mkdir", path="trace")
        + "}",
    ),
    "a launcher": ("hydra.launcher._target_=os.mkdir", "+hydra.launcher.path=trace"),
    "a launcher's argument": ("+hydra.launcher.x=" + call("os.mkdir", path="trace"),),
    "a sweeper": ("hydra.sweeper._target_=os.mkdir",),
    "a log handler": ("+hydra.job_logging.handlers.x={class: os.mkdir, path: trace}",),
    "a log file elsewhere": ("+hydra.job_logging.handlers.x={class: logging.FileHandler, filename: trace}",),
    "a log file a level up": (
        "+hydra.job_logging.handlers.x="
        "{class: logging.FileHandler, filename: '${hydra.runtime.output_dir}/../../../../trace'}",
    ),
    "a log's object": ("+hydra.job_logging.handlers.x={class: logging.StreamHandler, stream: 'ext://os.environ'}",),
    "a configuration folder": ("--config-dir", "evil", "--config-name", "train_evil"),
    "a pickle": ("--experimental-rerun", "evil/train_evil.yaml"),
    "a sampler": ("--multirun", "hydra/sweeper=optuna", "seed=1,2", "hydra.sweeper.sampler._target_=os.mkdir"),
    "a pruner": ("--multirun", "hydra/sweeper=optuna", "seed=1,2", "hydra.sweeper.pruner._target_=os.system"),
    "a search space": (
        "--multirun",
        "hydra/sweeper=optuna",
        "seed=1,2",
        "hydra.sweeper.custom_search_space=maskrcnn_exp.cli.os.mkdir",
    ),
}


@pytest.mark.parametrize("words", ATTACKS.values(), ids=ATTACKS.keys())
def test_nothing_that_a_configuration_names_is_called(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    evil = {"defaults": ["train", "_self_"], "hydra": {"callbacks": {"x": {"_target_": "os.mkdir", "path": "trace"}}}}
    (tmp_path / "evil/train_evil.yaml").write_text(yaml.safe_dump(evil))
    result = run_command("train", *words, NO_TRAINING, "hydra.run.dir=out", "hydra.sweep.dir=out", cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("Config error: "), result.stderr
    assert "device:" not in result.stdout  # it was stopped before anything was built
    assert "Traceback" not in result.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"evil", "out"}
    assert not list(tmp_path.rglob("trace"))


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.run",
        "shutil.rmtree",
        "posix.system",
        "maskrcnn_exp.cli.os.system",
        "maskrcnn_exp.__main__.main",
        "optuna.os.system",
        "optuna.samplers._cmaes.pickle.loads",
        "optuna.__builtins__.eval",
        "torch.load",
        "torch.hub.load",
        "numpy.load",
        "os..system",
        "",
        "eval",
        "this.s",
        "antigravity.webbrowser",
        "optuna.create_study",
    ],
)
def test_dotted_tricks_lead_nowhere(target: str) -> None:
    with pytest.raises(ConfigError):
        make_sampler({"_target_": target}, None, None, None)
    with pytest.raises(ConfigError):
        make_pruner({"_target_": target, "path": "x"})
    with pytest.raises(ConfigError):
        make_sampler({"_target_": "optuna.samplers.NSGAIISampler", "crossover": {"_target_": target}}, 0, None, None)
    with pytest.raises(ConfigError):
        named_function(target, "custom_search_space")


def test_the_standard_library_is_not_even_imported(tmp_path: Path) -> None:
    """`antigravity` opens a browser when it is imported, `this` prints."""
    import sys

    with pytest.raises(ConfigError, match="standard library"):
        named_class("antigravity.webbrowser.Chrome", (object,), "x")
    assert "antigravity" not in sys.modules


def test_the_users_own_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_space.py").write_text("from os import system\ndef search(config, trial): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert named_function("my_space.search", "x")(None, None) == 1
    with pytest.raises(ConfigError, match="not a function written in Python"):
        named_function("my_space.system", "x")


def test_a_trusted_callback_and_log_file_pass(tmp_path: Path) -> None:
    (tmp_path / "my_callbacks.py").write_text(
        "from hydra.experimental.callback import Callback\n"
        "class Mine(Callback):\n"
        "    def on_run_start(self, config, **keys):\n"
        "        print('CALLED')\n"
    )
    words = (
        "+hydra.callbacks.mine={_target_: my_callbacks.Mine}",
        "hydra/job_logging=default",
        "hydra/launcher=joblib",
        "hydra/sweeper=optuna",
        "hydra/sweeper/sampler=nsgaii",
        "hydra.run.dir=out",
    )
    result = run_command("train", NO_TRAINING, *words, cwd=tmp_path)
    assert "CALLED" in result.stdout
    assert "Config error: trainer.epochs=-1" in result.stderr, result.stderr  # after a warning of Hydra 1.4
