"""Word vectors: read from common file formats, trained on your own text, and written.

The formats are word2vec text, word2vec binary, GloVe text (each also gzipped), and NumPy's ``.npz``
with arrays ``words`` and ``vectors``; they are recognised by content, not by name.  Large files are
read line by line, and only the requested words stay in memory.  The embedding layer is in
``elman.nn.embedding``.
"""

import gzip
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float32

from elman.data.numbers import number_of
from elman.data.sources import why_not_a_file
from elman.data.vocabulary import PADDING, UNKNOWN, Vocabulary
from elman.data.words import composed, without_accents
from elman.errors import DataError, OptionError, ShapeError
from elman.extras import extra
from elman.files import write_whole
from elman.stages import stage


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Distinct words and their vectors: row i of ``matrix`` belongs to ``words[i]``.

    ``notes`` are sentences about lines of the file that were skipped.

    Raises ``ShapeError`` if the numbers of words and rows differ.
    """

    words: tuple[str, ...]
    matrix: Float32[np.ndarray, "word size"]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or len(self.matrix) != len(self.words):
            raise ShapeError(
                f"WordVectors: there are {len(self.words)} words, and the matrix has shape "
                f"{self.matrix.shape}; give a row for each word."
            )

    @property
    def size(self) -> int:
        """The dimension of the vectors."""
        return int(self.matrix.shape[1])


def read_vectors(path: Path, *, keep: Container[str] | None = None) -> WordVectors:
    """The vectors of a file in any of the formats above, as float32.

    ``keep`` holds the words to read (see `spellings` for their forms); other words of the file are
    skipped.  If a word occurs twice, the first vector counts.  Bytes of a word that are not UTF-8
    become U+FFFD: some published files have such words.  Words are composed (NFC), like those of
    texts.  A space as a word is skipped, with a note.

    Raises ``DataError``, with the line, for a file that is missing, truncated or of another kind, a
    line with too many or too few numbers, and numbers that are not finite.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "glove.txt"
    ...     _ = path.write_text("the 0.5 -1\\nspell 2 0.25\\n")
    ...     vectors = read_vectors(path, keep={"spell"})
    >>> vectors.words, vectors.matrix.tolist()
    (('spell',), [[2.0, 0.25]])
    """
    reason = why_not_a_file(path)
    if reason is not None:
        raise DataError(f"{path}: {reason}")
    try:
        with _opened(path) as stream:
            return _read(path, stream, keep)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: the compressed file is damaged or truncated ({error}); download it again."
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: the file cannot be read ({reason}); name a file.") from error


def write_vectors(path: Path, vectors: WordVectors) -> None:
    """Write word2vec text: a line "words size", then a word and its numbers per line.

    `read_vectors` returns exactly the same numbers.  Raises ``DataError`` for a word that is empty
    or contains a space, which the format cannot hold, and ``RunError`` if the disk is full.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "own.txt"
    ...     write_vectors(path, WordVectors(("spell",), np.array([[0.1, 2.0]], np.float32)))
    ...     path.read_text()
    '1 2\\nspell 0.1 2.0\\n'
    """
    lines = [f"{len(vectors.words)} {vectors.size}\n"]
    for word, row in zip(vectors.words, vectors.matrix, strict=True):
        if not _fits_a_line(word):
            raise DataError(
                f'{path}: the word "{word}" is empty or contains a space, which word2vec text '
                "cannot hold; remove it."
            )
        lines.append(f"{word} {' '.join(map(str, row))}\n")  # the shortest text of each float32
    write_whole(path, "".join(lines))


def train_vectors(
    sentences: Iterable[Sequence[str]],
    *,
    size: int = 100,
    skip_gram: bool = True,
    window: int = 5,
    min_count: int = 2,
    epochs: int = 10,
    seed: int = 0,
) -> WordVectors:
    """Train Word2Vec (Mikolov et al. 2013) on your own sentences with gensim; sorted by frequency.

    ``skip_gram=False`` trains a continuous bag of words.  Words that occur less than ``min_count``
    times, are empty or contain a space are skipped.  One thread is used, so that a seed gives the
    same vectors on the same machine.

    Raises ``OptionError`` for numbers below 1 or if gensim is missing, and ``DataError`` if no word
    is frequent enough.
    """
    options = {"size": size, "window": window, "min_count": min_count, "epochs": epochs}
    for name, value in options.items():
        if value < 1:
            raise OptionError(f"train_vectors: {name} is {value}; give 1 or more.")
    with extra("vectors", "training word vectors"):
        from gensim.models import Word2Vec  # type: ignore[import-untyped, unused-ignore]
    usable = [[word for word in sentence if _fits_a_line(word)] for sentence in sentences]
    frequent = Counter(chain.from_iterable(usable)).most_common(1)
    if not frequent or frequent[0][1] < min_count:
        raise DataError(
            f"train_vectors: no word occurs {min_count} times (min_count); give more text or a "
            "smaller min_count."
        )
    with stage("training word vectors"):
        model = Word2Vec(
            # gensim reads no more than 10,000 words of a sentence
            [piece for words in usable for piece in _pieces(words, 10_000)],
            vector_size=size,
            sg=int(skip_gram),
            window=window,
            min_count=min_count,
            epochs=epochs,
            seed=seed,
            workers=1,
            hashfxn=_hash,
        )
    return WordVectors(tuple(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32))


def spellings(word: str) -> tuple[str, ...]:
    """The forms under which the vector of a word is looked up, in this order.

    The word, its lower case, and both without accents.

    >>> spellings("Harry"), spellings("spell"), spellings("Zo\u00eb")[2:]
    (('Harry', 'harry'), ('spell',), ('Zoe', 'zoe'))
    """
    plain = without_accents(word)
    return tuple(dict.fromkeys([word, word.lower(), plain, plain.lower()]))


def rows_for(
    vocabulary: Vocabulary, vectors: WordVectors, *, seed: int = 0
) -> tuple[Float32[np.ndarray, "word size"], int]:
    """A row for each index of the vocabulary, and the number of its words with a vector.

    A word without a vector for any of its `spellings`, and the unknown word, get random numbers
    with the standard deviation of the vectors; padding gets zeros.

    >>> vectors = WordVectors(("harry",), np.array([[1.0, 2.0]], np.float32))
    >>> rows, found = rows_for(Vocabulary(["Harry"]), vectors)
    >>> rows[[0, 2]].tolist(), found
    ([[0.0, 0.0], [1.0, 2.0]], 1)
    """
    places = {word: place for place, word in enumerate(vectors.words)}
    std = float(vectors.matrix.std()) if vectors.matrix.size else 1.0
    rows = np.random.default_rng(seed).normal(0.0, std, (len(vocabulary), vectors.size))
    matrix = rows.astype(np.float32)
    matrix[PADDING] = 0.0
    found = 0
    for index in range(UNKNOWN + 1, len(vocabulary)):
        place = next(
            (places[form] for form in spellings(vocabulary.words[index]) if form in places), None
        )
        if place is not None:
            matrix[index] = vectors.matrix[place]
            found += 1
    return matrix, found


def _fits_a_line(word: str) -> bool:
    return word.split() == [word]


def _pieces(words: list[str], length: int) -> Iterator[list[str]]:
    return (words[start : start + length] for start in range(0, len(words), length))


def _hash(text: str) -> int:
    # Python's own hash of a string differs between processes
    return zlib.crc32(text.encode("utf-8"))


# Reading

_HEADER = re.compile(rb"(\d+)[ \t]+(\d+)[ \t]*\r?\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_BOM = b"\xef\xbb\xbf"
_HEAD = 1 << 16
_CHUNK = 1 << 20
# A file with a longer line is not text.
_LINE = 1 << 22
_FORMATS = "Elman reads word2vec text or binary, GloVe text, and .npz with words and vectors"


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    # gzip's own reader is slow on short lines; a buffer before it helps
    return io.BufferedReader(gzip.open(path), _CHUNK) if packed else path.open("rb", _CHUNK)


def _read(path: Path, stream: BinaryIO, keep: Container[str] | None) -> WordVectors:
    head = stream.read(_HEAD)
    skip = len(_BOM) if head.startswith(_BOM) else 0
    if not head[skip:].strip():
        raise DataError(f"{path}: the file is empty; {_FORMATS}.")
    if head.startswith(b"PK\x03\x04"):
        stream.seek(0)
        return _read_npz(path, stream, keep)
    header = _HEADER.match(head, skip)
    if header is None:
        stream.seek(skip)
        size = _size_of_lines(path, [stream.readline(_LINE) for _ in range(20)])
        stream.seek(skip)
        kept = _Kept(path, size, keep)
        _read_lines(kept, stream, first=1)
        return kept.vectors()
    count, size = int(header[1]), int(header[2])
    if count < 1 or size < 1:
        raise DataError(
            f"{path}, line 1: the header says {count} words of {size} numbers; give 1 or more."
        )
    stream.seek(header.end())
    kept = _Kept(path, size, keep)
    if _is_binary(head[header.end() :], size):
        _read_binary(kept, stream, count)
        return kept.vectors()
    found = _read_lines(kept, stream, first=2)
    if found != count:
        raise DataError(
            f"{path}, line 1: the header says {count} words, but {found} lines with words follow; "
            "the file is truncated or its header is wrong."
        )
    return kept.vectors()


class _Kept:
    """The requested vectors, collected without a second copy of their numbers."""

    def __init__(self, path: Path, size: int, keep: Container[str] | None) -> None:
        self.path = path
        self.size = size
        self.keep = keep
        self.words: dict[str, str] = {}  # each word, in order, and its position in the file
        self.numbers = bytearray()
        self.blanks: list[int] = []  # lines whose word is a space

    def wants(self, word: str) -> bool:
        return (self.keep is None or word in self.keep) and word not in self.words

    def add(self, word: str, place: str, numbers: bytes) -> None:
        self.words[word] = place
        self.numbers += numbers

    def vectors(self) -> WordVectors:
        matrix = np.frombuffer(self.numbers, dtype="<f4").reshape(-1, self.size)
        finite = np.isfinite(matrix).all(axis=1)
        if not finite.all():
            word, place = list(self.words.items())[int(finite.argmin())]
            raise DataError(
                f'{self.path}, {place}: the vector of "{word}" has a number that is not finite '
                "as float32; remove the word."
            )
        notes: tuple[str, ...] = ()
        if self.blanks:
            lines = f"{len(self.blanks)} line{'s' if len(self.blanks) > 1 else ''}"
            notes = (f"{self.path}, line {self.blanks[0]}: the word is a space; {lines} skipped.",)
        return WordVectors(tuple(self.words), matrix.astype(np.float32, copy=False), notes)


def _is_binary(after_header: bytes, size: int) -> bool:
    """Whether the data are float32 numbers, which contain control bytes, rather than text."""
    fields = after_header.partition(b"\n")[0].split()
    if len(fields) > size and all(_is_number(field) for field in fields[-size:]):
        return False
    return _CONTROL.search(after_header) is not None


def _size_of_lines(path: Path, lines: list[bytes]) -> int:
    """The dimension of the vectors in a file without a header: that of most of its lines.

    The first line alone may be one of GloVe's words with spaces, or a wrong one.
    """
    sizes = Counter(len(fields) - 1 for line in lines if (fields := line.split()))
    size = max(sizes, key=sizes.__getitem__, default=0)
    fields = lines[0].split()
    if size < 1 or _CONTROL.search(lines[0]) or not fields or not _is_number(fields[-1]):
        raise DataError(f"{path}, line 1: this is not a word followed by numbers; {_FORMATS}.")
    return size


def _read_lines(kept: _Kept, stream: BinaryIO, first: int) -> int:
    """Read all lines of a word and its numbers; return the number of lines."""
    count = 0
    for number, line in enumerate(iter(lambda: stream.readline(_LINE), b""), start=first):
        fields = line.split()
        if not fields:
            continue
        count += 1
        blanks = len(fields) - 1 - kept.size  # inside the word itself: GloVe 840B has such words
        if blanks == -1 and not line[:1].strip() and all(map(_is_number, fields)):
            kept.blanks.append(number)
            continue
        if blanks < 0 or (blanks > 0 and all(map(_is_number, fields[1 : 1 + blanks]))):
            raise DataError(
                f"{kept.path}, line {number}: {len(fields) - 1} numbers follow the word, but "
                f"{kept.size} are expected; correct or remove the line."
            )
        word = _word(b" ".join(fields[: 1 + blanks]))
        if not kept.wants(word):
            continue
        try:
            numbers = np.array([number_of(field) for field in fields[1 + blanks :]])
        except ValueError as error:
            wrong = next(field for field in fields[1 + blanks :] if not _is_number(field))
            raise DataError(
                f'{kept.path}, line {number}: "{wrong.decode("utf-8", errors="replace")}" is not '
                "a number; correct or remove the line."
            ) from error
        with np.errstate(over="ignore"):  # overflow is reported with its line at the end
            kept.add(word, f"line {number}", numbers.astype("<f4").tobytes())
    return count


def _read_binary(kept: _Kept, stream: BinaryIO, count: int) -> None:
    width = 4 * kept.size
    buffer, start = b"", 0
    for entry in range(1, count + 1):
        while (blank := buffer.find(b" ", start)) < 0 or len(buffer) <= blank + width:
            more = stream.read(_CHUNK)
            if not more or (blank < 0 and len(buffer) - start > _CHUNK):
                raise DataError(
                    f"{kept.path}, word {entry} of {count}: the file ends there; it is truncated, "
                    "or its header is wrong: download it again."
                )
            buffer, start = buffer[start:] + more, 0
        word = _word(buffer[start:blank].lstrip(b"\r\n"))
        start = blank + 1 + width
        if kept.wants(word):
            kept.add(word, f"word {entry} of {count}", buffer[blank + 1 : start])
    if (buffer[start:] + stream.read(_CHUNK)).strip():
        raise DataError(
            f"{kept.path}: there is more data after the {count} words in its header; the header is "
            "wrong: download it again."
        )


def _read_npz(path: Path, stream: BinaryIO, keep: Container[str] | None) -> WordVectors:
    try:
        with np.load(stream, allow_pickle=False) as arrays:
            words, vectors = arrays["words"], arrays["vectors"]
    except KeyError as error:
        raise DataError(
            f'{path}: this archive has no arrays "words" and "vectors"; unpack it if it contains a '
            f"vectors file ({_FORMATS})."
        ) from error
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path}: the archive cannot be read ({error}); write it again with numpy.savez."
        ) from error
    fits = words.ndim == 1 and vectors.ndim == 2 and len(words) == len(vectors)
    if not fits or words.dtype.kind != "U" or vectors.dtype.kind not in "fiu":
        raise DataError(
            f'{path}: "words" is {words.dtype} of shape {words.shape} and "vectors" is '
            f"{vectors.dtype} of shape {vectors.shape}; they must be strings of shape (word,) and "
            "numbers of shape (word, size)."
        )
    kept = _Kept(path, vectors.shape[1], keep)
    with np.errstate(over="ignore"):
        rows = vectors.astype("<f4")
    for row, word in enumerate(map(composed, words.tolist())):
        if kept.wants(word):
            kept.add(word, f"row {row}", rows[row].tobytes())
    return kept.vectors()


def _word(field: bytes) -> str:
    return composed(field.decode("utf-8", errors="replace"))


def _is_number(field: bytes) -> bool:
    try:
        number_of(field)
    except ValueError:
        return False
    return True
