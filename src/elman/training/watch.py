"""Why a training fails, in one sentence each: what is measured, and what to do.

The loop passes every step and every validation to a ``TrainingMonitor`` and prints its sentences,
each once during training and, if it still holds, once more at the end.  The monitor measures loss,
gradient norm and the relative change of the weights; ``Background`` holds what only the task knows:
the scores of trivial baselines, and an inspection of the model.  It changes neither options nor
random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from elman.training.baselines import Baseline, Metric
from elman.training.options import LoopOptions

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
#: the relative change of the weights is measured in the first steps, then in every tenth
FIRST, EVERY = 20, 10
#: a training whose steps together change the weights by less than this fraction learns nothing
STANDSTILL = 1e-3
#: steps that change the weights by more than this fraction are far too large; 0.02 is usual
LARGE = 0.1
#: a loss has risen if it is this many times that of the untrained model
RISEN = 2.0
#: the training loss is falling if it is below this fraction of that of the first epoch
FALLING = 0.97
#: gradients that are cut to less than 1 / this no longer decide the size of a step
CUT = 1e4
#: a label is so common that accuracy hardly measures the others
COMMON = 0.9
#: standard errors by which a score must exceed that of a constant answer to be beyond doubt
DOUBT = 2.0
#: the fraction of repeated examples from which validation scores are those of training
REPEATED = 0.1


#: symptoms that explain why a model is no better than a constant answer
_CAUSES = frozenset({"standstill", "exploding", "diverging", "vanishing", "closed"})


@dataclass(frozen=True)
class Finding:
    """A problem: a key, and a sentence with what was measured and what to do."""

    symptom: str
    sentence: str


@dataclass(frozen=True)
class Background:
    """What a task knows about a training besides its steps.

    ``unit`` is how scores of the metric are written.  ``repeated`` of the ``valid_examples`` are in
    the training data too.  ``inspect(model, failing)`` looks into the model; ``failing`` says that
    it is no better than a constant answer.  ``score(model)`` is the metric of the whole model, if
    validation looks at a part of it.
    """

    unit: str = "%"
    baselines: tuple[Baseline, ...] = ()
    repeated: int = 0
    valid_examples: int = 0
    inspect: Callable[[nn.Module, bool], Sequence[Finding]] | None = None
    score: Callable[[nn.Module], float] | None = None


def symptoms(expected: Sequence[Hashable], predicted: Sequence[Hashable]) -> dict[str, float]:
    """The scores that a ``TrainingMonitor`` reads, for a classifier's predictions.

    >>> symptoms(["good", "bad", "bad"], ["bad", "bad", "bad"])
    {'answers': 1.0}
    """
    if len(set(expected)) == 1:  # a constant prediction is then correct
        return {}
    return {ANSWERS: float(len(set(predicted)))}


class UpdateRatio:
    """The change of the weights in a step, relative to their norm, in a sample of steps.

    >>> weight = nn.Parameter(torch.ones(4))
    >>> ratio = UpdateRatio([weight])
    >>> ratio.before(step=0)
    >>> with torch.no_grad():
    ...     _ = weight.add_(0.01)
    >>> round(ratio.after(), 4)
    0.01
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = list(parameters)
        self._before: list[Tensor] | None = None

    @torch.no_grad()
    def before(self, step: int) -> None:
        """Keep the weights if this step, counted from 0, is in the sample."""
        sampled = step < FIRST or step % EVERY == 0
        self._before = [p.detach().clone() for p in self._parameters] if sampled else None

    @torch.no_grad()
    def after(self) -> float | None:
        """The relative change since ``before``; ``None`` outside the sample."""
        if not self._before:
            return None
        norms = [float(_norm(self._before))]
        torch._foreach_sub_(self._before, self._parameters)
        norms.append(float(_norm(self._before)))
        self._before = None
        return norms[1] / norms[0] if norms[0] else None


def _norm(tensors: list[Tensor]) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors)))
    return norm


