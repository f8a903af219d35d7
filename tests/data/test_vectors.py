"""Word vectors of every format come back number for number, and a wrong file has its place."""

import gzip
import os
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors  # type: ignore[import-untyped, unused-ignore]
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from elman.data.vectors import (
    WordVectors,
    read_vectors,
    rows_for,
    spellings,
    train_vectors,
    write_vectors,
)
from elman.data.vocabulary import Vocabulary
from elman.errors import DataError, OptionError, ShapeError

PROJECT = Path(__file__).resolve().parents[2]
GLOVE = PROJECT.parent / "shared" / "data" / "text" / "glove6b_50d_top30k_f16.npz"

WORDS = ("the", "na\u00efve", "7", "\U0001f44d")
MATRIX = np.array([[0.5, -1.0, 1e-30], [2.0, 0.1, 3.25], [0.0, -0.0, 1.0], [9.0, 8.0, 7.0]], "<f4")


def glove_text(words: tuple[str, ...], matrix: np.ndarray) -> bytes:
    lines = (f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, matrix, strict=True))
    return "".join(lines).encode()


def word2vec_text(words: tuple[str, ...], matrix: np.ndarray) -> bytes:
    # the original tool leaves a blank at the end of each line
    body = glove_text(words, matrix).replace(b"\n", b" \n")
    return b"%d %d\n" % matrix.shape + body


def word2vec_binary(words: tuple[str, ...], matrix: np.ndarray) -> bytes:
    # the original tool puts a line end after each vector
    entries = (w.encode() + b" " + r.tobytes() + b"\n" for w, r in zip(words, matrix, strict=True))
    return b"%d %d\n" % matrix.shape + b"".join(entries)


def gensim_binary(words: tuple[str, ...], matrix: np.ndarray) -> bytes:
    return (
        word2vec_binary(words, matrix)[:0]
        + b"%d %d\n" % matrix.shape
        + b"".join(
            word.encode() + b" " + row.tobytes() for word, row in zip(words, matrix, strict=True)
        )
    )


FORMATS: list[Callable[[tuple[str, ...], np.ndarray], bytes]] = [
    glove_text,
    word2vec_text,
    word2vec_binary,
    gensim_binary,
]


def written(folder: Path, content: bytes) -> Path:
    path = folder / "vectors"
    path.write_bytes(content)
    return path


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_vectors(path)
    return str(caught.value)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("encode", FORMATS)
def test_every_format_gives_the_same_vectors(
    tmp_path: Path, encode: Callable[[tuple[str, ...], np.ndarray], bytes], packed: bool
) -> None:
    content = encode(WORDS, MATRIX)
    vectors = read_vectors(written(tmp_path, gzip.compress(content) if packed else content))
    assert vectors.words == WORDS
    assert vectors.matrix.dtype == np.float32
    assert vectors.size == 3
    np.testing.assert_array_equal(vectors.matrix, MATRIX)


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("encode", FORMATS)
@example(matrix=np.frombuffer(b"51\n[" * 6, "<f4").reshape(3, 2))
@example(matrix=np.frombuffer(b"\0\0\0\0 1\n[" * 3, "<f4").reshape(3, 2))
@given(matrix=st.integers(2, 5).flatmap(lambda n: arrays("<f4", (3, n), elements=numbers)))
def test_any_finite_numbers_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    encode: Callable[[tuple[str, ...], np.ndarray], bytes],
    matrix: np.ndarray,
) -> None:
    # the last word's zeros make sure that a binary file does not read as text by chance
    matrix = np.concatenate([matrix, np.zeros((1, matrix.shape[1]), "<f4")])
    path = written(tmp_path_factory.mktemp("vectors"), encode(WORDS, matrix))
    np.testing.assert_array_equal(read_vectors(path).matrix, matrix)


def test_gensims_own_files_are_read(tmp_path: Path) -> None:
    theirs = KeyedVectors(3)
    theirs.add_vectors(WORDS, MATRIX)
    for binary in (False, True):
        theirs.save_word2vec_format(str(tmp_path / "theirs"), binary=binary)
        vectors = read_vectors(tmp_path / "theirs")
        assert vectors.words == WORDS
        np.testing.assert_array_equal(vectors.matrix, MATRIX)


