"""What a token is: a character, a byte or a subword; and how tokens become text again.

``boundary`` marks the start and the end of a text.  Every token is a piece of UTF-8, so that any
sequence of tokens is decoded in the same way, also while it is written (``Decoder``).
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.data.subwords import SubWords
from elman.errors import RunError
from elman.saved import of_kind, parse_json, sentences

#: indices of the special tokens; 0 is padding and 1 the unknown character
UNKNOWN, BOUNDARY = 1, 2
_FIRST = 3
#: the special symbols of ``SubWords``, which a language model never sees
_SUBWORD_SPECIALS = 4
#: what an unknown character is written as
_REPLACEMENT = "\ufffd".encode()


@dataclass(frozen=True)
class Units:
    """The tokens of a language model, from index 3 on.

    >>> units = Units.characters(["abba"])
    >>> units.encode("bad").tolist(), units.decode([4, 3, 1])
    ([4, 3, 1], 'ba\ufffd')
    """

    kind: Literal["characters", "bytes", "subwords"]
    tokens: tuple[str, ...] = ()
    subwords: SubWords | None = None
    #: the indices of all tokens, the most frequent first; empty if they are in that order
    by_frequency: tuple[int, ...] = ()
    _indices: dict[str, int] = field(init=False, repr=False, compare=False)
    _pieces: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        indices = {token: _FIRST + k for k, token in enumerate(self.tokens)}
        object.__setattr__(self, "_indices", indices)
        if self.kind == "characters":
            pieces = [token.encode() for token in self.tokens]
        elif self.kind == "bytes":
            pieces = [bytes([k]) for k in range(256)]
        else:
            assert self.subwords is not None
            pieces = self.subwords.bytes_of_pieces()[_SUBWORD_SPECIALS:]
        object.__setattr__(self, "_pieces", (b"", _REPLACEMENT, b"", *pieces))

    @classmethod
    def characters(cls, texts: Iterable[str], *, min_count: int = 1) -> Units:
        """The characters of the texts, the most frequent first."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        kept = [token for token, count in counts.items() if count >= min_count]
        return cls("characters", tuple(sorted(kept, key=lambda token: (-counts[token], token))))

    @classmethod
    def learn_subwords(cls, texts: Sequence[str], size: int) -> Units:
        """At most ``size`` subwords, learned by byte pair encoding."""
        return cls("subwords", subwords=SubWords.learn(texts, size=size, verbatim=True))

    def __len__(self) -> int:
        """The number of tokens, including the special ones."""
        return len(self._pieces)

    def encode(self, text: str) -> NDArray[np.int64]:
        """The index of each token of a text."""
        if self.kind == "characters":
            get = self._indices.get
            return np.array([get(character, UNKNOWN) for character in text], dtype=np.int64)
        if self.kind == "bytes":
            return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) + _FIRST
        assert self.subwords is not None
        ids = np.array(self.subwords.encode(text, verbatim=True), dtype=np.int64)
        return ids + (_FIRST - _SUBWORD_SPECIALS)

    def ordered(self, texts: Iterable[str]) -> Units:
        """The same tokens, with their order of frequency in the texts."""
        counts = np.zeros(len(self), dtype=np.int64)
        for text in texts:
            counts += np.bincount(self.encode(text), minlength=len(self))
        counts[BOUNDARY] = max(1, counts[BOUNDARY])
        return replace(self, by_frequency=tuple(np.argsort(-counts, kind="stable").tolist()))

    def order(self) -> Tensor | None:
        """``by_frequency`` as a tensor; None if the tokens are in that order."""
        return torch.tensor(self.by_frequency) if self.by_frequency else None

    def piece(self, index: int) -> bytes:
        """The UTF-8 of a token; empty for the boundary."""
        return self._pieces[index]

    def decode(self, indices: Iterable[int]) -> str:
        """The text of tokens; invalid UTF-8 becomes U+FFFD."""
        return b"".join([self._pieces[k] for k in indices]).decode("utf-8", errors="replace")

    def decoder(self) -> Decoder:
        """A decoder for tokens that arrive one by one."""
        return Decoder(self)

    def to_json(self) -> str:
        """Serialises to JSON."""
        record: dict[str, object] = {"format": 1, "units": self.kind}
        if self.kind == "characters":
            record["tokens"] = list(self.tokens)
        if self.by_frequency:
            record["by_frequency"] = list(self.by_frequency)
        if self.subwords is not None:
            record["subwords"] = json.loads(self.subwords.to_json())
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Units:
        """Loads the output of ``to_json``; ``RunError`` if it is invalid."""
        record = parse_json(text, "symbols.json")
        with sentences("symbols.json"):
            if record["format"] != 1:
                raise RunError(
                    f"symbols.json has format {record['format']}, but this version of Elman reads "
                    "format 1; use the version that saved it."
                )
            order = record.get("by_frequency", [])
            if not isinstance(order, list) or not all([type(index) is int for index in order]):
                raise ValueError("by_frequency is not a list of indices")
            units = replace(cls._read(record), by_frequency=tuple(order))
            if order and sorted(order) != list(range(len(units))):
                raise ValueError("by_frequency does not hold each index once")
            return units

    @classmethod
    def _read(cls, record: dict[str, Any]) -> Units:
        kind = of_kind(record, "units", str)
        if kind == "bytes":
            return cls("bytes")
        if kind == "subwords":
            return cls("subwords", subwords=SubWords.from_json(json.dumps(record["subwords"])))
        if kind != "characters":
            raise ValueError(f"the units are {kind!r:.40}")
        tokens = of_kind(record, "tokens", list)
        if not all([isinstance(token, str) and len(token) == 1 for token in tokens]):
            raise ValueError("a token is not a character")
        if len(set(tokens)) != len(tokens):
            raise ValueError("a character occurs twice")
        return cls("characters", tuple(tokens))


class Decoder:
    """Turns tokens into text while they arrive: a character appears when all its bytes have.

    >>> decoder = Units("bytes").decoder()
    >>> [decoder.take(3 + byte) for byte in "né".encode()], decoder.end()
    (['n', '', 'é'], '')
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def take(self, index: int) -> str:
        """The text that this token completes."""
        return self._decoder.decode(self._units.piece(index))

    def end(self) -> str:
        """What is left: U+FFFD for an incomplete character."""
        return self._decoder.decode(b"", final=True)
