"""Writes on from a primer: by sampling, or by a search for the most likely texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from elman.data.units import BOUNDARY, Units
from elman.decode import Sampler, beam_search
from elman.errors import OptionError
from elman.models import LanguageModel
from elman.nn.stack import State
from elman.tasks.language.answers import Continuation, Sample
from elman.tasks.language.dynamic import DynamicModel
from elman.tasks.language.options import LanguageOptions, WritingOptions
from elman.tasks.task import Fitted

#: steps of a primer that are read at once; the state is carried on
_STEPS = 512


def predict(
    fitted: Fitted[Units, LanguageOptions], inputs: Sequence[str], wanted: WritingOptions
) -> list[Continuation]:
    """Writes the texts that continue each input."""
    with torch.no_grad():
        return [Continuation(primer, _write(fitted, primer, wanted)) for primer in inputs]


def _write(
    fitted: Fitted[Units, LanguageOptions], primer: str, wanted: WritingOptions
) -> tuple[Sample, ...]:
    if wanted.beam:
        return _search(fitted, primer, wanted)
    count = wanted.samples
    rows: list[list[int]] = [[] for _ in range(count)]
    totals, ended = [0.0] * count, [False] * count
    for tokens, log_probabilities in sampled(fitted, primer, wanted):
        for row in range(count):
            if ended[row]:
                continue
            totals[row] += log_probabilities[row]
            ended[row] = tokens[row] == BOUNDARY
            if not ended[row]:
                rows[row].append(tokens[row])
        if all(ended):
            break
    decode = fitted.symbols.decode
    return tuple(
        [
            Sample(decode(row), total, len(row), end)
            for row, total, end in zip(rows, totals, ended, strict=True)
        ]
    )


def sampled(
    fitted: Fitted[Units, LanguageOptions], primer: str, wanted: WritingOptions
) -> Iterator[tuple[list[int], list[float]]]:
    """Yields the next token of each sample, with its log probability, ``wanted.length`` times."""
    model, state, last = _read(fitted, primer, wanted)
    state = tuple(
        [tensor.expand(-1, wanted.samples, *tensor.shape[2:]).contiguous() for tensor in state]
    )
    tokens = torch.full((wanted.samples,), last)
    sampler = Sampler(wanted.temperature, wanted.top_k, wanted.top_p, wanted.seed)
    for _ in range(wanted.length):
        with torch.no_grad():  # not across yields, where other code would run without
            log_probs, state = _step(model, tokens, state)
            tokens = sampler(log_probs)
            chosen = log_probs.gather(-1, tokens[:, None])[:, 0]
        yield tokens.tolist(), chosen.tolist()


def _search(
    fitted: Fitted[Units, LanguageOptions], primer: str, wanted: WritingOptions
) -> tuple[Sample, ...]:
    model, state, last = _read(fitted, primer, wanted)
    [found] = beam_search(
        lambda tokens, state: _step(model, tokens, state),
        lambda state, rows: tuple([tensor[:, rows] for tensor in state]),
        state,
        longest=[wanted.length],
        start=last,
        end=BOUNDARY,
        beam=wanted.beam,
        n_best=wanted.samples,
    )
    return tuple(
        [
            Sample(
                fitted.symbols.decode(each.tokens),
                each.log_probability,
                len(each.tokens),
                each.ended,
            )
            for each in found
        ]
    )


def _read(
    fitted: Fitted[Units, LanguageOptions], primer: str, wanted: WritingOptions
) -> tuple[LanguageModel, State, int]:
    """The model, its state before the last token of the primer, and that token."""
    if fitted.options.backward:
        raise OptionError(
            "the model reads texts from their end (backward), so it cannot write on; train one "
            "without backward."
        )
    model = fitted.model
    assert isinstance(model, LanguageModel)
    model.eval()
    ids = torch.cat([torch.tensor([BOUNDARY]), torch.from_numpy(fitted.symbols.encode(primer))])
    if wanted.dynamic_rate and len(ids) > 1:
        learning, window = DynamicModel(model, wanted.dynamic_rate), fitted.options.longest
        for start in range(0, len(ids) - 1, window):
            learning.read(ids[start : start + window + 1])
        return learning.model, learning.state, int(ids[-1])
    state: State = model.initial_state(1)
    for part in ids[:-1].split(_STEPS):
        if len(part):
            _, state = model(part[:, None], None, state)
    return model, state, int(ids[-1])


def _step(model: LanguageModel, tokens: Tensor, state: State) -> tuple[Tensor, State]:
    """The log probabilities of the next token; padding and the unknown token have none."""
    features, state = model.step(tokens, state)
    log_probs = model.prediction.log_probs(features)
    log_probs[:, :BOUNDARY] = -torch.inf
    return log_probs, state