def test_gensim_reads_what_is_written_here(tmp_path: Path) -> None:
    write_vectors(tmp_path / "ours", WordVectors(WORDS, MATRIX))
    theirs = KeyedVectors.load_word2vec_format(str(tmp_path / "ours"))
    assert tuple(theirs.index_to_key) == WORDS
    np.testing.assert_array_equal(theirs.vectors, MATRIX)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int64"])
def test_an_npz_is_read_as_float32(tmp_path: Path, kind: str) -> None:
    matrix = np.array([[1, 2], [3, 4]], kind)
    np.savez(tmp_path / "a.npz", words=np.array(["a", "b"]), vectors=matrix)
    vectors = read_vectors(tmp_path / "a.npz", keep={"b", "c"})
    assert vectors.words == ("b",)
    assert vectors.matrix.dtype == np.float32
    assert vectors.matrix.tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("encode", FORMATS)
def test_only_the_words_to_keep_are_kept_in_the_order_of_the_file(
    tmp_path: Path, encode: Callable[[tuple[str, ...], np.ndarray], bytes]
) -> None:
    path = written(tmp_path, encode(WORDS, MATRIX))
    vectors = read_vectors(path, keep={"7", "the", "absent"})
    assert vectors.words == ("the", "7")
    np.testing.assert_array_equal(vectors.matrix, MATRIX[[0, 2]])
    none = read_vectors(path, keep=set())
    assert none.words == ()
    assert none.matrix.shape == (0, 3)


@pytest.mark.parametrize("encode", FORMATS)
def test_the_first_of_two_equal_words_counts(
    tmp_path: Path, encode: Callable[[tuple[str, ...], np.ndarray], bytes]
) -> None:
    vectors = read_vectors(written(tmp_path, encode(("a", "b", "a", "c"), MATRIX)))
    assert vectors.words == ("a", "b", "c")
    np.testing.assert_array_equal(vectors.matrix, MATRIX[[0, 1, 3]])


def test_words_with_blanks_or_odd_bytes_as_in_glove_840b_are_read(tmp_path: Path) -> None:
    content = (
        b". . . 1 2\n\xc2\xa0 3 4\nat name@domain.com 5 6\nx\xc2\x85y 7 8\r\n\xff 9 0\n\nz 1 1"
    )
    vectors = read_vectors(written(tmp_path, content))
    assert vectors.words == (". . .", "\xa0", "at name@domain.com", "x\x85y", "\ufffd", "z")
    assert vectors.matrix.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 0], [1, 1]]


def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path: Path) -> None:
    for content in (b"a 1 2\n", b"1 2\na 1 2\n"):
        assert read_vectors(written(tmp_path, b"\xef\xbb\xbf" + content)).words == ("a",)


def test_a_binary_word_of_odd_bytes_is_read(tmp_path: Path) -> None:
    content = b"2 1\n\xffa " + struct.pack("<f", 1.0) + b"b " + struct.pack("<f", 2.0)
    assert read_vectors(written(tmp_path, content)).words == ("\ufffda", "b")


