"""Records of an event file: sums equal TensorBoard's, cuts and damage are told apart."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow
from tensorboard.summary.writer.record_writer import RecordWriter

from maskrcnn_exp.record.frames import masked_crc32c, split_frames

PAYLOADS = [b"first", b"", b"third" * 300]
ENDS = [12 + 5 + 4, 21 + 12 + 4, 37 + 12 + 1500 + 4]  # header 12 bytes, payload, sum 4 bytes


def framed(payloads: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for payload in payloads:
        writer.write(payload)
    return buffer.getvalue()


@given(st.binary(max_size=40))
@settings(deadline=None, derandomize=True)
def test_sum_of_short_data_equals_tensorboards(data: bytes) -> None:
    assert masked_crc32c(data) == pywrap_tensorflow.masked_crc32c(data)


@pytest.mark.parametrize("length", [1023, 1024, 1025, 1027, 2048, 5000])  # around the 1024 bytes of one lookup
def test_sum_of_long_data_equals_tensorboards(length: int) -> None:
    data = bytes((7 * index * index + index) % 256 for index in range(length))
    assert masked_crc32c(data) == pywrap_tensorflow.masked_crc32c(data)


def test_whole_file_gives_all_records() -> None:
    frames = split_frames(framed(PAYLOADS))
    assert frames.payloads == PAYLOADS
    assert frames.end == ENDS[-1]
    assert not frames.damaged


def test_file_cut_at_any_byte_gives_its_whole_records() -> None:
    data = framed(PAYLOADS)
    for cut in range(len(data)):
        frames = split_frames(data[:cut])
        whole = sum(end <= cut for end in ENDS)
        assert frames.payloads == PAYLOADS[:whole]
        assert frames.end == ([0, *ENDS])[whole]
        assert not frames.damaged


@pytest.mark.parametrize("position", [0, 9, 14, 18])  # length, its sum, payload, its sum
def test_damage_with_records_behind_it_is_told(position: int) -> None:
    data = bytearray(framed(PAYLOADS))
    data[position] ^= 1
    frames = split_frames(bytes(data))
    assert frames.payloads == []
    assert frames.end == 0
    assert frames.damaged


def test_damaged_last_record_is_a_cut_tail() -> None:
    data = bytearray(framed(PAYLOADS))
    data[-10] ^= 1
    frames = split_frames(bytes(data))
    assert frames.payloads == PAYLOADS[:2]
    assert not frames.damaged


def test_zeros_after_a_power_cut_are_a_cut_tail() -> None:
    frames = split_frames(framed(PAYLOADS) + bytes(4096))
    assert frames.payloads == PAYLOADS
    assert not frames.damaged
