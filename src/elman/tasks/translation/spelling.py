"""Which subwords may follow in a translation, so that it has no invented words.

A translation consists of words of the training translations, each spelled with the subwords that
encode it, and of digits, punctuation and placeholders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from elman.data.subwords import END, START, SubWords
from elman.tasks.translation.placeholders import CHARACTERS, PLACEHOLDER

#: nodes of the tree of words: after a whole word, and after a sign, a digit or a placeholder
AFTER_WORD, AFTER_SIGN = 0, 1


class Spelling:
    """A tree of words.  A node is the place of a hypothesis in it.

    >>> pieces = SubWords.learn(["low lower", "tower"], size=300)
    >>> spelling = Spelling(pieces, ["low", "lower"])
    >>> def allowed(text):
    ...     node = AFTER_WORD
    ...     for token in pieces.encode(text):
    ...         if not spelling.allowed([node])[0, token]:
    ...             return False
    ...         node = spelling.after(node, token)
    ...     return bool(spelling.allowed([node])[0, END])
    >>> [allowed(text) for text in ("low", "lower", "low, 3", "lowe", "tower", "lowlow")]
    [True, True, True, False, False, False]
    """

    def __init__(self, subwords: SubWords, words: Sequence[str]) -> None:
        pieces = subwords.bytes_of_pieces()
        self._children: list[dict[int, int]] = [{}, {}]
        #: the node that a token leads to from anywhere: signs, digits and placeholders
        self._signs = {END: AFTER_WORD}
        self.placeholders: dict[int, str] = {}
        #: the number of double quotation marks in each token
        self.quotes = [piece.count(b'"') for piece in pieces]
        #: whether each token begins a word, or is a sign but no digit
        self.begins = [
            (piece[:1] == b" " and piece[1:2].isalpha())
            or re.fullmatch(rb" ?[!-/:-@[-`{-~]+", piece) is not None
            for piece in pieces
        ]
        for index, piece in enumerate(pieces[START + 2 :], START + 2):
            text = piece.decode("ascii", "ignore") if piece.isascii() else ""
            sign = PLACEHOLDER.search(text)
            if sign is not None:
                self.placeholders[index] = sign[0]
            if text.strip() and not any(map(str.isalpha, text)) and text.isprintable():
                self._signs[index] = AFTER_SIGN
            elif sign is not None and text.strip(" " + sign[0]) == "":
                self._signs[index] = AFTER_WORD if text[-1:] == sign[0] else AFTER_SIGN
        self._whole = {AFTER_WORD, AFTER_SIGN}
        signs = [sign for characters in CHARACTERS.values() for sign in characters]
        for word in [*words, *signs]:
            self._add(subwords.encode(f" {word}", verbatim=True), AFTER_WORD)
            self._add(subwords.encode(f"-{word}", verbatim=True), AFTER_WORD)
            self._add(subwords.encode(word, verbatim=True), AFTER_SIGN)
        # what follows the apostrophe of a copied name, as in "Ann's"
        for ending in sorted({word.partition("'")[2] for word in words} - {""}):
            self._add(subwords.encode(ending, verbatim=True), AFTER_SIGN)
        self._size = len(pieces)
        #: the node of a space that is a token of its own, and what may follow it beside words
        self._space = next(
            (self._children[0].get(k, -1) for k, p in enumerate(pieces) if p == b" "), -1
        )
        self._spaceless = [index for index in self._signs if pieces[index][:1] != b" "]
        self._spaceless.remove(END)

    def _add(self, tokens: Sequence[int], root: int) -> None:
        node = root
        for token in tokens:
            following = self._children[node].get(token)
            if following is None:
                following = len(self._children)
                self._children.append({})
                self._children[node][token] = following
            node = following
        self._whole.add(node)

    def after(self, node: int, token: int) -> int:
        """The node after a token that is allowed; ``AFTER_WORD`` after any other."""
        for root in (node, AFTER_WORD) if node in self._whole else (node,):
            following = self._children[root].get(token)
            if following is not None:
                return following
        return self._signs.get(token, AFTER_WORD)

    def allowed(self, nodes: Sequence[int]) -> Tensor:
        """Which tokens may follow each node: (nodes, vocabulary), of bool."""
        kinds = [
            AFTER_SIGN
            if node == AFTER_SIGN
            else AFTER_WORD
            if node in self._whole
            else 3
            if node == self._space
            else 2
            for node in nodes
        ]
        mask = self._bases[torch.tensor(kinds)]
        rows: list[int] = []
        columns: list[int] = []
        for row, node in enumerate(nodes):
            if node > AFTER_SIGN and (children := self._children[node]):
                rows += [row] * len(children)
                columns += children
        if rows:
            mask[rows, columns] = True
        return mask

    @cached_property
    def _bases(self) -> Tensor:
        """What is allowed after a word, after a sign, within a word, and after a space."""
        bases = torch.zeros(4, self._size, dtype=torch.bool)
        bases[:2, list(self._signs)] = True
        bases[:2, list(self._children[AFTER_WORD])] = True
        bases[1, list(self._children[AFTER_SIGN])] = True
        bases[3, self._spaceless] = True
        return bases
