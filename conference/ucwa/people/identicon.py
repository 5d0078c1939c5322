"""A picture of somebody who gave none: blocks in one colour, the same for the same address."""

from __future__ import annotations

import colorsys
import hashlib
import struct
import zlib
from functools import lru_cache

_CELLS = 5
_MARGIN = 12
"""The part of the side, one of so many, that stays empty around the blocks."""
_PAPER = (240, 240, 240)


@lru_cache(maxsize=512)
def png(address: str, side: int) -> bytes:
    """A square PNG (RFC 2083), `side` pixels wide, with a palette of two."""
    digest = hashlib.sha256(address.encode()).digest()
    line = [_cell_of(x, side) for x in range(side)]
    cells = _cells(digest)
    rows = [bytes(x is not None and y is not None and cells[y][x] for x in line) for y in line]
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    header = struct.pack(">IIBBBBB", side, side, 8, 3, 0, 0, 0)
    palette = bytes((*_PAPER, *_ink(digest)))
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _cells(digest: bytes) -> list[list[bool]]:
    """Symmetric, as faces are: the right half mirrors the left one."""
    half = (_CELLS + 1) // 2
    return [
        [bool(digest[y * half + min(x, _CELLS - 1 - x)] & 1) for x in range(_CELLS)]
        for y in range(_CELLS)
    ]


def _ink(digest: bytes) -> tuple[int, int, int]:
    red, green, blue = colorsys.hls_to_rgb(digest[-1] / 256, 0.42, 0.5)
    return round(red * 255), round(green * 255), round(blue * 255)


def _cell_of(pixel: int, side: int) -> int | None:
    """Which row or column of blocks a pixel is in; None: in the margin."""
    margin = side // _MARGIN
    inside = pixel - margin
    width = side - 2 * margin
    return inside * _CELLS // width if 0 <= inside < width else None


def _chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))
