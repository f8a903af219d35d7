"""N-gram language models of words or characters.

``train_ngrams`` counts a text and applies interpolated Kneser-Ney smoothing (Chen and Goodman
1999).  ``arpa.py`` reads and writes the common file format.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from elman.errors import DataError, OptionError
from elman.tasks.speech.pruning import most_informative

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
Token = tuple[str, ...]
#: log probability of an impossible token, such as ``<s>`` after the start of a sentence
NEVER = -99.0 * math.log(10)


@dataclass(frozen=True)
class NGrams:
    """Log probabilities and back-off weights (natural) of n-grams: ``tables[n - 1]``.

    >>> model = train_ngrams([["a", "b"], ["a", "b"], ["a", "c"]], 2)
    >>> model.score(("a",), "b") > model.score(("a",), "c") > model.score(("a",), "z")
    True
    """

    tables: tuple[dict[Token, tuple[float, float]], ...]

    @property
    def order(self) -> int:
        """The maximum n-gram length."""
        return len(self.tables)

    @property
    def start(self) -> Token:
        """The context at the start of a sentence."""
        return (BEGIN,) if self.order > 1 else ()

    def known(self, token: str) -> bool:
        """Whether the token is in the vocabulary."""
        return (token,) in self.tables[0]

    def score(self, context: Token, token: str) -> float:
        """The log probability of a token after a context; uses its last ``order - 1`` tokens.

        An unknown token counts as ``<unk>``, or as impossible (``NEVER``) if the model has no
        ``<unk>``.
        """
        if (token,) not in self.tables[0]:
            token = UNKNOWN
        backoff = 0.0
        context = context[max(0, len(context) - self.order + 1) :]
        while True:
            found = self.tables[len(context)].get((*context, token))
            if found is not None:
                return backoff + found[0]
            if not context:
                return backoff + NEVER
            weight = self.tables[len(context) - 1].get(context)
            backoff += 0.0 if weight is None else weight[1]
            context = context[1:]

    def after(self, context: Token, token: str) -> Token:
        """The context after one more token."""
        if (token,) not in self.tables[0]:
            token = UNKNOWN
        return (*context, token)[max(0, len(context) + 2 - self.order) :] if self.order > 1 else ()

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """exp of the mean negative log probability per token, including ends of sentences."""
        total, count = 0.0, 0
        for sentence in sentences:
            context = self.start
            for token in (*sentence, END):
                total -= self.score(context, token)
                context = self.after(context, token)
                count += 1
        return math.exp(total / count)


def train_ngrams(
    sentences: Iterable[Sequence[str]],
    order: int,
    *,
    cutoffs: Sequence[int] = (),
    vocabulary: int | None = None,
    most: int | None = None,
    expect_unknown: bool = False,
) -> NGrams:
    """Trains an interpolated Kneser-Ney model, one discount per order, on tokenised sentences.

    ``cutoffs[n - 1]`` prunes n-grams with this count or less; their probability goes to the
    back-off (pruned unigrams become ``<unk>``).  ``vocabulary`` limits the number of tokens to the
    most frequent.  ``most`` limits the number of n-grams: of those longer than unigrams, the most
    informative stay (``pruning.py``).  With ``expect_unknown``, ``<unk>`` is as frequent as all
    tokens together that occur once (Good 1953); otherwise it is as rare as any token may be, unless
    tokens were pruned.  The probabilities of each context sum to one.

    Raises ``DataError`` if there are no tokens, ``OptionError`` if ``order`` is less than 1.
    """
    if order < 1:
        raise OptionError(f"train_ngrams: order is {order}; it must be 1 or more.")
    cut = [*cutoffs, *[0] * order][:order]
    given = [tuple(sentence) for sentence in sentences]
    words = Counter(token for sentence in given for token in sentence)
    if not words:
        raise DataError(
            "train_ngrams: the training text has no words; provide at least one sentence."
        )
    ranked = sorted(words, key=lambda word: (-words[word], word))[:vocabulary]
    kept = {word for word in ranked if words[word] > cut[0]}
    counts: list[Counter[Token]] = [Counter() for _ in range(order)]
    for sentence in given:
        tokens = (BEGIN, *[t if t in kept else UNKNOWN for t in sentence], END)
        for n in range(1, order + 1):
            counts[n - 1].update([tokens[k : k + n] for k in range(len(tokens) - n + 1)])
    raw = [counter.copy() for counter in counts]
    _continuations(counts)
    if expect_unknown and len(kept) == len(words):
        counts[0][(UNKNOWN,)] = sum([count == 1 for count in words.values()])
    frequent = [{g for g, count in raw[n].items() if count > cut[n]} for n in range(order)]
    unigrams = _unigrams(counts[0], [(token,) for token in (*sorted(kept), UNKNOWN, END)])
    model = _backed_off(unigrams, counts, frequent)
    if most is not None and sum([len(table) for table in model.tables]) > most:
        informative = most_informative(model, raw, most)
        model = _backed_off(unigrams, counts, [informative] * order)
    return model


def _backed_off(
    unigrams: dict[Token, tuple[float, float]],
    counts: Sequence[Counter[Token]],
    kept: Sequence[set[Token]],
) -> NGrams:
    """The model with all unigrams and the longer n-grams of ``kept``, by their length."""
    tables = [dict(unigrams)]
    for counter, grams in zip(counts[1:], kept[1:], strict=True):
        _add_order(tables, counter, grams)
    return NGrams(tuple(tables))


def _continuations(counts: list[Counter[Token]]) -> None:
    """Replaces counts below the highest order by the number of different preceding tokens.

    N-grams at the start of a sentence have no preceding token and keep their counts.
    """
    for n in range(len(counts) - 1, 0, -1):
        different: Counter[Token] = Counter([gram[1:] for gram in counts[n]])
        for gram in counts[n - 1]:
            if gram[0] != BEGIN:
                counts[n - 1][gram] = different[gram]


def _discount(values: Iterable[int]) -> float:
    """The discount of Ney, Essen and Kneser (1994): n1 / (n1 + 2 n2)."""
    of = Counter(values)
    return of[1] / (of[1] + 2 * of[2]) if of[1] and of[2] else 0.5


def _unigrams(
    counts: Counter[Token], vocabulary: Sequence[Token]
) -> dict[Token, tuple[float, float]]:
    discount = _discount([counts[token] for token in vocabulary if counts[token]])
    total = sum([counts[token] for token in vocabulary])
    left = sum([min(discount, counts[token]) for token in vocabulary]) / total
    table: dict[Token, tuple[float, float]] = {(BEGIN,): (NEVER, 0.0)}
    for token in vocabulary:
        own = max(counts[token] - discount, 0.0) / total
        table[token] = (math.log(own + left / len(vocabulary)), 0.0)
    return table


def _add_order(
    tables: list[dict[Token, tuple[float, float]]], counts: Counter[Token], frequent: set[Token]
) -> None:
    """Adds the frequent n-grams of one order and the back-off weights of the order below."""
    discount = _discount(counts.values())
    below = tables[-1]
    lower = NGrams(tuple(tables))
    by_context: dict[Token, list[tuple[Token, int]]] = defaultdict(list)
    for gram, count in counts.items():
        # an n-gram with a pruned context would never be found
        if gram[:-1] in below:
            by_context[gram[:-1]].append((gram, count))
    table: dict[Token, tuple[float, float]] = {}
    for context, grams in by_context.items():
        total = sum([count for _, count in grams])
        kept = [(gram, count) for gram, count in grams if gram in frequent]
        weight = 1.0 - sum([count - discount for _, count in kept]) / total
        for gram, count in kept:
            likely = (count - discount) / total + weight * math.exp(
                lower.score(gram[1:-1], gram[-1])
            )
            table[gram] = (math.log(likely), 0.0)
        if kept:
            below[context] = (below[context][0], math.log(weight))
    tables.append(table)
