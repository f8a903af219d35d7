"""Language models: windows that go on, figures that are right, texts that are written on."""

import io
import json
import math
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman.data.units import BOUNDARY, Units
from elman.errors import DataError, OptionError, RunError
from elman.models import LanguageModel
from elman.nn.embedding import WordEmbedding
from elman.tasks import TASKS, Data, train
from elman.tasks.language import scores
from elman.tasks.language.data import batches, prepare, read
from elman.tasks.language.options import LanguageOptions, WritingOptions
from elman.tasks.language.sections import Section, section_rows
from elman.tasks.language.writing import predict, sampled
from elman.tasks.task import Fitted
from elman.training.progress import Silence
from tasks.conftest import samples

TASK = TASKS["language"]
SMALL = {"hidden_size": 12, "embedding_size": 8, "threads": 1, "epochs": 2, "batch_size": 4,
         "longest": 20, "schedule": "constant", "learning_rate": 0.01}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = samples(tmp_path_factory.mktemp("language"), "language")
    data = Data(folder / TASK.train_file, folder / TASK.valid_file)
    train(TASK, data, folder / "run", SMALL, progress=Silence())
    return folder / "run"


#: cells, and options of their layers
CELLS = [(elman.cells.lstm, {}), (elman.cells.delta_net, {"heads": 4, "key_size": 3})]


def model_of(units, cell=elman.cells.lstm, layer=None, **options):
    torch.manual_seed(0)
    recurrent = elman.Recurrent(cell, 8, 8, **(layer or {}))
    return LanguageModel(WordEmbedding(len(units), 8), recurrent, len(units), **options)


def test_training_goes_on_with_the_state_of_the_window_before():
    text = Section("abcabdabeabf" * 4)
    units = Units.characters([text.text])
    model, options = model_of(units), LanguageOptions(longest=7)
    windows = prepare([text], units, options)
    rows = [TASK.collate([window], units, options) for window in windows]
    losses = [model.loss(**row) * row["lengths"] for row in rows]
    whole = prepare([text], units, LanguageOptions(longest=1000))
    [row] = [TASK.collate(whole, units, options)]
    torch.testing.assert_close(sum(losses)[0] / row["lengths"][0], model.loss(**row))
    model.carried.clear()  # a model that forgets has another loss
    forgetful = model_of(units, carries_state=False)
    assert not torch.allclose(sum(losses), sum([forgetful.loss(**r) * r["lengths"] for r in rows]))


