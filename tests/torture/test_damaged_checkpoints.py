"""A checkpoint that is not as it was written: one message, never a crash inside torch, never a silently wrong load.

The short forms run with `make test`, the long ones with `make torture`.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from maskrcnn_exp.engine.checkpoint import read_checkpoint
from maskrcnn_exp.engine.checkpoint_peek import read_progress
from maskrcnn_exp.errors import CheckpointError
from maskrcnn_exp.model.weights import read_file
from tests.recipes.conftest import SMALL, settings_for
from tests.recipes.records import assert_same_checkpoint, assert_same_record

LONG = pytest.mark.torture
TRUNCATIONS, FLIPS = 200, 1_000

Train = Callable[..., float | None]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three short epochs that kept a checkpoint of each."""
    from maskrcnn_exp.recipes.train import run

    folder = tmp_path_factory.mktemp("trained") / "run"
    config, settings = settings_for(folder, "trainer.epochs=3", "trainer.limit_batches=1", "trainer.keep_checkpoints=3")
    run(config, settings)
    return folder


@pytest.fixture
def run_folder(trained: Path, tmp_path: Path) -> Path:
    """A copy whose checkpoints are files of their own, as after a download."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


_checkpoint, _weights = cache(read_checkpoint), cache(read_file)


def assert_refused_or_same(path: Path, whole: Path) -> bool:
    """Read as a run, as weights and as progress; return whether anything refused it."""
    refused = False
    try:
        read = read_checkpoint(path)
        original = _checkpoint(whole)
        assert all(torch.equal(read.model[key], value) for key, value in original.model.items())
        assert (read.progress, read.meter, read.config) == (original.progress, original.meter, original.config)
    except CheckpointError as error:
        assert path.name in str(error)  # noqa: PT017 - the other outcome is fine too
        refused = True
    try:
        weights, expected = read_file(path), _weights(whole)
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[key], expected[key]) for key in expected)
    except CheckpointError as error:
        assert path.name in str(error)  # noqa: PT017
        refused = True
    try:
        read_progress(path)
    except CheckpointError:
        refused = True
    return refused


def truncated(data: bytes, places: int) -> Iterator[bytes]:
    for place in range(places):
        yield data[: len(data) * place // places]


def flipped(data: bytes, count: int) -> Iterator[bytes]:
    """Half of the bits lie where torch's archive keeps names, lengths and sums: in the first and the last 4 KiB."""
    rng = random.Random(0)
    for number in range(count):
        edge = rng.choice([rng.randrange(4096), len(data) - 1 - rng.randrange(4096)])
        place = edge if number % 2 else rng.randrange(len(data))
        changed = bytearray(data)
        changed[place] ^= 1 << rng.randrange(8)
        yield bytes(changed)


@pytest.mark.parametrize("places", [20, pytest.param(TRUNCATIONS, marks=LONG)])
def test_a_truncated_checkpoint_is_refused_wherever_it_ends(trained: Path, tmp_path: Path, places: int) -> None:
    whole = trained / "checkpoints/last.pt"
    for data in truncated(whole.read_bytes(), places):
        (tmp_path / "cut.pt").write_bytes(data)
        assert assert_refused_or_same(tmp_path / "cut.pt", whole)


@pytest.mark.parametrize("count", [40, pytest.param(FLIPS, marks=[LONG, pytest.mark.timeout(7200)])])
def test_a_flipped_bit_is_noticed_or_changes_nothing(trained: Path, tmp_path: Path, count: int) -> None:
    whole, refused = trained / "checkpoints/last.pt", 0
    for data in flipped(whole.read_bytes(), count):
        (tmp_path / "flipped.pt").write_bytes(data)
        refused += assert_refused_or_same(tmp_path / "flipped.pt", whole)
    print(f"{count} flipped bits: {refused} refused, {count - refused} in bytes that mean nothing")
    assert refused > count / 2


def resume(folder: Path, *overrides: str) -> None:
    from maskrcnn_exp.recipes.train import run

    config, settings = settings_for(
        folder, "trainer.epochs=3", "trainer.limit_batches=1", "trainer.keep_checkpoints=3", *overrides
    )
    run(config, settings)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def newer_format(path: Path) -> None:
    torch.save({**torch.load(path, weights_only=True), "format_version": 2}, path)


def plain_weights(path: Path) -> None:
    torch.save(torch.load(path, weights_only=True)["model"], path)


def other_model(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["model"] = {"fc.weight": torch.ones(3)}
    torch.save(content, path)


@pytest.mark.parametrize("spoil", [half, one_bit, newer_format, plain_weights, other_model])
def test_a_run_goes_back_to_the_checkpoint_before_and_says_so(
    trained: Path, run_folder: Path, spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    last = run_folder / "checkpoints/last.pt"
    for path in run_folder.glob("checkpoints/*.pt"):  # all that were saved at the same moment
        if read_progress(trained / "checkpoints" / path.name)["epoch"] == 4:
            spoil(path)
    spoilt = last.read_bytes()
    resume(run_folder)
    said = capsys.readouterr().out
    assert "last.pt.refused; the run goes back to the one before it" in said
    assert "resumed from" in said
    assert "epoch 3, batch 0" in said
    assert (run_folder / "checkpoints/last.pt.refused").read_bytes() == spoilt
    assert_same_record(trained, run_folder)
    assert_same_checkpoint(trained / "checkpoints/last.pt", last)


def test_a_run_whose_last_checkpoint_is_gone_goes_on_from_the_one_before(trained: Path, run_folder: Path) -> None:
    """It does not begin anew, over its record."""
    for path in run_folder.glob("checkpoints/*.pt"):
        if read_progress(path)["epoch"] == 4:
            path.unlink()
    resume(run_folder)
    assert_same_record(trained, run_folder)


def test_where_all_are_damaged_nothing_is_begun_or_moved(run_folder: Path) -> None:
    before = sorted(path.name for path in run_folder.glob("checkpoints/*"))
    for path in run_folder.glob("checkpoints/*.pt"):
        half(path)
    with pytest.raises(CheckpointError, match=r"last\.pt: damaged[\s\S]*Nor can the run go on from .*best\.pt"):
        resume(run_folder)
    assert sorted(path.name for path in run_folder.glob("checkpoints/*")) == before
    assert any(run_folder.glob("events*"))


def test_another_optimiser_does_not_go_on_with_the_first_ones_state(run_folder: Path) -> None:
    """SGD's momentum under AdamW ended in KeyError: 'exp_avg' inside torch."""
    assert "optimizer=sgd" not in SMALL
    with pytest.raises(CheckpointError, match=r"optimiser's state does not fit: it holds .*SGD needs momentum_buffer"):
        resume(run_folder, "optimizer=sgd", f"resume={run_folder / 'checkpoints/last.pt'}", "trainer.epochs=4")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("model", [1, 2]),
        ("model", {"a": 1}),
        ("optimizer", 7),
        ("ema", {"a": None}),
        ("groups", 3),
        ("progress", {"step": "one", "epoch": 1}),
        ("progress", {}),
        ("meter", {"sums": 1}),
        ("record_offset", -1),
        ("categories", [1]),
        ("config", None),
        ("overrides", [1]),
    ],
)
def test_an_entry_of_another_kind_is_named(trained: Path, tmp_path: Path, entry: str, value: object) -> None:
    content = torch.load(trained / "checkpoints/last.pt", weights_only=True)
    torch.save({**content, entry: value}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=rf"odd\.pt: damaged.*{entry} of another kind"):
        read_checkpoint(tmp_path / "odd.pt")
