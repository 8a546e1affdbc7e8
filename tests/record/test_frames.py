"""Records of an event file: sums equal TensorBoard's, cuts and damage are told apart."""

from __future__ import annotations

import io
import struct

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


@pytest.mark.parametrize("length", [255, 256, 257, 259, 512, 513, 1024, 5000, 70_000])  # around blocks of 256 bytes
def test_sum_of_long_data_equals_tensorboards(length: int) -> None:
    data = bytes((7 * index * index + index) % 256 for index in range(length))
    assert masked_crc32c(data) == pywrap_tensorflow.masked_crc32c(data)


def split_one_by_one(data: bytes) -> tuple[list[bytes], int, bool]:
    """What `split_frames` promises, frame by frame with TensorBoard's sums: payloads, end, damaged."""
    crc = pywrap_tensorflow.masked_crc32c
    payloads: list[bytes] = []
    at = 0
    while len(data) - at >= 12:
        length, length_crc = struct.unpack_from("<QI", data, at)
        if crc(data[at : at + 8]) != length_crc:
            return payloads, at, any(data[at:])
        end = at + 12 + length + 4
        if end > len(data):
            break
        payload = data[at + 12 : end - 4]
        if crc(payload) != struct.unpack_from("<I", data, end - 4)[0]:
            return payloads, at, end < len(data)
        payloads.append(payload)
        at = end
    return payloads, at, False


@given(
    payloads=st.lists(st.binary(max_size=20) | st.integers(240, 900).map(lambda size: b"long" * size), max_size=5),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=2),
    cut=st.integers(0, 30),
    tail=st.sampled_from([b"", bytes(5), bytes(100), b"\xff" * 40]),
)
@settings(max_examples=300, deadline=None)
def test_a_file_is_split_at_once_as_it_is_frame_by_frame(
    payloads: list[bytes], flips: list[tuple[float, int]], cut: int, tail: bytes
) -> None:
    data = bytearray(framed(payloads) + tail)
    for place, bits in flips:
        if data:
            data[int(place * (len(data) - 1))] ^= bits
    content = bytes(data[: len(data) - cut])
    frames = split_frames(content)
    assert (frames.payloads, frames.end, frames.damaged) == split_one_by_one(content)


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
