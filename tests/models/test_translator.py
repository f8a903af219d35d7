import pytest
import torch

import elman
from elman.decode import beam_search, greedy_search
from elman.errors import OptionError
from elman.models import Translator
from elman.models.translator import Writing

CASES = {
    "parallel-multiplicative": {},
    "parallel-additive-untied": {"attention": "additive", "tied": False, "decoder_layers": 3},
    "feeding-multiplicative": {"input_feeding": True},
    "feeding-additive-shared": {
        "input_feeding": True, "attention": "additive", "shared": True, "decoder_layers": 1,
        "encoder_layers": 2,
    },
}  # fmt: skip


def make(case, cell="lstm", seed=0):
    torch.manual_seed(seed)
    model = Translator(
        elman.cells.CATALOGUE[cell], 13, 13, embedding_size=5, hidden_size=6, **CASES[case]
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.double()


def batch():
    torch.manual_seed(1)
    lengths, target_lengths = torch.tensor([4, 2, 6]), torch.tensor([5, 3, 1])
    source, target = torch.randint(1, 13, (6, 3)), torch.randint(1, 13, (5, 3))
    following = torch.randint(1, 13, (5, 3))
    return source, lengths, target, target_lengths, following


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("case", CASES)
def test_all_steps_at_once_agree_with_step_after_step(case, cell):
    model = make(case, cell).eval()
    source, lengths, target, target_lengths, _ = batch()
    scores = model(source, lengths, target, target_lengths).log_softmax(-1)
    state = model.start(source, lengths)
    for t in range(5):
        found, state = model.step(target[t], state)
        inside = target_lengths > t
        torch.testing.assert_close(found[inside], scores[t][inside])


@pytest.mark.parametrize("case", CASES)
def test_padding_and_neighbours_never_change_a_row(case):
    model = make(case).eval()
    source, lengths, target, target_lengths, following = batch()
    together = model(source, lengths, target, target_lengths)
    attended = model.attend(source, lengths, target, target_lengths)
    losses = []
    for row, (n, m) in enumerate(zip(lengths.tolist(), target_lengths.tolist(), strict=True)):
        alone = (
            source[:n, row, None], lengths[row, None], target[:m, row, None],
            target_lengths[row, None],
        )  # fmt: skip
        torch.testing.assert_close(model(*alone)[:, 0], together[:m, row])
        torch.testing.assert_close(model.attend(*alone)[:, 0], attended[:m, row, :n])
        losses.append(model.loss(*alone, following[:m, row, None]))
    loss = model.loss(source, lengths, target, target_lengths, following)
    torch.testing.assert_close(loss, torch.stack(losses).mean())


def torchs(model, names):
    """Layers of torch.nn with the weights of the model's recurrent modules."""
    made = {}
    for name in names:
        ours = model.get_submodule(name)
        layer = torch.nn.LSTM(
            ours.input_size, ours.hidden_size, ours.num_layers, bidirectional=ours.bidirectional
        ).double()
        for (k, d), direction in [
            ((k, d), directions[d]) for k, directions in enumerate(ours.layers)
            for d in range(len(directions))
        ]:  # fmt: skip
            suffix = f"_l{k}" + ("_reverse" if d else "")
            size = ours.hidden_size
            w = torch.cat([direction.W[gate] for gate in "ifgo"])
            b = torch.cat([direction.b[gate] for gate in "ifgo"])
            with torch.no_grad():
                getattr(layer, "weight_hh" + suffix).copy_(w[:, :size])
                getattr(layer, "weight_ih" + suffix).copy_(w[:, size:])
                getattr(layer, "bias_ih" + suffix).copy_(b)
                getattr(layer, "bias_hh" + suffix).zero_()
        made[name] = layer
    return made


@pytest.mark.parametrize("feeding", [False, True])
def test_loss_and_gradients_agree_with_the_same_model_written_with_torch(feeding):
    model = make("feeding-multiplicative" if feeding else "parallel-multiplicative")
    model.label_smoothing = 0.1
    model.train()
    source, lengths, target, target_lengths, following = batch()
    theirs = torchs(model, ["encoder", *(["decoder.recurrent"] if feeding else
                                         ["decoder.asking", "decoder.reading"])])  # fmt: skip
    loss = model.loss(source, lengths, target, target_lengths, following)
    loss.backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()

    total = 0.0
    for row, (n, m) in enumerate(zip(lengths.tolist(), target_lengths.tolist(), strict=True)):
        vectors = 5**0.5 * model.source.weight[source[:n, row]]
        memory, last = theirs["encoder"](vectors)  # source features
        ends = [torch.cat([state[0], state[1]]) for state in last]
        first = [
            torch.tanh(bridge(end)).view(2, 6)
            for bridge, end in zip(model.bridge, ends, strict=True)
        ]
        keys = memory @ model.decoder.attention.project.weight.T / 6**0.5

        def context(query, keys=keys, memory=memory):
            return (keys @ query).softmax(0) @ memory

        x = 5**0.5 * model.target.weight[target[:m, row]]
        said = []
        if feeding:
            fed, states = torch.zeros(5, dtype=torch.float64), tuple(first)
            for t in range(m):
                y, states = theirs["decoder.recurrent"](torch.cat([x[t], fed])[None], states)
                fed = torch.tanh(model.decoder.readout(torch.cat([y[0], context(y[0])])))
                said.append(fed)
        else:
            asked, _ = theirs["decoder.asking"](x, tuple([s[:1] for s in first]))
            answers = torch.stack([context(query) for query in asked])
            both = torch.cat([asked, answers], -1)
            y, _ = theirs["decoder.reading"](both, tuple([s[1:] for s in first]))
            again = torch.stack([context(query) for query in y])
            said = list(torch.tanh(model.decoder.readout(torch.cat([y, again], -1))))
        scores = torch.stack(said) @ model.target.weight.T + model.scores.bias
        total = total + torch.nn.functional.cross_entropy(
            scores, following[:m, row], reduction="sum", label_smoothing=0.1
        )
    torch.testing.assert_close(loss, total / 3)
    (total / 3).backward()
    for name, parameter in model.named_parameters():
        if "layers." not in name:
            torch.testing.assert_close(parameter.grad, ours[name], msg=name)
    for name, layer in theirs.items():
        for k in range(layer.num_layers):
            for d in range(2 if layer.bidirectional else 1):
                suffix = f"_l{k}" + ("_reverse" if d else "")
                grads = [getattr(layer, f"weight_{part}{suffix}").grad for part in ("hh", "ih")]
                expected = torch.cat(grads, 1)
                found = torch.cat([ours[f"{name}.layers.{k}.{d}.W.{gate}"] for gate in "ifgo"])
                torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("case", CASES)
def test_searches_over_the_model_are_the_same_in_a_batch_and_alone(case):
    model = make(case, "gru").eval()
    source, lengths, *_ = batch()
    options = {"start": 2, "end": 3}
    with torch.no_grad():
        state = model.start(source, lengths)
        together = beam_search(
            model.step, Writing.select, state, longest=[8, 8, 8], beam=3, n_best=3, **options
        )
        greedy = greedy_search(model.step, Writing.select, state, longest=[8, 8, 8], **options)
        for row, n in enumerate(lengths.tolist()):
            own = model.start(source[:n, row, None], lengths[row, None])
            [alone] = beam_search(
                model.step, Writing.select, own, longest=[8], beam=3, n_best=3, **options
            )
            assert [each.tokens for each in alone] == [each.tokens for each in together[row]]
            # float32 in the search's sums
            assert alone[0].score == pytest.approx(together[row][0].score, abs=1e-5)
            [found] = greedy_search(model.step, Writing.select, own, longest=[8], **options)
            assert found.tokens == greedy[row].tokens


def test_every_parameter_learns():
    for case in CASES:
        model = make(case).train()
        model.loss(*batch()).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, (case, name)
            assert parameter.grad.abs().sum() > 0, (case, name)


def test_options_that_do_not_go_together_are_refused():
    sizes = {"embedding_size": 3, "hidden_size": 4}
    with pytest.raises(OptionError, match="shared embeddings need the same tokens"):
        Translator(elman.cells.gru, 5, 6, shared=True, **sizes)
    with pytest.raises(OptionError, match="decoder_layers is 1; without input_feeding"):
        Translator(elman.cells.gru, 5, 6, decoder_layers=1, **sizes)
    with pytest.raises(OptionError, match="the state S of delta_net has the size memory"):
        Translator(elman.cells.delta_net, 5, 6, **sizes)