# two rows, and two units of a head: a mask along a wrong axis fits, too
@pytest.mark.parametrize(("cell", "layer"), CELLS)
def test_a_row_that_continues_nothing_begins_at_zero(cell, layer):
    units = Units.characters(["ab"])
    model = model_of(units, cell, layer)
    tokens = torch.randint(3, 5, (6, 2), generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([5, 5])
    model.loss(tokens[:-1], tokens[1:], lengths, torch.tensor([4, 9]))
    carried = {name: tensor.clone() for name, tensor in model.carried.items()}
    first = model._initial(torch.tensor([5, 11]))
    assert first is not None
    assert [state.shape for state in first] == [s.shape for s in model.initial_state(2)]
    for name, state in zip(cell.states, first, strict=True):
        assert torch.equal(state[:, 0], carried[f"state.{name}"][:, 0])
        assert not state[:, 1].any()
    model.eval()
    model.loss(tokens[:-1], tokens[1:], lengths, torch.tensor([5, 10]))
    assert all(torch.equal(model.carried[name], carried[name]) for name in carried), "read only"


def test_a_cell_with_a_matrix_state_writes(tmp_path):
    folder = samples(tmp_path, "language")
    data = Data(folder / TASK.train_file, folder / TASK.valid_file)
    settings = {**SMALL, "epochs": 1, "cell": "delta_net", "heads": 2, "key_size": 3}
    train(TASK, data, folder / "run", settings, progress=Silence())
    [answer] = elman.load(folder / "run")(["Day 3. "], length=5, samples=2, seed=5)
    assert [len(each.text) for each in answer.samples] == [5, 5]


@given(st.integers(1, 60), st.integers(1, 70))
def test_every_window_is_in_one_batch_and_every_row_is_contiguous(windows, size):
    plan = batches(windows, size)
    assert sorted([k for batch in plan for k in batch]) == list(range(windows))
    for before, after in pairwise(plan):
        assert len(after) <= len(before) <= size
        assert after == [k + 1 for k in before[: len(after)]]


def test_windows_are_the_text_once_with_a_boundary_between_texts():
    sections = [Section("abc", "1", 0, True, False), Section("de", "1", 1, False, True),
                Section("f", "2")]  # fmt: skip
    units = Units.characters(["abcdef"])
    windows = prepare(sections, units, LanguageOptions(longest=3))
    tokens = [windows[0].tokens[:1], *[window.tokens[1:] for window in windows]]
    assert torch.cat(tokens).tolist() == [2, *units.encode("abcde"), 2, *units.encode("f"), 2]
    assert [window.place for window in windows] == [0, 1, 2]


@settings(max_examples=40)
@given(st.text(), st.sampled_from(["characters", "bytes", "subwords"]))
def test_any_text_comes_back_and_arrives_piece_by_piece(text, kind):
    units = {
        "characters": lambda: Units.characters([text]),
        "bytes": lambda: Units("bytes"),
        "subwords": lambda: SUBWORDS,
    }[kind]()
    tokens = units.encode(text).tolist()
    assert units.decode(tokens) == text
    decoder = units.decoder()
    assert "".join([*[decoder.take(token) for token in tokens], decoder.end()]) == text
    assert min(tokens, default=BOUNDARY + 1) > BOUNDARY
    again = Units.from_json(units.to_json())
    assert again.encode(text).tolist() == tokens
    assert len(again) == len(units) > max(tokens, default=0)


SUBWORDS = Units.learn_subwords([TASK.samples()["train.txt"]], 320)


def test_scores_are_those_of_a_reading_step_by_step(run, tmp_path, monkeypatch):
    fitted = elman.load(run).fitted
    folder = samples(tmp_path, "language")
    (folder / "other.txt").write_text("Day 1. Fog.\n")
    rows = read(folder, fitted.options)
    assert len(rows) > 5
    examples = [row.value for row in rows]
    nats = tokens = 0
    for name in ("other.txt", "train.txt", "valid.txt"):
        ids = [BOUNDARY, *fitted.symbols.encode((folder / name).read_text()), BOUNDARY]
        state = None
        for token, following in pairwise(ids):
            features, state = fitted.model.step(torch.tensor([token]), state)
            logits = fitted.model.prediction.output(features)[0].detach()
            nats += float(torch.logsumexp(logits, -1) - logits[following])
            tokens += 1
    monkeypatch.setattr(scores, "_STEPS", 50)
    found = scores.score(fitted, examples, WritingOptions())
    characters = sum([len(each) for each in examples])
    assert found["tokens"] == tokens
    assert found["loss"] == pytest.approx(nats / tokens, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-4)
    assert found["bits_per_character"] == pytest.approx(nats / math.log(2) / characters, rel=1e-5)
    side_by_side = scores.validate(fitted, examples)
    assert side_by_side["tokens"] == tokens
    assert side_by_side["loss"] == pytest.approx(nats / tokens, rel=5e-3)


def test_a_text_that_only_repeats_itself_is_refused_as_such(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 5000)
    with pytest.raises(DataError, match=r"a\.txt: its \d+ examples are all the same"):
        train(TASKS["language"], Data(tmp_path / "a.txt"), tmp_path / "run", {})
    assert not (tmp_path / "run" / "run.toml").exists()


def test_sections_are_the_text_and_end_with_lines(tmp_path):
    text = TASK.samples()["train.txt"]
    (tmp_path / "a.txt").write_bytes(text.replace("\n", "\r\n").encode())
    rows = list(section_rows(tmp_path / "a.txt"))
    assert "".join([row.value.text for row in rows]) == text
    assert len(rows) >= 20
    assert all(row.value.text.endswith("\n") for row in rows)
    lines = text.split("\n")
    assert all(lines[row.place.line - 1] + "\n" in row.value.text for row in rows)
    assert [row.value.last for row in rows] == [False] * (len(rows) - 1) + [True]


def test_a_folder_without_texts_is_refused_and_other_files_are_noted(tmp_path, command):
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"the folder has no text files \(\.txt"):
        read(tmp_path, LanguageOptions())
    lines = [f"Day {k}. To be, or not to be {7 * k % 100}.\n" for k in range(300)]
    (tmp_path / "a.txt").write_text("".join(lines))
    status, out, _ = command("check", "language", tmp_path)
    assert status == 0
    assert "1 file without the suffix of a text file" in " ".join(out.split())


