"""What a search may write: known words, each placeholder once, no phrase twice."""

import pytest
import torch

import elman
from elman.data.subwords import END, START, SubWords
from elman.decode import beam_search, greedy_search
from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from elman.tasks.translation.confidence import confidence, logistic_curve
from elman.tasks.translation.spelling import AFTER_WORD, Spelling
from elman.tasks.translation.words import PART
from elman.tasks.translation.writing import Rules, Written
from elman.training.progress import Silence

TEXTS = ["The cat sees Tom's house.", 'He said, "The cats sleep."', "Is it 3 o'clock?"] * 3


@pytest.fixture(scope="module")
def subwords():
    return SubWords.learn(TEXTS, size=320)


@pytest.fixture(scope="module")
def spelling(subwords):
    return Spelling(subwords, sorted({word for text in TEXTS for word in PART.findall(text)}))


def follows(subwords, spelling, text):
    node = AFTER_WORD
    for token in [*subwords.encode(text), END]:
        if not spelling.allowed([node])[0, token]:
            return False
        node = spelling.after(node, token)
    return True


@pytest.mark.parametrize("text", [*TEXTS[:3], "cats, cat-house (12,5)!", '"Tom\'s \x07 \x01."'])
def test_known_words_signs_and_placeholders_can_be_written(subwords, spelling, text):
    assert follows(subwords, spelling, text)


@pytest.mark.parametrize("text", ["The catses.", "Hous", "Thecat", "sle", "TTom"])
def test_invented_words_cannot_be_written(subwords, spelling, text):
    assert not follows(subwords, spelling, text)


class Babble(torch.nn.Module):
    """Prefers a fixed sequence of tokens, over and over, and attends to the first of the source."""

    def __init__(self, size, tokens, also):
        super().__init__()
        self.size, self.tokens, self.also = size, tokens, also

    def start(self, source, lengths):
        self.memory = type("Memory", (), {"lengths": lengths})
        return State(torch.zeros(len(lengths), dtype=torch.int64), self.memory, len(source))

    def attending_step(self, tokens, state):
        scores = torch.full((len(tokens), self.size), -9.0)
        wanted = torch.tensor(self.tokens)[state.steps % len(self.tokens)]
        scores[:, [END, *self.also]] = 1.0
        scores[torch.arange(len(tokens)), wanted] = 4.0
        weights = torch.zeros(len(tokens), state.places)
        weights[:, 0] = 1
        return scores.log_softmax(-1), weights, State(state.steps + 1, state.memory, state.places)


class State:
    def __init__(self, steps, memory, places):
        self.steps, self.memory, self.places = steps, memory, places

    def select(self, rows):
        memory = type("Memory", (), {"lengths": self.memory.lengths[rows]})
        return State(self.steps[rows], memory, self.places)


def write(subwords, spelling, tokens, source, **search):
    model = Babble(len(subwords), tokens, search.pop("also", []))
    rules = Rules(model, spelling, [source], search.pop("coverage", 0.0))
    state = rules.start(torch.ones(4, 1, dtype=torch.int64), torch.tensor([4]))
    if search:
        [found] = beam_search(
            rules.step, Written.select, state, longest=[9], start=START, end=END, **search,
            penalty=rules.penalty,
        )  # fmt: skip
        return found[0]
    [found] = greedy_search(rules.step, Written.select, state, longest=[9], start=START, end=END)
    return subwords.decode(found.tokens)


def test_no_phrase_is_written_twice_in_a_row_unless_the_source_says_it_twice(subwords, spelling):
    tokens = subwords.encode("cats")
    assert write(subwords, spelling, tokens, "les chats dorment").count("cats") == 1
    assert "cats cats" in write(subwords, spelling, tokens, "chats chats")
    assert "cats cats" in write(subwords, None, tokens, "les chats dorment"), "no word list"


def test_a_placeholder_is_written_once_and_only_if_the_source_has_it(subwords, spelling):
    tokens = subwords.encode("cats \x01")
    assert write(subwords, spelling, tokens, "chats \x01").count("\x01") == 1
    assert "\x01" not in write(subwords, spelling, tokens, "chats")


