"""TFRecord frames: how an event file stores its records, and how to find the damaged ones fast.

A frame is: length (uint64) · masked CRC-32C of the length (uint32) · payload · masked CRC-32C of the payload
(uint32), little-endian. TensorBoard's own reader checks the sums byte by byte in Python, 10 MB/s; this one checks
those of a whole file at once, so that thousands of runs can be read while somebody waits.

Source: Koopman 2002, "32-Bit Cyclic Redundancy Codes for Internet Applications" (the polynomial); the sum is
linear over GF(2), so every byte's contribution can be looked up by its distance from the end and XORed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int64]
    Sums = NDArray[np.uint32]

__all__ = ["Frames", "masked_crc32c", "split_frames"]

_LENGTH: Final = struct.Struct("<Q")
_HEADER: Final = 12  # bytes: length and its sum
_FOOTER: Final = 4  # bytes: the payload's sum
_BLOCK: Final = 256  # bytes whose contributions are looked up by distance; the table is 256 KiB and stays in the cache
_AT_ONCE: Final = 64  # blocks, for the same reason
_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli's, bits reversed
_ONES: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Frames:
    """The whole records at the beginning of a file. Payload n is `data[starts[n] : ends[n]]`."""

    data: bytes
    starts: Ints  # [records]
    ends: Ints  # [records]
    end: int  # bytes up to the end of the last whole record
    damaged: bool  # records may be lost behind `end`; False where only the last one was cut off by a kill

    @property
    def payloads(self) -> list[bytes]:
        return [self.data[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True)]


def split_frames(data: bytes) -> Frames:
    """Split an event file's content into its records, up to the first one that is not whole.

    What follows the last whole record counts as a cut tail, not as damage, where it can be the beginning of one
    record or is all zeros, as a file system leaves it after a power cut.
    """
    starts, ends = _walk(data)
    content = np.frombuffer(data, dtype=np.uint8)
    header_ok = _length_sums(content, starts - _HEADER) == _stored(content, starts - _FOOTER)
    inside = ends <= len(data) - _FOOTER  # all, or all but the last
    good = header_ok & inside
    good[inside] &= _sums(content, starts[inside], ends[inside]) == _stored(content, ends[inside])
    count = len(good) if good.all() else int(good.argmin())
    end = int(ends[count - 1]) + _FOOTER if count else 0
    damaged = False
    if count < len(good):
        rest_may_be_lost = inside[count] and int(ends[count]) + _FOOTER < len(data)
        damaged = any(data[end:]) if not header_ok[count] else bool(rest_may_be_lost)
    return Frames(data, starts[:count], ends[:count], end, damaged)


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data`, rotated and shifted as TFRecord stores it."""
    content = np.frombuffer(data, dtype=np.uint8)
    return int(_sums(content, np.array([0]), np.array([len(data)]))[0])


def _walk(data: bytes) -> tuple[Ints, Ints]:
    """Where payloads begin and end, if all lengths are right; the last one may end behind the data."""
    starts, ends = [], []
    position = 0
    while len(data) - position >= _HEADER:
        start = position + _HEADER
        end = start + min(_LENGTH.unpack_from(data, position)[0], len(data))  # int64 holds no larger length
        starts.append(start)
        ends.append(end)
        position = end + _FOOTER
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)


def _stored(content: Bytes, places: Ints) -> Sums:
    """The little-endian uint32 at each place."""
    sums: Sums = content[places[:, None] + np.arange(_FOOTER)].view("<u4").ravel()
    return sums


def _length_sums(content: Bytes, places: Ints) -> Sums:
    """Masked CRC-32C of the eight bytes at each place: uint32 [places]."""
    tables, size = _tables(), _LENGTH.size
    lengths = content[places[:, None] + np.arange(size)]  # [places, 8]
    looked_up = tables.contributions[np.arange(size - 1, -1, -1) << 8 | lengths]
    return _masked(np.bitwise_xor.reduce(looked_up, axis=1) ^ tables.ones_after[size] ^ _ONES)


