"""Three scripts as people write them for torch.nn, trained with elman.nn's layers in its place.

The losses of all steps are torch.nn's: a language model with tied weights and a state carried on,
AWD-LSTM's weight drop (Merity et al. 2018), and a forecaster of recurrent blocks.
"""

import math

import pytest
import torch
from torch.nn import functional

import elman


class LanguageModel(torch.nn.Module):
    """Words in, words out, by one table of vectors for both."""

    def __init__(self, nn, kind, words=30, units=8):
        super().__init__()
        self.drop = torch.nn.Dropout(0.2)
        self.encoder = torch.nn.Embedding(words, units)
        self.rnn = getattr(nn, kind)(units, units, 2, dropout=0.2)
        self.decoder = torch.nn.Linear(units, words)
        self.decoder.weight = self.encoder.weight
        torch.nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        torch.nn.init.zeros_(self.decoder.bias)

    def forward(self, words, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(words)), hidden)
        return functional.log_softmax(self.decoder(self.drop(output)), -1), hidden

    def init_hidden(self, batch):
        weight = next(self.parameters())
        shape = (self.rnn.num_layers, batch, self.rnn.hidden_size)
        if self.rnn.mode == "LSTM":
            return weight.new_zeros(shape), weight.new_zeros(shape)
        return weight.new_zeros(shape)


def repackage_hidden(hidden):
    if isinstance(hidden, torch.Tensor):
        return hidden.detach()
    return tuple(repackage_hidden(each) for each in hidden)


def language_model(nn, kind):
    torch.manual_seed(1)
    words = torch.randint(30, (41, 4))
    model = LanguageModel(nn, kind).double().train()
    losses, rate = [], 5.0
    for _ in range(2):
        hidden = model.init_hidden(4)
        for start in range(0, 40, 10):
            model.zero_grad()
            hidden = repackage_hidden(hidden)
            output, hidden = model(words[start : start + 10], hidden)
            loss = functional.nll_loss(
                output.flatten(0, 1), words[start + 1 : start + 11].reshape(-1)
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            for p in model.parameters():
                p.data.add_(p.grad, alpha=-rate)
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            output, _ = model(words[:40], model.init_hidden(4))
            losses.append(
                math.exp(functional.nll_loss(output.flatten(0, 1), words[1:].reshape(-1)))
            )
        model.train()
    return losses


class WeightDrop(torch.nn.Module):
    """Drops recurrent weights of a layer anew at each call."""

    def __init__(self, module, names, p):
        super().__init__()
        self.module, self.names, self.p = module, names, p
        if isinstance(module, torch.nn.RNNBase):
            module.flatten_parameters = lambda: None
        for name in names:
            raw = getattr(module, name)
            del module._parameters[name]
            module.register_parameter(f"{name}_raw", torch.nn.Parameter(raw.data))

    def forward(self, *given):
        for name in self.names:
            raw = getattr(self.module, f"{name}_raw")
            # a copy in evaluation: the parameter itself would be registered a second time
            dropped = functional.dropout(raw, self.p) if self.training else raw.clone()
            setattr(self.module, name, dropped)
        return self.module(*given)


def weight_drop(nn, kind):
    torch.manual_seed(2)
    x, target = torch.randn(12, 3, 5).double(), torch.randn(12, 3, 6).double()
    layer = WeightDrop(getattr(nn, kind)(5, 6), ["weight_hh_l0"], 0.5).double()
    optimizer = torch.optim.SGD(layer.parameters(), 0.5, weight_decay=1e-4)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        output, _ = layer(x)
        slowness = (output[1:] - output[:-1]).square().mean()
        loss = functional.mse_loss(output, target) + 2 * output.square().mean() + slowness
        loss.backward()
        optimizer.step()
        layer.eval()
        with torch.no_grad():
            losses += [loss.item(), functional.mse_loss(layer(x)[0], target).item()]
        layer.train()
    return losses


class Forecaster(torch.nn.Module):
    """Encodes a window, and repeats its last state for the steps to come."""

    def __init__(self, nn, kind, horizon):
        super().__init__()
        block = getattr(nn, kind)
        self.horizon = horizon
        self.encoder = block(input_size=2, hidden_size=6, num_layers=2, batch_first=True)
        self.norm = torch.nn.LayerNorm(6)
        self.decoder = block(6, 6, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(12, 1)
        for module in self.modules():
            if isinstance(module, torch.nn.RNNBase):
                for name, parameter in module.named_parameters():
                    if "weight_hh" in name:
                        torch.nn.init.orthogonal_(parameter)
                    elif "bias" in name:
                        torch.nn.init.zeros_(parameter)

    def forward(self, window):
        self.encoder.flatten_parameters()
        output, _ = self.encoder(window)
        repeated = self.norm(output[:, -1]).unsqueeze(1).repeat(1, self.horizon, 1)
        return self.head(self.decoder(repeated)[0]).squeeze(-1)


def forecaster(nn, kind):
    torch.manual_seed(3)
    model = Forecaster(nn, kind, horizon=4).double()
    time = torch.arange(60).double()
    series = torch.stack([torch.sin(0.3 * time), torch.cos(0.1 * time)], -1)
    windows = torch.stack([series[k : k + 16] for k in range(40)])
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=12)
    losses = []
    for step in range(12):
        batch = windows[step % 4 :: 4]
        loss = functional.smooth_l1_loss(model(batch[:, :12]), batch[:, 12:, 0])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("script", [language_model, weight_drop, forecaster])
def test_a_script_has_the_same_losses(script, kind):
    ours, theirs = script(elman.nn, kind), script(torch.nn, kind)
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert len(set(theirs)) == len(theirs), "a script that learns nothing shows nothing"
