"""Figures in two bytes each, and a day of them compressed (pure).

Statistics are kept for charts, where a figure that is right to one part in two thousand looks exact. So each is kept
as the number of its step on a logarithmic scale, from a thousandth to a few exabytes, in 16 bits; 0 is "not
available" and 1 is zero. A day's means are kept in steps four times as large (right to one part in five hundred),
as the last bits of a figure that never rests are what cannot be compressed.
"""

import math
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

_SMALLEST: Final = 1e-3
_LARGEST: Final = 1e19
_NONE, _ZERO, _FIRST, _LAST = 0, 1, 2, 65535
_STEP: Final = (math.log(_LARGEST) - math.log(_SMALLEST)) / (_LAST - _FIRST)
_OFFSET: Final = math.log(_SMALLEST) / _STEP - _FIRST
# Relative: half a step; and of what `pack_columns` keeps, half a large step beside it.
LARGEST_ERROR: Final = math.expm1(_STEP / 2)
_LARGE_STEP: Final = 4
LARGEST_ERROR_OF_COLUMNS: Final = math.expm1(_STEP * (_LARGE_STEP + 1) / 2)
BYTES_EACH: Final = 2
# A day of 1-minute figures in twelve columns; what a stored block may unpack to.
_MOST_BYTES: Final = 1440 * 32 * BYTES_EACH


def _figures(error: float) -> list[float | None]:
    """The middle of each step, or a whole number within the error: 4 processes are kept as 4 and not as 4.001."""
    figures: list[float | None] = [None, 0.0]
    for code in range(_FIRST, _LAST + 1):
        middle = math.exp((code + _OFFSET) * _STEP)
        whole = round(middle)
        figures.append(float(whole) if abs(middle - whole) <= middle * error else middle)
    return figures


_FIGURES: Final = _figures(LARGEST_ERROR)
_FIGURES_OF_COLUMNS: Final = _figures(LARGEST_ERROR_OF_COLUMNS)


class PackingError(ValueError):
    """Stored bytes that are no block of figures."""


def code_of(figure: float | None) -> int:
    """The 16-bit code of a figure. Below half a thousandth it is zero, and what is no number is not available."""
    if figure is None or not figure >= 0:
        return _NONE
    if figure < _SMALLEST / 2:
        return _ZERO
    if figure >= _LARGEST:
        return _LAST if figure != math.inf else _NONE
    return max(_FIRST, round(math.log(figure) / _STEP - _OFFSET))


def figure_of(code: int) -> float | None:
    """The figure that a code stands for, right to `LARGEST_ERROR`."""
    return _FIGURES[code]


def pack_row(figures: Iterable[float | None]) -> bytes:
    """The figures of one moment, two bytes each."""
    codes = [code_of(figure) for figure in figures]
    return struct.pack(f"<{len(codes)}H", *codes)


def unpack_row(packed: bytes) -> list[float | None]:
    """The figures that `pack_row` packed; PackingError for an odd number of bytes."""
    return [_FIGURES[code] for code in codes_in(packed)]


def codes_in(packed: bytes) -> Sequence[int]:
    """The codes in packed figures; PackingError for an odd number of bytes."""
    if len(packed) % BYTES_EACH:
        raise PackingError(f"{len(packed)} bytes are no whole number of figures")
    codes = array("H")
    codes.frombytes(packed)
    if sys.byteorder == "big":
        codes.byteswap()
    return codes


def pack_columns(columns: Sequence[Sequence[float | None]]) -> bytes:
    """Columns of equal length as one compressed block.

    All high bytes come before all low ones: the high ones hardly change from one moment to the next, which is what
    compresses.
    """
    if not columns:
        return b""
    codes = [_in_large_steps(code_of(figure)) for column in columns for figure in column]
    plain = struct.pack(f"<{len(codes)}H", *codes)
    return zlib.compress(plain[1::2] + plain[0::2], 9)


def unpack_columns(block: bytes, count: int) -> list[list[float | None]]:
    """The ``count`` columns of a block. PackingError when it is damaged or of another shape."""
    if not block:
        return []
    unpacker = zlib.decompressobj()
    try:
        planes = unpacker.decompress(block, _MOST_BYTES)
    except zlib.error as exc:
        raise PackingError(f"a block of figures is damaged: {exc}") from exc
    if unpacker.unconsumed_tail or not unpacker.eof or count <= 0 or len(planes) % (BYTES_EACH * count):
        raise PackingError("a block of figures has another shape than expected")
    half = len(planes) // 2
    plain = bytearray(len(planes))
    plain[1::2], plain[0::2] = planes[:half], planes[half:]
    figures = [_FIGURES_OF_COLUMNS[code] for code in codes_in(bytes(plain))]
    length = half // count
    return (
        [figures[start : start + length] for start in range(0, half, length)] if length else [[] for _ in range(count)]
    )


def _in_large_steps(code: int) -> int:
    if code < _FIRST:
        return code
    return min(_LAST, max(_FIRST, round(code / _LARGE_STEP) * _LARGE_STEP))