def test_the_end_waits_for_the_placeholders_of_the_source(subwords, spelling):
    also = subwords.encode("\x07")
    found = write(subwords, spelling, [END], "chats \x07", beam=4, also=also)
    assert "\x07" in subwords.decode(found.tokens)


def test_what_attention_leaves_out_costs_score_and_not_probability(subwords, spelling):
    tokens = [*subwords.encode("cats"), END]
    without, with_penalty = [
        write(subwords, spelling, tokens, "chats", beam=2, coverage=c) for c in (0.0, 0.1)
    ]
    assert with_penalty.log_probability == without.log_probability
    assert with_penalty.score < without.score - 1


def test_confidence_is_as_often_right_as_it_says():
    generator = torch.Generator().manual_seed(0)
    means = -2 * torch.rand(4000, generator=generator)
    close = torch.rand(4000, generator=generator) < torch.sigmoid(3 * means + 2)
    slope, offset = logistic_curve(means.tolist(), close.tolist())
    assert (slope, offset) == (pytest.approx(3, abs=0.4), pytest.approx(2, abs=0.4))
    assert confidence(-1e9, slope, offset) == pytest.approx(0, abs=1e-6)


OPTIONS = {
    "cell": "gru", "hidden_size": 24, "embedding_size": 24, "vocabulary": 400, "dropout": 0.0,
    "label_smoothing": 0.0, "epochs": 140, "learning_rate": 0.015, "warmup_steps": 0, "patience": 20,
    "average_weights": 0.0, "threads": 1, "lowercase": True, "copied": "french_english",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copying")
    task = TASKS["translation"]
    for name, text in task.samples().items():
        write_whole(folder / name, text)
    data = Data(folder / "train.tsv", folder / "train.tsv", "samples", "Apache-2.0")
    train(task, data, folder / "run", OPTIONS, progress=Silence())
    return elman.load(folder / "run")


def test_a_trained_model_answers_capitals_in_capitals(model):
    small, capitals = model(["Le chat dort.", "LE CHAT DORT."])
    assert small.translation == "The cat sleeps."
    assert capitals.translation == "THE CAT SLEEPS."


def test_what_has_no_words_is_copied(model):
    found = [each.translation for each in model(["?", "42", "3,5", "", "14h30"])]
    assert found == ["?", "42", "3.5", "", "14:30"]


def test_a_text_of_any_length_is_translated_to_its_end(model):
    text = "Le chat dort. Je lis un livre. " * 40
    [answer] = model([text], n_best=2)
    assert answer.translation.count("cat") == answer.translation.count("book") == 40
    assert answer.note == ""
    assert len(answer.n_best) == 2
    [shown] = model([text], show="attention")
    weights = shown.attention.weights
    assert weights.shape == (len(shown.attention.target), len(shown.attention.source))


def test_words_that_training_lacks_are_not_written(model):
    known = set(model.symbols.words.target)
    for answer in model(["Xqzt krwm.", "Une maisonnette bleutée."]):
        assert set(PART.findall(answer.translation)) <= {*known, "Xqzt"}
    for beam in (1, 3):
        [answer] = model(["Elle gribouille."], beam=beam)
        assert set(PART.findall(answer.translation)) <= known


def test_other_languages_are_noticed_and_low_confidence_is_shown(model):
    task = TASKS["translation"]
    [answer] = model(["Le chat dort."])
    assert (answer.confidence, answer.note) == (None, ""), "ten sentences calibrate nothing"
    saved = model.model.confidence.clone()
    try:
        model.model.confidence.copy_(torch.tensor([1.0, -3.0]))
        [answer] = model(["Le chat dort."])
        assert answer.confidence < 0.05
        assert "low confidence" in task.show(answer)
        assert task.record(answer)["confidence"] == pytest.approx(answer.confidence, abs=1e-4)
    finally:
        model.model.confidence.copy_(saved)