def _sums(content: Bytes, starts: Ints, ends: Ints) -> Sums:
    """Masked CRC-32C of each piece of `content`: uint32 [pieces]."""
    blocks = -(-(ends - starts) // _BLOCK)  # [pieces]
    piece = np.repeat(np.arange(len(starts)), blocks)  # [m], of each block
    from_end = np.repeat(np.cumsum(blocks), blocks) - 1 - np.arange(len(piece))  # [m], 0 for a piece's last block
    block_ends = ends[piece] - from_end * _BLOCK
    block_starts = np.maximum(block_ends - _BLOCK, starts[piece])
    sums = _block_sums(content, block_starts, block_ends)
    first = block_starts == starts[piece]
    sums[first] ^= _tables().ones_after[(block_ends - block_starts)[first]]
    crc = np.zeros(len(starts), dtype=np.uint32)  # of a piece without a byte
    crc[blocks > 0] = _joined(sums, piece, from_end) ^ np.uint32(_ONES)
    return _masked(crc)


def _masked(crc: Sums) -> Sums:
    masked: Sums = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
    return masked


def _block_sums(content: Bytes, starts: Ints, ends: Ints) -> Sums:
    """The sum of each block of up to _BLOCK bytes, as if it began with a state of zeros: uint32 [m]."""
    sums = np.empty(len(starts), dtype=np.uint32)
    for some in (slice(first, first + _AT_ONCE) for first in range(0, len(starts), _AT_ONCE)):
        begin, sizes = starts[some], ends[some] - starts[some]
        own_begin = np.cumsum(sizes) - sizes  # [some], where a block begins among the bytes below
        place = np.repeat(begin - own_begin, sizes) + np.arange(sizes.sum())
        distance = np.repeat(ends[some] - 1, sizes) - place
        looked_up = _tables().contributions[distance << 8 | content[place]]
        sums[some] = np.bitwise_xor.reduceat(looked_up, own_begin)
    return sums


def _joined(sums: Sums, piece: Ints, from_end: Ints) -> Sums:
    """The sums of whole pieces: neighbouring blocks are joined, counted from the end, until one is left of each."""
    shift = _tables().shift
    while from_end.any():
        left = (from_end & 1) == 1
        sums[left] = _shifted(sums[left], shift)
        shift, from_end = _shifted(shift, shift), from_end >> 1  # twice as far
        begin = np.flatnonzero(np.diff(piece, prepend=-1) | np.diff(from_end, prepend=-1))
        sums = np.bitwise_xor.reduceat(sums, begin)
        piece, from_end = piece[begin], from_end[begin]
    return sums


def _shifted(states: Sums, shift: Sums) -> Sums:
    """States as they are after some zeros; `shift` uint32 [4, 256] tells for each byte of a state what it becomes."""
    moved: Sums = shift[0][states & 0xFF] ^ shift[1][states >> 8 & 0xFF]
    moved ^= shift[2][states >> 16 & 0xFF] ^ shift[3][states >> 24]
    return moved


@dataclass(frozen=True)
class _Tables:
    contributions: Sums  # [_BLOCK · 256], of (distance from the block's end, byte)
    ones_after: Sums  # [_BLOCK + 1], what the initial ones become after so many zeros
    shift: Sums  # [4, 256], _BLOCK zeros


@cache
def _tables() -> _Tables:
    table = np.empty((_BLOCK, 256), dtype=np.uint32)
    table[0] = np.arange(256)
    for _ in range(8):
        table[0] = np.where(table[0] & 1, (table[0] >> 1) ^ _POLYNOMIAL, table[0] >> 1)
    ones_after = np.full(_BLOCK + 1, _ONES, dtype=np.uint32)
    for count in range(_BLOCK):
        ones_after[count + 1] = (ones_after[count] >> 8) ^ table[0][ones_after[count] & 0xFF]
        if count:
            table[count] = (table[count - 1] >> 8) ^ table[0][table[count - 1] & 0xFF]
    return _Tables(table.ravel(), ones_after, table[[_BLOCK - 1, _BLOCK - 2, _BLOCK - 3, _BLOCK - 4]])
