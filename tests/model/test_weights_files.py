"""Files of weights from anywhere: what is read, what is refused, and the words for it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_exp.errors import CheckpointError
from maskrcnn_exp.model.weights import differences, listing, read_file


def test_model_entry_of_a_checkpoint_is_read(tmp_path: Path) -> None:
    file = tmp_path / "last.pt"
    torch.save({"model": {"a": torch.ones(2)}, "progress": {"step": 3}}, file)
    assert read_file(file)["a"].tolist() == [1.0, 1.0]


def test_of_a_checkpoint_with_a_moving_average_the_average_is_read(tmp_path: Path) -> None:
    """That is what its validation scored."""
    average = {"module.weight": torch.ones(2), "n_averaged": torch.tensor(7)}
    torch.save({"model": {"weight": torch.zeros(2)}, "ema": average}, tmp_path / "best.pt")
    assert read_file(tmp_path / "best.pt")["weight"].tolist() == [1, 1]
    assert set(read_file(tmp_path / "best.pt")) == {"weight"}


def test_counters_are_no_difference_and_a_long_list_is_cut() -> None:
    assert differences({"bn.num_batches_tracked": torch.tensor(0)}, {}) == []
    assert differences({}, {"bn.num_batches_tracked": torch.tensor(0)}) == []
    lines = differences({f"k{number}": torch.zeros(1) for number in range(10)}, {})
    assert listing(lines).count("missing: k") == 8
    assert listing(lines).endswith("… and 2 more")


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])
def test_file_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, zipped: bool) -> None:
    file, trace = tmp_path / "evil.pt", tmp_path / "trace"
    if zipped:
        torch.save({"model": Payload(trace)}, file)
    else:
        file.write_bytes(pickle.dumps(Payload(trace)))
    with pytest.raises(CheckpointError, match=r"evil\.pt.*Files that would run code when loaded are refused"):
        read_file(file)
    assert not trace.exists()


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: no such file"):
        read_file(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [[torch.ones(1)], {"a": 1}, torch.ones(2)])
def test_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"x\.pt: expected a state dict \(names to tensors\)"):
        read_file(tmp_path / "x.pt")


@settings(max_examples=60, deadline=None)
@given(content=st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(lambda tail: b"\x80\x02" + tail)))
def test_any_bytes_end_in_one_message(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "noise.pt"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"noise\.pt"):
        read_file(file)
