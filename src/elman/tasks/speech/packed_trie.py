"""Stores the trie of a language model in few bytes.

Log probabilities are rounded to sixteenths and back-off weights to 32nds (natural), those of single
words to 256ths; words follow each other as differences.  What is rounded stays the same when it is
stored again.  Compressed, an n-gram takes three to four bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt8

from elman.tasks.speech.compression import deflated, inflated
from elman.tasks.speech.ngram_trie import NGramTrie

#: steps per unit of the log probabilities of words, of longer n-grams, and of back-off weights
_WORD_STEPS, _STEPS, _BACKOFF_STEPS = 256, 16, 32
#: the code of a back-off weight of 0; those from -6 to 2 are stored
_NO_BACKOFF = 64
#: maximum size of a model in bytes before compression
_LARGEST = 2**30


def packed(trie: NGramTrie) -> bytes:
    """The trie in bytes.

    >>> from elman.tasks.speech.ngrams import train_ngrams
    >>> trie = NGramTrie.of(train_ngrams([["a", "b"], ["a", "c"]], 2))
    >>> again = unpacked(packed(trie))
    >>> abs(again.score(again.start, "a") - trie.score(trie.start, "a")) < 1 / 16
    True
    """
    vocabulary, contexts = len(trie.words), len(trie.counts)
    text = "\n".join(trie.words).encode()
    first = np.cumsum(trie.counts)[:-1]  # the first child of each context after the root
    steps = np.diff(trie.last, prepend=0) - 1
    begins = first[trie.counts[1:] > 0]
    steps[begins] = trie.last[begins]
    likely = np.rint(-trie.log_probs[1:].astype(np.float64) * _STEPS)
    words = np.rint(-trie.log_probs[1 : 1 + vocabulary].astype(np.float64) * _WORD_STEPS)
    backoffs = np.rint(_NO_BACKOFF - trie.backoffs[1:contexts].astype(np.float64) * _BACKOFF_STEPS)
    columns = [
        (trie.counts[1:], 3),
        (steps[vocabulary:], 3),
        (words, 2),
        (likely[vocabulary:], 1),
        (backoffs, 1),
    ]
    header = json.dumps({"sizes": trie.sizes, "text": len(text)}).encode() + b"\n"
    data = header + text + b"".join([_bytes_of(values, width) for values, width in columns])
    return deflated(data)


def _bytes_of(values: np.ndarray, width: int) -> bytes:
    """The bytes of integers, all lowest ones first, which compress better together."""
    codes = np.clip(values, 0, 256**width - 1).astype("<u4")
    return bytes(codes.view(np.uint8).reshape(-1, 4).T[:width].tobytes())


def unpacked(data: bytes) -> NGramTrie:
    """The trie of ``packed``; ``ValueError`` if the bytes are damaged."""
    raw = inflated(data, "a language model", _LARGEST)
    line, _, rest = raw.partition(b"\n")
    header = json.loads(line)
    sizes, length = header.get("sizes"), header.get("text")
    numbers = [*sizes, length] if isinstance(sizes, list) and sizes else [None]
    if not all([isinstance(each, int) and 0 <= each <= len(raw) for each in numbers]):
        raise ValueError("a language model whose sizes are wrong")
    contexts, count = sum(sizes[:-1]), sum(sizes)
    columns = _columns(
        rest[length:],
        [(contexts, 3), (count - sizes[0], 3), (sizes[0], 2), (count - sizes[0], 1), (contexts, 1)],
    )
    words = rest[:length].decode().split("\n")
    counts = np.concatenate([[sizes[0]], columns[0]])
    last = np.concatenate([np.arange(sizes[0]), _words(counts[1:], columns[1])])
    likely = np.concatenate([[0], -columns[2] / _WORD_STEPS, -columns[3] / _STEPS])
    backoffs = np.zeros(1 + count, np.float32)
    backoffs[1 : 1 + contexts] = (_NO_BACKOFF - columns[4]) / _BACKOFF_STEPS
    _check(words, sizes, counts, last)
    return NGramTrie(words, sizes, counts, last, likely.astype(np.float32), backoffs)


def _columns(data: bytes, shapes: Sequence[tuple[int, int]]) -> list[Int64[np.ndarray, " value"]]:
    if len(data) != sum([length * width for length, width in shapes]):
        raise ValueError("a language model whose size is wrong")
    found, at = [], 0
    for length, width in shapes:
        part = np.frombuffer(data, np.uint8, length * width, at).reshape(width, length)
        found.append(_integers(part))
        at += length * width
    return found


def _integers(planes: UInt8[np.ndarray, "width value"]) -> Int64[np.ndarray, " value"]:
    codes = np.zeros(planes.shape[1], np.int64)
    for k, plane in enumerate(planes):
        codes |= plane.astype(np.int64) << (8 * k)
    return codes


def _words(
    counts: Int64[np.ndarray, " context"], steps: Int64[np.ndarray, " ngram"]
) -> Int64[np.ndarray, " ngram"]:
    """The last words of n-grams, of the differences between those with the same beginning."""
    if counts.sum() != len(steps):
        raise ValueError("a language model whose counts do not match")
    sums = np.cumsum(steps + 1)
    firsts = np.cumsum(counts) - counts
    begun = np.concatenate([[0], sums])[firsts[counts > 0]]
    return np.asarray(sums - np.repeat(begun, counts[counts > 0]) - 1)


def _check(
    words: Sequence[str],
    sizes: Sequence[int],
    counts: Int64[np.ndarray, " context"],
    last: Int64[np.ndarray, " ngram"],
) -> None:
    ends = np.cumsum([0, 1, *sizes])
    for size, first, after in zip(sizes, ends, ends[1:], strict=False):
        if counts[first:after].sum() != size:
            raise ValueError("a language model whose counts do not match")
    if len(set(words)) != sizes[0] or (len(last) and last.max() >= sizes[0]):
        raise ValueError("a language model whose words do not match")
