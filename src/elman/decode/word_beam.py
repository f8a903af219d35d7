"""Searches words in the output of CTC, with a lexicon and a language model of words.

``PrefixBeam`` (``ctc.py``) extends text after text; this search extends all texts of the beam
together, with operations on arrays, so that a beam of hundreds costs no more than one of dozens
there.  The lexicon is a tree (``word_tree.py``), whose nodes score as the most frequent word below
(language model look-ahead, Steinbiss et al. 1994).  Probabilities of paths with the same words add.
A text whose continuations cannot be better than those of another is dropped: both continue alike
when they are at the same node and in the same context of the language model.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float64, Int64

from elman.decode.prefixes import BLANK
from elman.decode.word_trace import NO_WORD, FoundWord, WordTrace
from elman.decode.word_tree import ROOT, UNKNOWN_WORD, WordTree
from elman.errors import OptionError

Integers = Int64[np.ndarray, " text"]
Floats = Float64[np.ndarray, " text"]

#: steps between removals of what no text of the beam needs
_PRUNE_EVERY = 256

#: the rows of integers of the texts of a beam: the node of the tree and its depth, the last symbol,
#: the context of the language model, the record of the trace, and hashes of the ended words, of the
#: unfinished word, and of what tells texts apart
NODE, DEPTH, LAST, CONTEXT, RECORD, ENDED, UNFINISHED, KEY = range(8)
#: the rows of floats: log probabilities of the paths that end in a blank and of the others, the
#: score of the words, and the part of it that looks ahead
BLANKS, OTHERS, SCORE, AHEAD = range(4)


class WordLanguage(Protocol):
    """A language model of the words of a lexicon; a context is a number."""

    @property
    def start(self) -> int:
        """The context of the empty text."""

    def unigrams(self) -> Float64[np.ndarray, " word"]:
        """The log probability of each word without context, and of an unknown word, the last."""

    def extend(self, contexts: Integers, words: Integers) -> tuple[Floats, Integers]:
        """The log probability of a word after each context, and the contexts after it."""

    def finish(self, contexts: Integers) -> Floats:
        """The log probability of the end of the text after each context."""


class WordModel:
    """What a search for words knows: the lexicon, the language model, and how they score.

    A word adds ``weight`` times its log probability and ``bonus``; in an open tree, each symbol of
    an unknown word adds ``weight`` times ``letter``.  Symbol ``space`` separates words; with
    ``optional_space`` words may also follow each other without it.
    """

    def __init__(
        self,
        tree: WordTree,
        language: WordLanguage,
        *,
        space: int,
        weight: float,
        bonus: float,
        letter: float = 0.0,
        optional_space: bool = False,
    ) -> None:
        if tree.open and optional_space:
            raise OptionError(
                "WordModel: with optional_space, words of an open tree have no end; close the tree "
                "or require spaces."
            )
        self.tree, self.language, self.space = tree, language, space
        self.weight, self.bonus, self.letter = weight, bonus, weight * letter
        self.optional_space = optional_space
        unigrams = weight * language.unigrams()
        self.unknown = float(unigrams[-1])
        self.ahead = tree.best_below(unigrams)


class _Ends(NamedTuple):
    """The ways in which texts may end their last word: the text, the word, and what follows."""

    owner: Integers
    word: Integers
    context: Integers
    score: Floats
    ended: Integers

    def take(self, chosen: np.ndarray) -> _Ends:
        """Some of the ways."""
        return _Ends(*[each[chosen] for each in self])


class _Ways(NamedTuple):
    """Ways to extend texts by a symbol: a row per text, or per end of a word, a column per symbol.

    ``total`` decides which of them are taken; ``found`` is the log probability of the paths.
    """

    total: np.ndarray
    found: np.ndarray
    symbols: Integers
    #: the nodes of the tree, or None for the root
    nodes: np.ndarray | None
    #: the texts of the rows, or None if the rows are ends of words
    texts: Integers | None


class WordBeam:
    """Beam search for the most likely words, for steps that arrive over time.

    Keeps ``width`` texts after each step, and none whose log probability is below the best by
    ``margin``.  Skips symbols with a log probability of ``least`` or less at a step.  With an
    unlimited width and margin, and ``least`` of -inf, ``best`` is exact.

    >>> class Equal:
    ...     start = 0
    ...     def unigrams(self): return np.log([0.5, 0.5, 1e-9])
    ...     def extend(self, contexts, words): return self.unigrams()[words], contexts
    ...     def finish(self, contexts): return np.zeros(len(contexts))
    >>> tree = WordTree([(0, [1, 2]), (1, [2, 2])], 4)
    >>> model = WordModel(tree, Equal(), space=3, weight=1.0, bonus=0.0)
    >>> beam = WordBeam(model, 8)
    >>> beam.advance(np.log([[0.1, 0.4, 0.4, 0.1], [0.1, 0.1, 0.7, 0.1], [0.2, 0.1, 0.6, 0.1]]))
    >>> beam.words()
    [FoundWord(word=0, symbols=(1, 2))]
    """

    def __init__(
        self, model: WordModel, width: int, *, least: float = -9.0, margin: float = np.inf
    ) -> None:
        if width < 1:
            raise OptionError(f"WordBeam: width is {width}; it must be 1 or more.")
        self._model, self._width, self._least, self._margin = model, width, least, margin
        self._integers = np.zeros((8, 1), np.int64)
        self._integers[CONTEXT] = model.language.start
        self._floats = np.array([[0.0], [-np.inf], [0.0], [0.0]])
        self._total = np.zeros(1)  # the log probability of all paths of each text
        self._pending = np.array([True])  # texts whose ends of words have no score yet
        none = np.zeros(0, np.int64)
        self._ends = _Ends(none, none, none, np.zeros(0), none)
        self._trace = WordTrace(model.space)
        self._steps = 0

    def advance(self, log_probs: Float64[np.ndarray, "time symbol"]) -> None:
        """Processes more steps."""
        rows = np.asarray(log_probs, np.float64)
        likely = rows > self._least
        spaced = likely[:, self._model.space].tolist()
        likely[:, [BLANK, self._model.space]] = False
        for row, symbols, space in zip(rows, likely, spaced, strict=True):
            self._step(row, symbols.nonzero()[0], space)
            self._steps += 1
            if self._steps % _PRUNE_EVERY == 0:
                self._integers[RECORD] = self._trace.prune(self._integers[RECORD])

    def best(self, *, ended: bool = True) -> list[int]:
        """The symbols of the best text so far; ``ended`` adds the score of the end of the text."""
        record, word = self._best(ended=ended)
        return self._trace.symbols(record, unfinished=not ended or word != NO_WORD)

    def words(self, *, ended: bool = True) -> list[FoundWord]:
        """The words of the best text so far; without ``ended``, only those that have ended."""
        record, word = self._best(ended=ended)
        return self._trace.words(record, word)

    def stable(self) -> list[int]:
        """The symbols that all texts of the beam begin with, which will not change any more."""
        return self._trace.symbols(self._trace.common(self._integers[RECORD]))

    def stable_words(self) -> list[FoundWord]:
        """The words that all texts of the beam begin with, which will not change any more."""
        return self._trace.words(self._trace.common(self._integers[RECORD]), NO_WORD)

    def _best(self, *, ended: bool) -> tuple[int, int]:
        """The record of the best text, and the word that ends there."""
        if not ended:
            return int(
                self._integers[RECORD, (self._total + self._floats[SCORE]).argmax()]
            ), NO_WORD
        answers = self._answers()
        return answers[0][1:] if answers else (0, NO_WORD)

    def _answers(self) -> list[tuple[float, int, int]]:
        """Score, record and last word of all different texts, from the best on."""
        self._score_ends()
        texts, total, ends, model = self._integers, self._total, self._ends, self._model
        between = np.flatnonzero(texts[NODE] == ROOT)
        owner = np.concatenate([between, ends.owner])
        word = np.concatenate([np.full(len(between), NO_WORD), ends.word])
        context = np.concatenate([texts[CONTEXT, between], ends.context])
        score = np.concatenate([self._floats[SCORE, between], ends.score])
        key = np.concatenate([texts[ENDED, between], ends.ended])
        if not len(owner):  # no word has ended: the unfinished ones are dropped
            owner = np.arange(texts.shape[1])
            word = np.full(len(owner), NO_WORD)
            context, key = texts[CONTEXT], texts[ENDED]
            score = self._floats[SCORE] - self._floats[AHEAD]
        score = score + model.weight * model.language.finish(context)
        best_first = np.argsort(-(total[owner] + score), kind="stable")
        key, first, group = np.unique(key[best_first], return_index=True, return_inverse=True)
        paths = np.full(len(first), -np.inf)
        np.logaddexp.at(paths, group, total[owner][best_first])
        chosen = best_first[first]
        final = paths + score[chosen]
        return [
            (float(final[k]), int(texts[RECORD, owner[chosen[k]]]), int(word[chosen[k]]))
            for k in np.argsort(-final, kind="stable")
        ]

    def _step(self, row: Floats, tried: Integers, spaced: bool) -> None:
        model, space, total = self._model, self._model.space, self._total
        last = self._integers[LAST]
        blanks, others, score, ahead = self._floats
        new_blanks, new_others = total + row[BLANK], others + row[last]
        if not spaced and not len(tried):
            self._floats[BLANKS], self._floats[OTHERS] = new_blanks, new_others
            self._total = np.logaddexp(new_blanks, new_others)
            return
        every = np.arange(len(last))
        if spaced:
            between = self._integers[NODE] == ROOT
            again = between & (last == space)  # spaces in a row count as one
            np.copyto(new_others, total + row[space], where=again)
        same = np.logaddexp(new_blanks, new_others) + score
        ways = [_Ways(same, new_others, last[:0], None, every)]
        after = np.where(last[:, None] == tried, blanks[:, None], total[:, None]) + row[tried]
        if len(tried):
            nodes = model.tree.child[self._integers[NODE][:, None], tried]
            lm = self._look_ahead(nodes, self._integers[DEPTH][:, None] + 1)
            lm += (score - ahead)[:, None]
            ways.append(_Ways(after + lm, after, tried, nodes, every))
        if spaced or model.optional_space:
            self._score_ends()
            owner, scores = self._ends.owner, self._ends.score
            if model.optional_space and len(tried) and len(owner):
                nodes = model.tree.child[ROOT, tried]
                found = after[owner]
                lm = scores[:, None] + model.ahead[nodes]
                nodes = np.broadcast_to(nodes, found.shape)
                ways.append(_Ways(found + lm, found, tried, nodes, None))
            if spaced:
                found, spaces = total + row[space], np.array([space])
                ways.append(_Ways(found[owner] + scores, found[owner], spaces, None, None))
                first = (between & (last != space)).nonzero()[0]
                if len(first):
                    ways.append(
                        _Ways(found[first] + score[first], found[first], spaces, None, first)
                    )
        self._take(ways, new_blanks, alike=spaced or model.optional_space)

    def _look_ahead(self, nodes: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """The score of the most frequent word with this beginning."""
        model = self._model
        found: np.ndarray = model.ahead[nodes]
        if model.tree.open:
            outside = nodes == model.tree.outside
            found = np.where(outside, model.unknown + model.letter * depth, found)
        return found

    def _score_ends(self) -> None:
        """Scores the words that may end in the texts that are new."""
        waiting = np.flatnonzero(self._pending)
        if not len(waiting):
            return
        self._pending[waiting] = False
        model, tree = self._model, self._model.tree
        node = self._integers[NODE, waiting]
        counts = tree.first[node + 1] - tree.first[node]
        owner = np.repeat(waiting, counts)
        if not len(owner):
            return
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        word = tree.words[np.repeat(tree.first[node], counts) + within]
        of = self._integers[:, owner]
        likely, context = model.language.extend(of[CONTEXT], word)
        score = self._floats[SCORE, owner] - self._floats[AHEAD, owner]
        score += model.weight * likely + model.bonus
        unknown = word == UNKNOWN_WORD
        score += np.where(unknown, model.letter * of[DEPTH], 0.0)
        ended = _mix(of[ENDED], np.where(unknown, of[UNFINISHED], word))
        new = _Ends(owner, word, context, score, ended)
        self._ends = _Ends(*[np.concatenate(two) for two in zip(self._ends, new, strict=True)])

    def _take(self, ways: list[_Ways], blanks: Floats, *, alike: bool) -> None:
        """Makes the best of the ways the texts of the beam."""
        totals = np.concatenate([way.total.ravel() for way in ways])
        worst = totals.max() - self._margin
        # more than are kept, since some of them turn out to be the same text or no better
        if (spare := len(totals) - 2 * self._width) > 0:
            worst = max(worst, np.partition(totals, spare)[spare])
        worst = max(worst, np.finfo(float).min)
        taken = [self._taken(way, worst) for way in ways]
        texts, founds, symbol, node, end = [
            np.concatenate(each) for each in zip(*taken, strict=True)
        ]
        old = len(taken[0][0])
        integers, floats = self._integers.take(texts, 1), self._floats.take(texts, 1)
        floats[OTHERS] = founds
        floats[BLANKS, :old] = blanks[texts[:old]]
        floats[BLANKS, old:] = -np.inf
        word = self._extend(integers[:, old:], floats[:, old:], symbol, node, end)
        kept, total = self._merged(integers, floats, alike)
        self._total = total
        self._integers, self._floats = integers.take(kept, 1), floats.take(kept, 1)
        added = kept >= old
        fresh = kept[added] - old
        self._integers[RECORD, added] = self._trace.add(
            self._integers[RECORD, added], symbol[fresh], word[fresh]
        )
        stayed = (~added).nonzero()[0]
        before = texts[kept[stayed]]
        if len(self._ends.owner):
            place = np.full(len(self._pending), -1)
            place[before] = stayed
            owner = place[self._ends.owner]
            self._ends = self._ends._replace(owner=owner).take((owner >= 0).nonzero()[0])
        added[stayed] = self._pending[before]
        self._pending = added

    def _taken(self, way: _Ways, worst: float) -> tuple[np.ndarray, ...]:
        """Texts, log probabilities, and the symbols, nodes and ends of words added to them."""
        place = (way.total.ravel() >= worst).nonzero()[0]
        found = way.found.ravel()[place]
        none = way.symbols[:0]
        if not len(way.symbols):
            return place, found, none, none, none
        if len(way.symbols) == 1:
            row, symbol = place, np.full(len(place), way.symbols[0])
        else:
            row = place // len(way.symbols)
            symbol = way.symbols[place - row * len(way.symbols)]
        node = np.zeros(len(place), np.int64) if way.nodes is None else way.nodes.ravel()[place]
        if way.texts is None:
            return self._ends.owner[row], found, symbol, node, row
        return way.texts[row], found, symbol, node, np.full(len(place), -1)

    def _extend(
        self,
        integers: np.ndarray,
        floats: np.ndarray,
        symbol: Integers,
        node: Integers,
        end: Integers,
    ) -> Integers:
        """Adds symbols to texts, after the ends of words ``end``, if any; returns those words."""
        model, ends = self._model, self._ends
        word = np.full(len(symbol), NO_WORD)
        score = floats[SCORE] - floats[AHEAD]
        ending = np.flatnonzero(end >= 0)
        if len(ending):
            which = end[ending]
            word[ending] = ends.word[which]
            integers[DEPTH, ending] = integers[UNFINISHED, ending] = 0
            integers[CONTEXT, ending], integers[ENDED, ending] = (
                ends.context[which],
                ends.ended[which],
            )
            score[ending] = ends.score[which]
        inside = symbol != model.space
        integers[DEPTH] += inside
        unfinished = _mix(integers[UNFINISHED], symbol)
        integers[UNFINISHED] = np.where(inside, unfinished, 0)
        integers[NODE], integers[LAST] = node, symbol
        ahead = np.where(inside, self._look_ahead(node, integers[DEPTH]), 0.0)
        floats[SCORE], floats[AHEAD] = score + ahead, ahead
        integers[KEY] = _mix(_mix(integers[ENDED], integers[UNFINISHED]), symbol)
        return word

    def _merged(
        self, integers: np.ndarray, floats: np.ndarray, alike: bool
    ) -> tuple[Integers, Floats]:
        """Adds the paths of equal texts; the texts to keep, and the sums of their paths.

        With ``alike``, drops texts whose continuations cannot be better than another's.
        """
        order = integers[KEY].argsort(kind="stable")
        key = integers[KEY, order]
        new = np.ones(len(key), bool)
        np.not_equal(key[1:], key[:-1], out=new[1:])
        first = new.nonzero()[0]
        texts = order
        if len(first) < len(order):
            texts = order[first]
            floats[:2, texts] = np.logaddexp.reduceat(floats[:2, order], first, axis=1)
        total = np.logaddexp(floats[BLANKS, texts], floats[OTHERS, texts])
        if alike:
            better = self._undominated(integers.take(texts, 1), floats.take(texts, 1), total)
            texts, total = texts[better], total[better]
        if len(texts) > self._width:
            best = np.argpartition(-(total + floats[SCORE, texts]), self._width)[: self._width]
            texts, total = texts[best], total[best]
        return texts, total

    def _undominated(self, integers: np.ndarray, floats: np.ndarray, total: Floats) -> Integers:
        """The texts whose continuations may be better than those of all others."""
        score = floats[SCORE]
        best = (-(total + score)).argsort(kind="stable")
        place = _mix(_mix(integers[UNFINISHED], integers[CONTEXT]), integers[LAST])[best]
        order = place.argsort(kind="stable")
        grouped: np.ndarray = best[order]
        place = place[order]
        leads = np.ones(len(place), bool)
        np.not_equal(place[1:], place[:-1], out=leads[1:])
        first = leads.nonzero()[0]
        if len(first) == len(place):
            return grouped
        paths = floats[:2] + score
        leader = grouped[first].repeat(np.diff(first, append=len(place)))
        better = (paths[:, grouped] > paths[:, leader]).any(0)
        kept: np.ndarray = grouped[leads | better]
        return kept


def _mix(hashes: Integers, values: Integers) -> Integers:
    """Hashes of rows with one more value; equal rows have equal hashes."""
    mixed: np.ndarray = (hashes ^ (values + 0x1F83D9ABFB41BD6B)) * 0x5851F42D4C957F2D
    return np.asarray(mixed ^ (mixed >> 29))
