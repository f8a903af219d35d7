"""Videos that arrive in pieces: pictures, one in each piece, or an encoded video cut anywhere."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from elman.errors import DataError
from elman.tasks.video.decoding import FrameShape, Picture, decoded

#: how JPEG and PNG files begin
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def is_picture(piece: bytes) -> bool:
    """Whether a piece begins like a JPEG or a PNG file.

    >>> is_picture(bytes([0xFF, 0xD8, 0xFF, 0xE0])), is_picture(b"RIFF")
    (True, False)
    """
    return piece.startswith(_PICTURES)


def read_pictures(pieces: Iterable[bytes], shape: FrameShape) -> Iterator[Picture]:
    """Yields the picture in each piece, scaled; ``DataError`` names the first damaged one."""
    for number, piece in enumerate(pieces, 1):
        if not is_picture(piece):
            raise DataError(f"frame {number} is neither JPEG nor PNG; send a picture per message.")
        try:
            yield next(decoded(piece, shape)).picture
        except (DataError, StopIteration) as error:
            raise DataError(
                f"frame {number} cannot be read as a picture; it is damaged: send it again."
            ) from error


class PieceReader(io.RawIOBase):
    """Pieces as a file without seeking; a read returns at most one piece.

    >>> reader = PieceReader([b"abc", b"de"])
    >>> reader.read(2), reader.read(9), reader.read(9), reader.read(9)
    (b'ab', b'c', b'de', b'')
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._left = iter(pieces), b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        end = len(self._left) if size < 0 else size
        found, self._left = self._left[:end], self._left[end:]
        return found
