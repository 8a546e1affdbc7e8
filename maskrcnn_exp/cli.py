"""The commands. This module and what it imports at the top load in a fraction of a second: no torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from maskrcnn_exp import __version__
from maskrcnn_exp.cli_help import CHECK_DATA_HELP, EVALUATE_HELP, EXPORT_HELP, PREDICT_HELP, TRAIN_HELP
from maskrcnn_exp.completion import asks_for_completion, offered, with_command
from maskrcnn_exp.errors import CheckpointError, Interrupted, UserError, WriteError
from maskrcnn_exp.hydra_run import configuration_errors, forget_stdout, run_hydra

__all__ = ["main"]

_PASS_ON: dict[str, Any] = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="maskrcnn-exp")
def cli() -> None:
    """Train Mask R-CNN with all five losses in sight.

    \b
      python -m maskrcnn_exp train                      a small network on drawn shapes, minutes on a CPU
      python -m maskrcnn_exp train lr.mask_mult=10      the mask head learns ten times faster
      python -m maskrcnn_exp check-data dataset=coco dataset.root=FOLDER
      python -m maskrcnn_exp train dataset=coco dataset.root=FOLDER model=mobilenet_v2_fpn
      python -m maskrcnn_exp evaluate checkpoint=runs/maskrcnn/RUN/checkpoints/best.pt
      python -m maskrcnn_exp predict checkpoint=runs/maskrcnn/RUN/checkpoints/best.pt images=pictures output=found
      python -m maskrcnn_exp export runs/maskrcnn/RUN   as ONNX, or as torchvision's own weights
      python -m maskrcnn_exp diagnose runs/maskrcnn/RUN what is wrong, and the command that mends it
      python -m maskrcnn_exp compare runs/maskrcnn/*    which run is better, and why
      tensorboard --logdir runs/maskrcnn

    \b
    Exit codes: 0 done · 1 diagnose --fail-on: found · 2 usage or configuration · 3 data ·
    4 training diverged · 5 checkpoint · 130 interrupted, state saved
    """


@cli.command(context_settings=_PASS_ON, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def train(words: tuple[str, ...]) -> None:
    """Train; takes Hydra overrides: `train --help` lists them."""
    if asks_for_completion(words) and (names := offered(sorted(cli.commands))) is not None:
        click.echo(names)
        return
    if "--help" in words or "-h" in words:
        from maskrcnn_exp.compose import compose_yaml
        from maskrcnn_exp.config_names import choices_by_group

        groups = "\n".join(f"  {group}: {', '.join(choices)}" for group, choices in choices_by_group().items())
        config = compose_yaml([word for word in words if "=" in word])
        click.echo(TRAIN_HELP.format(groups=groups, config=config))
        return
    if any(word.startswith("replay=") for word in words):
        from maskrcnn_exp.recipes.replay import run_words as replay

        replay(words)
        return
    run_hydra(list(words))


@cli.command(context_settings=_PASS_ON, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def evaluate(words: tuple[str, ...]) -> None:
    """Evaluate a checkpoint: `evaluate checkpoint=PATH [overrides]`."""
    if _helped(words, EVALUATE_HELP):
        return
    _refuse_absent_checkpoint(_named_checkpoints(words))
    from maskrcnn_exp.recipes.evaluate import run_words

    run_words(words)


@cli.command(
    context_settings=_PASS_ON,
    add_help_option=False,
    short_help="Find objects in pictures: overlays, COCO results, label files.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def predict(words: tuple[str, ...]) -> int:
    """Predict on pictures: `predict checkpoint=PATH images=FILE|DIR|GLOB output=DIR`."""
    if _helped(words, PREDICT_HELP):
        return 0
    _refuse_absent_checkpoint(_named_checkpoints(words))
    from maskrcnn_exp.recipes.predict import run_words

    return run_words(words)


@cli.command(
    context_settings=_PASS_ON, add_help_option=False, short_help="Write a checkpoint as ONNX or torchvision weights."
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def export(words: tuple[str, ...]) -> None:
    """Export a checkpoint: `export CHECKPOINT|RUN [format=onnx,torchvision]`."""
    if _helped(words, EXPORT_HELP):
        return
    _refuse_absent_checkpoint([*_named_checkpoints(words), *(word for word in words if "=" not in word)])
    from maskrcnn_exp.recipes.export import run_words

    run_words(words)


@cli.command(short_help="Say what is wrong with runs, and the command that mends it.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--fail-on",
    type=click.Choice(["info", "warning", "severe"]),
    help="Exit with code 1 where a verdict is as bad as this, or worse.",
)
@click.option("--report", type=click.Path(path_type=Path), help="Folder for diagnosis.md with pictures.")
@click.option("--verify", is_flag=True, help="Try the prescription: fork the run, once as it was, once as prescribed.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of --verify; three after the warm-up if not given.")
@click.option("--rule", help="Verdict to --verify; the first one if not given.")
def diagnose(
    runs: tuple[Path, ...],
    as_json: bool,
    fail_on: Any,
    report: Path | None,
    verify: bool,
    epochs: int | None,
    rule: str | None,
) -> int:
    """Say what is wrong with each of RUNS, on which evidence, and the command that mends it.

    RUN is a run's folder, a study's folder for all its trials, or a log of torchvision, Detectron2 or MMDetection with
    the five losses: a TensorBoard folder, a CSV file, lines of JSON, or text. The first verdict is the answer.
    """
    if verify:
        if len(runs) > 1 or fail_on or report:
            raise click.UsageError("--verify takes one run, and neither --fail-on nor --report.")
        from maskrcnn_exp.recipes.verify import run as verify_run

        return verify_run(runs[0], click.echo, rule=rule, epochs=epochs, as_json=as_json)
    if epochs or rule:
        raise click.UsageError("--epochs and --rule go with --verify.")
    from maskrcnn_exp.recipes.diagnose import run

    return run(runs, click.echo, as_json=as_json, fail_on=fail_on, report=report)


@cli.command(short_help="Say which run is better, why, and whether it is more than noise.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--sort", default="mask_ap", show_default=True, help="Rank by mask_ap, box_ap, val, time, or any tag.")
@click.option("--top", type=click.IntRange(min=1), help="Print the best N settings only.")
@click.option("--plot", type=click.Path(path_type=Path), help="Folder for a picture per loss and AP.")
def compare(runs: tuple[Path, ...], as_json: bool, sort: str, top: int | None, plot: Path | None) -> None:
    """Compare RUNS: what differs in their settings, what came out, and whether it is more than noise.

    RUN is a run's folder, a study's folder for all its trials, or a log of another program. Runs that differ only in
    their seed count as one setting. The setting of the first run is what the best one is measured against.
    """
    from maskrcnn_exp.recipes.compare import run

    run(runs, click.echo, as_json=as_json, sort=sort, top=top, plot=plot)


@cli.command(
    name="check-data",
    context_settings=_PASS_ON,
    add_help_option=False,
    short_help="Check a dataset before training; `check-data --help` says how.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def check_data(words: tuple[str, ...]) -> None:
    """Check a dataset before training: `check-data dataset=coco dataset.root=FOLDER`."""
    if _helped(words, CHECK_DATA_HELP):
        return
    from maskrcnn_exp.recipes.check_data import run_words

    run_words(words)


def _refuse_absent_checkpoint(paths: Sequence[str]) -> None:
    """Answer a mistyped path before torch is imported, which takes seconds."""
    for path in paths:
        if path and not Path(path).exists():
            raise CheckpointError.absent(path)


def _named_checkpoints(words: Sequence[str]) -> list[str]:
    return [word.partition("=")[2] for word in words if word.startswith("checkpoint=")]


def _helped(words: Sequence[str], text: str) -> bool:
    """Print a command's help where it was asked for, or where nothing was typed."""
    if words and not {"--help", "-h"} & set(words):
        return False
    click.echo(text)
    return True


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code; an error a user can cause is one message on stderr."""
    words = with_command(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_guarded(lambda: cli.main(words, prog_name="maskrcnn-exp", standalone_mode=False)))


def _guarded(command: Callable[[], object]) -> int:
    try:
        code = command()
    except UserError as error:
        return _say(error, error.exit_code)
    except Interrupted as event:
        return event.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.exceptions.Abort, KeyboardInterrupt):
        return Interrupted.exit_code
    except BrokenPipeError:
        forget_stdout()
        return 1
    except OSError as error:
        told = WriteError.of(error, Path.cwd())
        if told is None:
            raise
        return _say(told, told.exit_code)
    except configuration_errors() as error:
        from maskrcnn_exp.config_errors import explain

        return _say(explain(error), 2)
    return code if isinstance(code, int) else 0


def _say(error: UserError, code: int) -> int:
    click.echo(f"{type(error).__name__.removesuffix('Error')} error: {error}", err=True)
    return code