def test_texts_are_the_same_by_call_command_and_stream(run, command, monkeypatch):
    model = elman.load(run)
    [answer] = model(["Day 3. "], length=30, samples=2, seed=5)
    assert len(answer.samples) == 2
    assert answer.samples[0].text != answer.samples[1].text
    [one] = model(["Day 3. "], length=30, seed=5)
    flags = ("--length", 30, "--seed", 5)
    _, out, _ = command("predict", run, "Day 3. ", *flags, "--json")
    assert json.loads(out)["predictions"] == [TASK.record(one)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Day 3. ")))
    status, out, err = command("predict", run, "--stream", *flags)
    assert status == 0, err
    assert out == f"Day 3. {one.samples[0].text}\n"
    *tokens, last = model.stream_records([b"Day ", b"3. "], length=30, seed=5)
    assert "".join([each["text"] for each in tokens]) == f"Day 3. {one.samples[0].text}"
    assert {k: v for k, v in last.items() if k != "type"} == TASK.record(one)


def test_a_stream_of_several_texts_is_refused(run):
    with pytest.raises(OptionError, match="a stream is one sampled text"):
        list(elman.load(run).stream_records([b"a"], samples=2))
    with pytest.raises(DataError, match="byte 2 is not UTF-8"):
        list(elman.load(run).stream_records([b"a\xff"]))
    with pytest.raises(OptionError, match="beam is 2 and samples is 3"):
        elman.load(run)(["a"], beam=2, samples=3)


@pytest.mark.parametrize(("name", "value"), [("temperature", 1.2), ("top_k", 3), ("top_p", 0.5)])
def test_a_beam_search_takes_no_option_of_sampling(name, value):
    with pytest.raises(OptionError, match=f"beam is 2 and {name} is {value}; a beam search draws"):
        WritingOptions(beam=2, **{name: value})


def test_a_wide_beam_finds_the_most_likely_of_all_texts():
    units = Units.characters(["ab"])
    fitted = Fitted(model_of(units).eval(), units, LanguageOptions())
    [answer] = predict(fitted, ["ab"], WritingOptions(length=3, beam=27, samples=5))
    texts = ["", *[a + b for a in "ab" for b in ("", *"ab")]]
    texts += [a + b + c for a in "ab" for b in "ab" for c in "ab"]
    likely = []
    for text in texts:
        tokens = torch.tensor([BOUNDARY, *units.encode(f"ab{text}"), BOUNDARY])
        lengths = torch.tensor([len(tokens) - 1])
        each = fitted.model.log_prob(tokens[:-1, None], tokens[1:, None], lengths)[2:, 0].detach()
        each = each[:3]  # a text of three tokens is cut before its end
        likely.append((float(each.sum()) / len(each), float(each.sum()), text))
    best = sorted(likely, reverse=True)[:5]
    assert [sample.text for sample in answer.samples] == [text for _, _, text in best]
    for sample, (_, total, _) in zip(answer.samples, best, strict=True):
        assert sample.log_probability == pytest.approx(total, abs=1e-4)


def test_log_probabilities_are_those_of_the_model_and_the_coldest_token_is_the_likeliest(run):
    fitted = elman.load(run).fitted
    warm = list(sampled(fitted, "Day", WritingOptions(length=20, top_k=1, seed=3)))
    assert warm == list(sampled(fitted, "Day", WritingOptions(length=20, temperature=0)))
    tokens = torch.tensor([BOUNDARY, *fitted.symbols.encode("Day"), *[t[0] for t, _ in warm]])
    each = fitted.model.log_prob(tokens[:-1, None], tokens[1:, None], torch.tensor([23])).detach()
    assert [p[0] for _, p in warm] == pytest.approx(each[3:, 0].tolist(), abs=1e-4)


class Interrupted(Silence):
    """Interrupts a training after some batches."""

    def __init__(self, batch):
        self.left = batch

    def batch(self, info):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_a_training_that_dies_within_an_epoch_ends_with_the_same_weights(run, tmp_path):
    folder = run.parent
    data = Data(folder / TASK.train_file, folder / TASK.valid_file)
    often = {**SMALL, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(TASK, data, tmp_path / "run", often, progress=Interrupted(7))
    train(TASK, data, tmp_path / "run", often, resume=True, progress=Silence())
    found, expected = [
        (each / "model.safetensors").read_bytes() for each in (tmp_path / "run", run)
    ]
    assert found == expected


@pytest.mark.parametrize("units", ["bytes", "subwords"])
def test_bytes_and_subwords_train_with_every_regulariser_and_tied_weights(units, run, tmp_path):
    folder = run.parent
    data = Data(folder / TASK.train_file, folder / TASK.valid_file)
    options = {**SMALL, "units": units, "vocabulary": 320, "tie_weights": True, "num_layers": 2,
                "cell": "gru", "drop_connect": 0.2, "embedding_dropout": 0.1, "dropout": 0.2,
                "input_dropout": 0.1, "locked_dropout": True, "activation_penalty": 2.0,
                "temporal_penalty": 1.0, "epochs": 1}  # fmt: skip
    trained, _ = train(TASK, data, tmp_path / "run", options, progress=Silence())
    assert trained.model.prediction.output.weight is trained.model.embedding.weight
    again = elman.load(tmp_path / "run")
    assert again.model.prediction.output.weight is again.model.embedding.weight
    scored = [each.evaluate(folder / TASK.valid_file) for each in (trained, again)]
    assert scored[0] == scored[1]
    assert scored[0]["bits_per_character"] < math.log2(len(trained.symbols))


def test_an_exported_model_has_the_scores_and_texts_of_its_run(run, tmp_path):
    from elman.cli.export import export_to_onnx

    exported = elman.load(export_to_onnx(str(run), tmp_path))
    model = elman.load(run)
    for method in ("score", "validate"):
        examples = [row.value for row in TASK.read(run.parent / "valid.txt", model.options)]
        more = (WritingOptions(),) if method == "score" else ()
        ours, theirs = [
            getattr(scores, method)(each.fitted, examples, *more) for each in (exported, model)
        ]
        assert ours == pytest.approx(theirs, rel=1e-5)
    asked = {"length": 20, "samples": 2, "seed": 2}
    ours, theirs = [each(["Day 9. "], **asked) for each in (exported, model)]
    assert [s.text for s in ours[0].samples] == [s.text for s in theirs[0].samples]


def test_dynamic_evaluation_learns_from_what_it_reads_and_leaves_the_model(run):
    fitted = elman.load(run).fitted
    before = [parameter.clone() for parameter in fitted.model.parameters()]
    text = Section("Day 9. Zzz zzz zzz. " * 40)
    plain = scores.score(fitted, [text], WritingOptions())
    none = scores.score(fitted, [text], WritingOptions(dynamic_rate=1e-12))
    learned = scores.score(fitted, [text], WritingOptions(dynamic_rate=0.5))
    assert none["loss"] == pytest.approx(plain["loss"], rel=1e-5)
    assert learned["loss"] < 0.8 * plain["loss"]
    assert learned == scores.score(fitted, [text], WritingOptions(dynamic_rate=0.5))
    assert all(map(torch.equal, before, fitted.model.parameters()))
    # the first window is predicted before anything is learned from it
    short = Section(text.text[: fitted.options.longest], last=False)
    first = [
        scores.score(fitted, [short], WritingOptions(dynamic_rate=rate))["loss"]
        for rate in (0.0, 0.5)
    ]
    assert first[0] == pytest.approx(first[1], rel=1e-5)
    primer = "a" * 600
    answers = [
        predict(fitted, [primer], WritingOptions(length=12, temperature=0, dynamic_rate=rate))[0]
        for rate in (0.0, 1.0)
    ]
    assert [answer.samples[0].text == "a" * 12 for answer in answers] == [False, True]


def test_an_adaptive_softmax_trains_is_loaded_and_cannot_be_exported(run, tmp_path, command):
    folder = run.parent
    data = Data(folder / TASK.train_file, folder / TASK.valid_file)
    options = {**SMALL, "units": "subwords", "vocabulary": 320, "softmax": "adaptive", "epochs": 1}
    trained, _ = train(TASK, data, tmp_path / "run", options, progress=Silence())
    again = elman.load(tmp_path / "run")
    assert again.symbols == trained.symbols or again.symbols.to_json() == trained.symbols.to_json()
    scored = [each.evaluate(folder / TASK.valid_file) for each in (trained, again)]
    assert scored[0] == scored[1]
    assert scored[0]["perplexity"] < len(trained.symbols)
    order = trained.symbols.by_frequency
    text = trained.symbols.encode((folder / TASK.train_file).read_text()).tolist()
    assert text.count(order[0]) == max(text.count(token) for token in set(text))
    features = torch.randn(2, 12)
    head = trained.model.prediction
    each = [head.log_prob(features, torch.tensor([k, k])) for k in range(len(trained.symbols))]
    torch.testing.assert_close(torch.stack(each, -1), head.log_probs(features))
    assert len(again(["Day"], length=5)[0].samples[0].text) > 0
    status, _, err = command("export", tmp_path / "run", "--to", "onnx", "--out", tmp_path / "o")
    assert status == 1
    assert "an adaptive softmax cannot be exported" in err
    with pytest.raises(OptionError, match="tie_weights shares the weights of a full softmax"):
        train(TASK, data, tmp_path / "no", {**options, "tie_weights": True}, progress=Silence())
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"units": "words"}, "the units are 'words'"),
        ({"tokens": ["ab"]}, "a token is not a character"),
        ({"tokens": ["a", "a"]}, "a character occurs twice"),
        ({"by_frequency": [0, 0, 1, 2, 3]}, "by_frequency does not hold each index once"),
        ({"format": 2}, "format 2"),
    ],
)
def test_damaged_symbols_are_refused(change, sentence):
    record = json.loads(Units.characters(["ab"]).to_json())
    with pytest.raises(RunError, match=sentence):
        Units.from_json(json.dumps({**record, **change}))