def test_a_large_file_costs_the_memory_of_what_is_kept(tmp_path: Path) -> None:
    rows = [f"word{n} " + "0.123456 " * 200 for n in range(10_000)]
    path = written(tmp_path, "\n".join(rows).encode())  # 18 MB
    tracemalloc.start()
    try:
        vectors = read_vectors(path, keep={"word1", "word9999"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert vectors.words == ("word1", "word9999")
    assert peak < 4e6  # the buffer of 1 MB, and little more


KINDS = "Elman reads word2vec text or binary, GloVe text, and .npz with words and vectors."


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"", "", f"the file is empty; {KINDS}"),
        (b" \n", "", f"the file is empty; {KINDS}"),
        (b"\xef\xbb\xbf", "", f"the file is empty; {KINDS}"),
        (b"\n" * 30 + b"a 1 2\n", ", line 1", f"this is not a word followed by numbers; {KINDS}"),
        (
            b"a 1 2 3\nb 1 2\nc 1 2 3\n",
            ", line 2",
            "2 numbers follow the word, but 3 are expected; correct or remove the line.",
        ),
        (
            b"a 1 2\nb 1 2 3\nc 1 2\n",
            ", line 2",
            "3 numbers follow the word, but 2 are expected; correct or remove the line.",
        ),
        (
            b"2 3\na 1 2\nb 1 2\n",
            ", line 2",
            "2 numbers follow the word, but 3 are expected; correct or remove the line.",
        ),
        (
            b"a 1 2\nb 1 1_0\n",
            ", line 2",
            '"1_0" is not a number; correct or remove the line.',
        ),
        (
            b"a 1 2\nb 1 x2\n",
            ", line 2",
            '"x2" is not a number; correct or remove the line.',
        ),
        (
            b"a 1 2\nb 1 nan\n",
            ", line 2",
            'the vector of "b" has a number that is not finite as float32; remove the word.',
        ),
        (
            b"2 2\na 1 2\nb 1 1e99\n",
            ", line 3",
            'the vector of "b" has a number that is not finite as float32; remove the word.',
        ),
        (
            b"3 2\na 1 2\nb 1 2\n",
            ", line 1",
            (
                "the header says 3 words, but 2 lines with words follow; the file is truncated or "
                "its header is wrong."
            ),
        ),
        (
            b"1 2\na 1 2\nb 1 2\n",
            ", line 1",
            (
                "the header says 1 words, but 2 lines with words follow; the file is truncated or "
                "its header is wrong."
            ),
        ),
        (b"0 2\n", ", line 1", "the header says 0 words of 2 numbers; give 1 or more."),
        (b"It was a dark night.\n", ", line 1", f"this is not a word followed by numbers; {KINDS}"),
        (b"\x89PNG\r\n\x1a\n\x00", ", line 1", f"this is not a word followed by numbers; {KINDS}"),
        (
            word2vec_binary(WORDS, MATRIX)[:-3],
            ", word 4 of 4",
            ("the file ends there; it is truncated, or its header is wrong: download it again."),
        ),
        (
            b"2 2\n" + b"a" + b"\x00" * 3_000_000,
            ", word 1 of 2",
            ("the file ends there; it is truncated, or its header is wrong: download it again."),
        ),
        (
            b"3 3\n" + word2vec_binary(WORDS, MATRIX)[4:],
            "",
            (
                "there is more data after the 3 words in its header; the header is wrong: "
                "download it again."
            ),
        ),
        (
            word2vec_binary(("a", "b"), np.array([[1, 2], [np.nan, 0]], "<f4")),
            ", word 2 of 2",
            'the vector of "b" has a number that is not finite as float32; remove the word.',
        ),
        (
            gzip.compress(glove_text(WORDS, MATRIX), mtime=0)[:-9],
            "",
            (
                "the compressed file is damaged or truncated (Compressed file ended before the "
                "end-of-stream marker was reached); download it again."
            ),
        ),
    ],
)
def test_each_mistake_has_its_sentence(
    tmp_path: Path, content: bytes, place: str, message: str
) -> None:
    path = written(tmp_path, content)
    assert error_of(path) == f"{path}{place}: {message}"