class TrainingMonitor:
    """Detects problems of training and reports them to ``say``.

    ``steps`` is the number of steps of the whole training.

    >>> watch = TrainingMonitor(LoopOptions(clip_norm=1.0), Metric("accuracy"), print)
    >>> for _ in range(100):
    ...     watch.step(0.7, 50.0)
    The gradient norm exceeded clip_norm (1) in 100 of the last 100 steps, with a median of 50. \
Lower learning_rate, or raise clip_norm to about 50.
    """

    def __init__(
        self,
        options: LoopOptions,
        metric: Metric,
        say: Callable[[str], None],
        background: Background | None = None,
    ) -> None:
        self._options = options
        self._metric = metric
        self._say = say
        self._background = background = background or Background()
        constant = [each for each in background.baselines if each.constant]
        self._constant = metric.best(constant)
        scores = [each.score if each.best is None else each.best for each in constant]
        self._floor = (max if metric.higher_is_better else min)(scores) if scores else None
        known = any([each.best is not None for each in constant])
        self._floor_name = "the best constant answer" if known else "a constant answer"
        self._found: dict[str, str] = {}
        self._norms: list[float] = []
        self._losses: list[float] = []
        self._ratios: list[float] = []
        self._steps = 0
        self._first_loss = math.nan
        self._epoch_losses: list[float] = []
        self._last: dict[str, float] = {}

    # ---- during training

    def begin(self) -> None:
        """Report what is known before the first step."""
        repeated, examples = self._background.repeated, self._background.valid_examples
        if not examples or repeated < REPEATED * examples:
            return
        part = "All" if repeated == examples else f"{repeated} of the"
        self._once(
            "repeated",
            f"{part} {examples} validation examples are also in the training data, so their scores "
            "say nothing about new data. Give other validation data, or omit --valid to hold out "
            "a tenth of the training examples.",
        )

    def step(
        self, loss: float, norm: float, ratio: float | None = None, steps: int | None = None
    ) -> None:
        """Record a step: its loss, its gradient norm before clipping, its relative update.

        ``steps`` is the number of steps that the whole training will have, if it is known.
        """
        if not self._steps:
            self._first_loss = loss
        self._steps += 1
        self._losses.append(loss)
        self._norms.append(norm)
        if ratio is not None and self._steps > self._options.warmup_steps:
            self._ratios.append(ratio)
            if len(self._ratios) == FIRST and steps is not None:
                self._judge_movement(steps)
        if self._steps == FIRST:
            self._judge_cuts()
        if len(self._norms) >= STEPS:
            self._judge_gradients()

    def _judge_movement(self, steps: int) -> None:
        """Report weights that all steps together will hardly change."""
        ratio, rate = max(self._ratios), self._options.learning_rate
        if ratio * steps >= STANDSTILL or median(self._norms) <= VANISHED:
            return
        self._once(
            "standstill",
            f"A step changes the weights by {ratio:.0e} of their size, so that all {steps} steps "
            f"of this training change them by at most {ratio * steps:.1g}, and the model learns "
            f"nothing. Raise learning_rate from {rate:g} to about {_rounded(rate * 3e-3 / ratio)}."
            if ratio
            else "The steps do not change the weights at all. Raise learning_rate.",
        )

    def _judge_cuts(self) -> None:
        """Report gradients that clipping cuts to almost nothing."""
        clip, norm = self._options.clip_norm, median(self._norms)
        if not math.isfinite(clip) or norm < CUT * clip:
            return
        change = f" (a step changes the weights by {median(self._ratios):.0e} of their size)"
        self._once(
            "exploding",
            f"The gradient norm, {norm:.2g}, is {float(_rounded(norm / clip)):,.0f} times what "
            f"clip_norm ({clip:g}) allows, so that the model hardly learns"
            f"{change if self._ratios else ''}. Raise clip_norm to about {_rounded(2 * norm)}.",
        )

    def _judge_gradients(self) -> None:
        norms, self._norms = sorted(self._norms), []
        losses, self._losses = sorted(self._losses), []
        clip, middle = self._options.clip_norm, norms[STEPS // 2]
        clipped = sum(each > clip for each in norms)
        vanished = sum(each <= VANISHED for each in norms) >= MOST * STEPS
        if vanished and losses[STEPS // 2] > LEARNED:
            self._once(
                "vanishing",
                f"The gradient has vanished (median norm {middle:.0e} over {STEPS} steps) and "
                "training has stalled. Restart with a lower learning_rate, or use a gated cell "
                "such as lstm or gru.",
            )
        elif math.isfinite(clip) and clipped >= MOST * STEPS and middle > 10 * clip:
            self._once(
                "exploding",
                f"The gradient norm exceeded clip_norm ({clip:g}) in {clipped} of the last {STEPS} "
                f"steps, with a median of {middle:.2g}. Lower learning_rate, or raise clip_norm to "
                f"about {middle:.2g}.",
            )

    def validated(
        self,
        scores: Mapping[str, float],
        epochs: float,
        train_loss: float = math.nan,
        model: nn.Module | None = None,
    ) -> None:
        """Record the scores of a validation after this many epochs, and the mean training loss."""
        self._epoch_losses.append(train_loss)
        self._last = dict(scores)
        diverged = self._judge_loss(train_loss)
        if model is not None and len(self._epoch_losses) == 1:
            self._inspect(model, failing=False)
        if epochs < EPOCHS or diverged:
            return
        self._judge_answers(scores, epochs, model)

    def _judge_loss(self, loss: float) -> bool:
        """Report a training loss far above that of the untrained model."""
        ratio = max(self._ratios[:FIRST], default=0.0)  # later the weights themselves are too large
        if not loss > RISEN * self._first_loss or ratio < LARGE:
            return False
        rate = self._options.learning_rate
        clip = "" if math.isfinite(self._options.clip_norm) else " and set clip_norm to 1"
        self._once(
            "diverging",
            f"The training loss has risen from {self._first_loss:.2g} to {loss:.2g}: a step "
            f"changed the weights by {ratio:.2g} of their size, where 0.001 to 0.02 is usual. "
            f"Lower learning_rate from {rate:g} to about {_rounded(rate * 3e-3 / ratio)}{clip}.",
        )
        return True

    def _judge_answers(
        self, scores: Mapping[str, float], epochs: float, model: nn.Module | None
    ) -> None:
        learning = self._is_learning() and epochs < self._options.epochs / 2
        if learning:
            return
        if scores.get(BLANKS) == 1:
            self._once(
                "blanks",
                f"{_after(epochs)} the model predicts only blanks, as every CTC model "
                "does at first. If this continues, train longer, raise learning_rate, check that "
                "no text is longer than its audio has time steps, and start with short examples.",
            )
            return
        value, same = scores.get(self._metric.name, math.nan), scores.get(ANSWERS) == 1
        stalled, doubtful = not self._is_learning(), self._fails(value, DOUBT)
        if self._is_explained() or not (same or stalled or doubtful):
            return
        if model is not None and self._inspect(model, failing=True):
            return
        late = epochs >= self._options.epochs / 2
        if same or self._fails(value) or (late and stalled and doubtful):
            self._once("chance", self._explanation(scores, epochs))

    def _explanation(self, scores: Mapping[str, float], epochs: float) -> str:
        """What to say of a model that is no better than a constant answer."""
        constant, losses = self._constant, self._epoch_losses
        after = _after(epochs)
        if constant is not None and constant.fraction >= COMMON:
            return (
                f'{constant.fraction:.1%} of the training examples have the label "'
                f'{constant.answer}", and the model is no better than always answering it '
                f"({self._metric.name} {self._metric.text(constant.score)}). Add examples of the "
                f'other labels or leave out some of "{constant.answer}", and judge the model by F1.'
            )
        floor = self._floor
        if floor is None or scores.get(ANSWERS) == 1:
            return (
                f"{after} the model gives the same answer to every validation example. "
                f"{self._rate_advice()}, add examples of the rarer labels, or check that labels "
                "and inputs belong together."
            )
        value = scores.get(self._metric.name, math.nan)
        start = (
            f"{after} the validation {self._metric.name} is "
            f"{self._metric.text(value)}, {'no' if self._fails(value) else 'hardly'} better than "
            f"{self._floor_name} ({self._metric.text(floor)})"
        )
        if self._is_learning():
            return (
                f"{start}, although the training loss has fallen from {losses[0]:.3g} to "
                f"{losses[-1]:.3g}: what the model learns does not carry over. Check that labels "
                "and inputs belong together and that training and validation data are of the same "
                "kind, or give more examples."
            )
        stalled = (
            f", and the training loss hardly falls ({losses[0]:.3g} to {losses[-1]:.3g})"
            if len(losses) > 1
            else ""
        )
        return (
            f"{start}{stalled}. {self._rate_advice()}, train longer, or check that labels and "
            "inputs belong together."
        )

    def _rate_advice(self) -> str:
        """Which way to change the learning rate, from how far a step moves the weights."""
        ratio = median(self._ratios) if self._ratios else math.nan
        if ratio > 0.03:
            return f"Lower learning_rate (a step changes the weights by {ratio:.1%})"
        if ratio < 3e-4:
            return f"Raise learning_rate (a step changes the weights by {ratio:.2%})"
        return "Try another learning_rate"

    def _fails(self, score: float, doubt: float = 0.0) -> bool:
        """Whether a score is no better than a constant answer, or not beyond doubt."""
        floor, examples = self._floor, self._background.valid_examples
        if floor is None:
            return False
        if self._metric.unit == "%" and examples and 0 < floor < 1:
            error = math.sqrt(floor * (1 - floor) / examples)
            floor += doubt * error * (1 if self._metric.higher_is_better else -1)
        return not self._metric.better(score, floor)

    def _is_learning(self) -> bool:
        losses = self._epoch_losses
        return len(losses) > 1 and losses[-1] < FALLING * losses[0]

    def _is_explained(self) -> bool:
        return not _CAUSES.isdisjoint(self._found)

    def _inspect(self, model: nn.Module, *, failing: bool) -> bool:
        """Look into the model; whether something was found."""
        if self._background.inspect is None:
            return False
        findings = self._background.inspect(model, failing)
        for finding in findings:
            self._once(finding.symptom, finding.sentence)
        return bool(findings)

    # ---- at the end

    def end(self, best: float, epochs: float) -> list[str]:
        """The sentences that still hold when training ends with ``best`` as its best score."""
        same = self._floor is None and self._last.get(ANSWERS) == 1
        stalled = not self._is_learning()
        doubtful = self._fails(self._last.get(self._metric.name, best), DOUBT)
        failed = same or self._fails(best) or (stalled and doubtful)
        # what kept the model from learning may have done so for a while only
        passed = [] if failed else ["chance", "blanks"]
        passed += [] if stalled or doubtful else ["dropout", "reach"]
        for symptom in passed:
            self._found.pop(symptom, None)
        if failed and not self._found.keys() - {"repeated", "chance"}:
            scores = {**self._last, self._metric.name: best}
            self._found["chance"] = self._explanation(scores, epochs)
        return list(self._found.values())

    def _once(self, symptom: str, sentence: str) -> None:
        if symptom not in self._found:
            self._found[symptom] = sentence
            self._say(sentence)


def _rounded(value: float) -> str:
    """One significant digit: advice is no more precise than that."""
    return f"{float(f'{value:.0e}'):g}"


def _after(epochs: float) -> str:
    """The start of a sentence.

    >>> _after(1), _after(2.5)
    ('After 1 epoch', 'After 2.5 epochs')
    """
    return f"After {epochs:.4g} epoch{'s' if epochs != 1 else ''}"
