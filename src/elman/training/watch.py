"""Why does my training fail?  What the loop sees while it trains, said in a sentence, once each.

The loop passes the norm of every gradient and every validation to a ``TrainingMonitor``, and prints
what it answers.  The monitor changes nothing: no option, no random number.  A task may add
validation scores that are no metrics: ``symptoms`` computes those of a classifier.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

from elman.training.metrics import accuracy
from elman.training.options import LoopOptions

Metric = Callable[[Sequence[Hashable], Sequence[Hashable]], float]

#: the score of who has learned nothing but what is most common
CHANCE = "chance"
#: how many different answers there were
ANSWERS = "answers"
#: the share of examples to which a model with a CTC loss says nothing but blanks
BLANKS = "blanks"

#: gradients are judged by so many steps at a time
STEPS = 100
#: most of the steps
MOST = 0.9
#: a gradient that is no longer than this moves nothing
NOTHING = 1e-7
#: a loss that is no larger has nothing left to learn
LEARNED = 1e-3
#: a metric is judged against chance, and answers against each other, after so many epochs
EPOCHS = 3


def symptoms(
    expected: Sequence[Hashable], predicted: Sequence[Hashable], metric: Metric = accuracy
) -> dict[str, float]:
    """The scores that a ``TrainingMonitor`` reads, for a classifier's answers.

    >>> symptoms(["good", "bad", "bad"], ["bad", "bad", "bad"])
    {'chance': 0.6666666666666666, 'answers': 1.0}
    """
    if len(set(expected)) == 1:  # then one answer is right
        return {}
    [(answer, _)] = Counter(expected).most_common(1)
    chance = metric(expected, [answer] * len(expected))
    return {CHANCE: chance, ANSWERS: float(len(set(predicted)))}


class TrainingMonitor:
    """Finds out what is wrong with a training; ``say`` hears of it.

    >>> watch = TrainingMonitor(LoopOptions(clip_norm=1.0), "accuracy", True, print)
    >>> for _ in range(100):
    ...     watch.step(0.7, 50.0)
    In 100 of the last 100 steps the gradient was longer than clip_norm (1), half of the time \
more than 50 times; a lower learning_rate, or clip_norm near 50, lets steps differ again.
    """

    def __init__(
        self,
        options: LoopOptions,
        metric: str,
        higher_is_better: bool,
        say: Callable[[str], None],
    ) -> None:
        self._options = options
        self._metric = metric
        self._higher_is_better = higher_is_better
        self._say = say
        self._said: set[str] = set()
        self._lengths: list[float] = []
        self._losses: list[float] = []

    def step(self, loss: float, length: float) -> None:
        """A step was made with this loss, and a gradient of this length before clipping."""
        self._losses.append(loss)
        self._lengths.append(length)
        if len(self._lengths) < STEPS:
            return
        lengths, self._lengths = sorted(self._lengths), []
        losses, self._losses = sorted(self._losses), []
        clip, middle = self._options.clip_norm, lengths[STEPS // 2]
        clipped = sum(each > clip for each in lengths)
        still = sum(each <= NOTHING for each in lengths) >= MOST * STEPS
        if still and losses[STEPS // 2] > LEARNED:
            self._once(
                "vanishing",
                f"The gradient is nothing (median length {middle:.0e} over {STEPS} steps), so the "
                "model stands still; lower learning_rate and start anew, or take a cell with "
                "gates, such as lstm or gru.",
            )
        elif math.isfinite(clip) and clipped >= MOST * STEPS and middle > 10 * clip:
            self._once(
                "exploding",
                f"In {clipped} of the last {STEPS} steps the gradient was longer than clip_norm "
                f"({clip:g}), half of the time more than {middle / clip:.2g} times; a lower "
                f"learning_rate, or clip_norm near {middle:.2g}, lets steps differ again.",
            )

    def validated(self, scores: Mapping[str, float], epochs: float) -> None:
        """The model was validated after so many epochs."""
        if epochs < EPOCHS:
            return
        if scores.get(BLANKS) == 1:
            self._once(
                "blanks",
                f"After {epochs:.4g} epochs the model says nothing but blanks, which every CTC "
                "model does at first; if it goes on, raise learning_rate, look whether texts are "
                "longer than their sounds have steps, and begin with short examples.",
            )
        elif scores.get(ANSWERS) == 1:
            self._once(
                "one answer",
                f"After {epochs:.4g} epochs the model gives one and the same answer to every "
                "validation example; lower learning_rate, give more examples of the rarer labels, "
                "or look whether labels and inputs belong together.",
            )
        elif CHANCE in scores and not self._better_than(scores[CHANCE], scores):
            self._once(
                "chance",
                f"After {epochs:.4g} epochs {self._metric} is {scores[self._metric]:.4f} on the "
                f"validation data, and knowing only what is most common has "
                f"{scores[CHANCE]:.4f}; train for longer, try another learning_rate, or look "
                "whether training and validation data are of the same kind.",
            )

    def _better_than(self, chance: float, scores: Mapping[str, float]) -> bool:
        value = scores[self._metric]
        return value > chance if self._higher_is_better else value < chance

    def _once(self, symptom: str, sentence: str) -> None:
        if symptom not in self._said:
            self._said.add(symptom)
            self._say(sentence)