def test_a_missing_file_and_a_folder_have_their_sentences(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert error_of(missing) == f"{missing}: there is no such file; check its name and folder."
    assert error_of(tmp_path) == (
        f"{tmp_path}: this is a folder, but a file is expected; name a file."
    )


def test_archives_that_hold_something_else_have_their_sentences(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, rows=np.zeros(3))
    assert error_of(path) == (
        f'{path}: this archive has no arrays "words" and "vectors"; unpack it if it contains a '
        f"vectors file ({KINDS.removesuffix('.')})."
    )
    np.savez(path, words=np.array(["a", "b"]), vectors=np.zeros((3, 2)))
    assert error_of(path) == (
        f'{path}: "words" is <U1 of shape (2,) and "vectors" is float64 of shape (3, 2); '
        "they must be strings of shape (word,) and numbers of shape (word, size)."
    )
    np.savez(path, words=np.array(["a", "b"]), vectors=np.array([[1.0], [np.inf]]))
    assert error_of(path) == (
        f'{path}, row 1: the vector of "b" has a number that is not finite as float32; '
        "remove the word."
    )
    np.savez(path, words=np.array(["a", None]), vectors=np.zeros((2, 2)))
    # pickled objects are never loaded: they can run code
    assert error_of(path).startswith(f"{path}: the archive cannot be read (Object arrays")
    path.write_bytes(path.read_bytes()[:50])
    assert error_of(path) == (
        f"{path}: the archive cannot be read (File is not a zip file); write it again with "
        "numpy.savez."
    )


@given(arrays("<f4", (3, 4), elements=numbers))
def test_written_vectors_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, matrix: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("vectors") / "own.txt"
    write_vectors(path, WordVectors(("a", "b-c", "\u4e16"), matrix))
    again = read_vectors(path)
    assert again.words == ("a", "b-c", "\u4e16")
    np.testing.assert_array_equal(again.matrix, matrix)


@pytest.mark.parametrize("word", ["", "a b", "a\n", "\xa0"])
def test_words_that_the_format_cannot_hold_are_not_written(tmp_path: Path, word: str) -> None:
    path = tmp_path / "own.txt"
    with pytest.raises(DataError) as caught:
        write_vectors(path, WordVectors((word,), np.zeros((1, 2), np.float32)))
    assert str(caught.value) == (
        f'{path}: the word "{word}" is empty or contains a space, which word2vec text cannot '
        "hold; remove it."
    )
    assert not path.exists()


def test_words_and_rows_must_be_as_many() -> None:
    with pytest.raises(ShapeError) as caught:
        WordVectors(("a",), np.zeros((2, 3), np.float32))
    assert str(caught.value) == (
        "WordVectors: there are 1 words, and the matrix has shape (2, 3); give a row for each word."
    )


# the rows of a vocabulary


def test_a_vocabularys_rows_are_the_vectors_of_its_words_in_either_spelling() -> None:
    vectors = WordVectors(("harry", "Ron", "ron"), np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    vocabulary = Vocabulary(["Harry", "Ron", "ron", "RON", "Hermione"])
    rows, found = rows_for(vocabulary, vectors)
    assert found == 4
    assert rows.dtype == np.float32
    assert rows[[0, 2, 3, 4, 5]].tolist() == [[0, 0], [1, 2], [3, 4], [5, 6], [5, 6]]
    assert [spellings(word) for word in ("Ron", "ron")] == [("Ron", "ron"), ("ron",)]


def test_words_without_a_vector_get_random_numbers_of_the_same_spread() -> None:
    matrix = np.random.default_rng(1).normal(0, 0.3, (50, 100)).astype(np.float32)
    vectors = WordVectors(tuple(f"known{n}" for n in range(50)), matrix)
    vocabulary = Vocabulary([f"new{n}" for n in range(200)])
    rows, found = rows_for(vocabulary, vectors, seed=3)
    assert found == 0
    assert abs(float(rows[1:].std()) / 0.3 - 1) < 0.05  # 20,000 draws: 3 % is six deviations
    np.testing.assert_array_equal(rows, rows_for(vocabulary, vectors, seed=3)[0])
    assert (rows[1:] != rows_for(vocabulary, vectors, seed=4)[0][1:]).all()


# training

SENTENCES = [["the", "cat", "sat", "on", "the", "mat"], ["a", "dog", "sat", "on", "a", "log"]] * 20


def test_a_seed_gives_the_same_vectors_again_and_another_gives_others() -> None:
    first = train_vectors(SENTENCES, size=8, epochs=2, seed=1)
    again = train_vectors(iter(SENTENCES), size=8, epochs=2, seed=1)
    assert first.words == again.words
    assert set(first.words) == {word for sentence in SENTENCES for word in sentence}
    assert set(first.words[:4]) == {"the", "sat", "on", "a"}  # 40 times each, the others 20
    assert first.matrix.dtype == np.float32
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert not np.array_equal(
        first.matrix, train_vectors(SENTENCES, size=8, epochs=2, seed=2).matrix
    )


def test_the_same_seed_in_a_process_with_other_string_hashes_gives_the_same_vectors() -> None:
    program = (
        "from elman.data.vectors import train_vectors; "
        "print(train_vectors([['a', 'b', 'c']] * 9, size=3, epochs=1).matrix.tolist())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(PROJECT / "src")},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    here = train_vectors([["a", "b", "c"]] * 9, size=3, epochs=1)
    assert printed == f"{here.matrix.tolist()}\n"


@pytest.mark.parametrize("skip_gram", [True, False], ids=["skip-gram", "bag of words"])
def test_words_of_like_company_get_like_vectors(skip_gram: bool) -> None:
    random = np.random.default_rng(0)
    groups = [["cat", "dog", "cow", "hen"], ["red", "blue", "green", "grey"]]
    sentences = [random.choice(groups[n % 2], 8).tolist() for n in range(400)]
    vectors = train_vectors(sentences, size=10, skip_gram=skip_gram, epochs=20)
    unit = vectors.matrix / np.linalg.norm(vectors.matrix, axis=1, keepdims=True)
    rows = [[unit[vectors.words.index(word)] for word in group] for group in groups]
    within = float(np.mean(np.array(rows[0]) @ np.array(rows[0]).T))
    across = float(np.mean(np.array(rows[0]) @ np.array(rows[1]).T))
    assert within > across + 0.5


def test_skip_gram_and_bag_of_words_are_two_things() -> None:
    one = train_vectors(SENTENCES, size=8, epochs=2, skip_gram=True)
    other = train_vectors(SENTENCES, size=8, epochs=2, skip_gram=False)
    assert not np.array_equal(one.matrix, other.matrix)


def test_rare_and_unwritable_words_are_left_out() -> None:
    sentences = [["a", "", "b c", "rare"], ["a", "", "b c", "d"], ["d"]]
    assert set(train_vectors(sentences, size=2, epochs=1).words) == {"a", "d"}


def test_words_beyond_the_ten_thousandth_of_a_sentence_are_learned_from() -> None:
    sentence = ["a", "b"] * 6000 + ["c", "d"] * 3000
    whole = train_vectors([sentence], size=4, epochs=1)
    parts = train_vectors([sentence[:10_000], sentence[10_000:]], size=4, epochs=1)
    np.testing.assert_array_equal(whole.matrix, parts.matrix)


@pytest.mark.parametrize("option", ["size", "window", "min_count", "epochs"])
def test_options_below_1_have_their_sentence(option: str) -> None:
    with pytest.raises(OptionError) as caught:
        train_vectors(SENTENCES, **{option: 0})  # type: ignore[arg-type]
    assert str(caught.value) == f"train_vectors: {option} is 0; give 1 or more."


def test_text_without_a_frequent_word_has_its_sentence() -> None:
    texts: list[list[list[str]]] = [[], [[]], [["a", "b"], ["c"]]]
    for sentences in texts:
        with pytest.raises(DataError) as caught:
            train_vectors(sentences)
        assert str(caught.value) == (
            "train_vectors: no word occurs 2 times (min_count); give more text or a smaller "
            "min_count."
        )


def test_a_missing_gensim_has_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(OptionError) as caught:
        train_vectors(SENTENCES)
    assert str(caught.value) == (
        "training word vectors needs gensim, which is not installed: pip install 'elman[vectors]'"
    )


@pytest.mark.data
@pytest.mark.skipif(not GLOVE.exists(), reason="the vectors of ../shared/data are not here")
def test_a_published_set_is_read() -> None:
    vectors = read_vectors(GLOVE)
    assert vectors.matrix.shape == (30_000, 50)
    assert vectors.words[:3] == ("the", ",", ".")
    assert vectors.matrix[0, 0] == np.float32(0.41796875)


@pytest.mark.parametrize("blank", [b" ", b"\x0c", b"\x0b"])
@pytest.mark.parametrize("header", [b"4 3\n", b""])
def test_a_blank_that_stands_as_a_word_is_left_out_with_a_note(
    tmp_path: Path, blank: bytes, header: bytes
) -> None:
    path = tmp_path / "blank.vec"
    lines = [b"the 0.1 0.2 0.3", blank + b" 0.1 0.2 0.3", b"of 0.5 0.5 0.5", b"and 1 2 3"]
    path.write_bytes(header + b"\n".join(lines) + b"\n")
    vectors = read_vectors(path)
    assert vectors.words == ("the", "of", "and")
    assert vectors.matrix[2].tolist() == [1, 2, 3]
    number = 3 if header else 2
    assert vectors.notes == (f"{path}, line {number}: the word is a space; 1 line skipped.",)


def test_words_of_vectors_are_composed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Zoe\u0308 1 2\n", encoding="utf-8")
    assert read_vectors(path, keep={"Zo\u00eb"}).words == ("Zo\u00eb",)


def test_what_is_no_file_of_vectors_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, sentence in (
        (tmp_path / "pipe", "a pipe or a device"),
        (tmp_path, "this is a folder"),
        (tmp_path / ("a" * 300), "longer than the system allows"),
    ):
        with pytest.raises(DataError, match=sentence):
            read_vectors(path)
