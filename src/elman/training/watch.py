"""Warnings about failing training, each given once.

The loop passes every gradient norm and every validation to a ``TrainingMonitor`` and prints its
warnings.  The monitor changes neither options nor random numbers.  A task may add validation
scores for it that are not metrics; ``symptoms`` computes those of a classifier.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

from elman.training.metrics import accuracy
from elman.training.options import LoopOptions

Metric = Callable[[Sequence[Hashable], Sequence[Hashable]], float]

#: score of the majority-class baseline
CHANCE = "chance"
#: number of distinct predictions
ANSWERS = "answers"
#: fraction of examples for which a model with a CTC loss predicts only blanks
BLANKS = "blanks"

#: gradients are judged over windows of this many steps
STEPS = 100
#: the fraction of a window that counts as nearly all steps
MOST = 0.9
#: gradients with at most this norm have vanished
VANISHED = 1e-7
#: a loss of at most this has nothing left to learn
LEARNED = 1e-3
#: validations are judged from this epoch on
EPOCHS = 3


def symptoms(
    expected: Sequence[Hashable], predicted: Sequence[Hashable], metric: Metric = accuracy
) -> dict[str, float]:
    """The scores that a ``TrainingMonitor`` reads, for a classifier's predictions.

    >>> symptoms(["good", "bad", "bad"], ["bad", "bad", "bad"])
    {'chance': 0.6666666666666666, 'answers': 1.0}
    """
    if len(set(expected)) == 1:  # a constant prediction is then correct
        return {}
    [(answer, _)] = Counter(expected).most_common(1)
    chance = metric(expected, [answer] * len(expected))
    return {CHANCE: chance, ANSWERS: float(len(set(predicted)))}


class TrainingMonitor:
    """Detects problems of training and reports them to ``say``.

    >>> watch = TrainingMonitor(LoopOptions(clip_norm=1.0), "accuracy", True, print)
    >>> for _ in range(100):
    ...     watch.step(0.7, 50.0)
    The gradient norm exceeded clip_norm (1) in 100 of the last 100 steps, with a median of 50. \
Lower learning_rate, or raise clip_norm to about 50.
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
        self._norms: list[float] = []
        self._losses: list[float] = []

    def step(self, loss: float, norm: float) -> None:
        """Record the loss of a step and its gradient norm before clipping."""
        self._losses.append(loss)
        self._norms.append(norm)
        if len(self._norms) < STEPS:
            return
        norms, self._norms = sorted(self._norms), []
        losses, self._losses = sorted(self._losses), []
        clip, median = self._options.clip_norm, norms[STEPS // 2]
        clipped = sum(each > clip for each in norms)
        vanished = sum(each <= VANISHED for each in norms) >= MOST * STEPS
        if vanished and losses[STEPS // 2] > LEARNED:
            self._once(
                "vanishing",
                f"The gradient has vanished (median norm {median:.0e} over {STEPS} steps) and "
                "training has stalled. Restart with a lower learning_rate, or use a gated cell "
                "such as lstm or gru.",
            )
        elif math.isfinite(clip) and clipped >= MOST * STEPS and median > 10 * clip:
            self._once(
                "exploding",
                f"The gradient norm exceeded clip_norm ({clip:g}) in {clipped} of the last {STEPS} "
                f"steps, with a median of {median:.2g}. Lower learning_rate, or raise clip_norm to "
                f"about {median:.2g}.",
            )

    def validated(self, scores: Mapping[str, float], epochs: float) -> None:
        """Record the scores of a validation after this many epochs."""
        if epochs < EPOCHS:
            return
        if scores.get(BLANKS) == 1:
            self._once(
                "blanks",
                f"After {epochs:.4g} epochs the model predicts only blanks, as every CTC model "
                "does at first. If this continues, raise learning_rate, check that no text is "
                "longer than its audio has time steps, and start with short examples.",
            )
        elif scores.get(ANSWERS) == 1:
            self._once(
                "one answer",
                f"After {epochs:.4g} epochs the model gives the same answer to every validation "
                "example. Lower learning_rate, add examples of the rarer labels, or check that "
                "labels and inputs belong together.",
            )
        elif CHANCE in scores and not self._better_than(scores[CHANCE], scores):
            self._once(
                "chance",
                f"After {epochs:.4g} epochs the validation {self._metric} is "
                f"{scores[self._metric]:.4f}, no better than always predicting the most common "
                f"answer ({scores[CHANCE]:.4f}). Train longer, try another learning_rate, or check "
                "that training and validation data are of the same kind.",
            )

    def _better_than(self, chance: float, scores: Mapping[str, float]) -> bool:
        value = scores[self._metric]
        return value > chance if self._higher_is_better else value < chance

    def _once(self, symptom: str, sentence: str) -> None:
        if symptom not in self._said:
            self._said.add(symptom)
            self._say(sentence)
