"""Phonemes as symbols: dictionaries, homophones, and a training on tones."""

import json
import random

import pytest

import elman
from elman.errors import DataError, OptionError, RunError
from elman.tasks import TASKS, Data, train
from elman.tasks.speech import symbols
from elman.tasks.speech.ngram_trie import NGramTrie
from elman.tasks.speech.ngrams import train_ngrams
from elman.tasks.speech.options import TranscribeOptions
from elman.tasks.speech.phonemes import Phonemes, read_dictionary
from elman.tasks.speech.raw_audio import whole_samples
from elman.tasks.speech.symbols import load_symbols
from elman.tasks.speech.transcription import hear
from elman.tasks.speech.writing import Homophones
from elman.training.progress import Silence
from tasks.conftest import samples

speech = TASKS["speech"]

SMALL = {
    "cell": "gru", "hidden_size": 48, "num_layers": 1, "frames_per_step": 4, "dropout": 0.0,
    "speed": 0.0, "size": 0.0, "noise": 0.0, "masks": 0, "learning_rate": 0.01, "warmup_steps": 20,
    "average_weights": 0.9, "epochs": 60, "batch_size": 4, "threads": 1, "language": "words",
    "units": "phonemes",
}  # fmt: skip
TO, TOO, TWO, CATS = ("T", "AH"), ("T", "UW"), ("T", "UW"), ("K", "AE", "T", "S")
#: what the words of the samples are called here; none is a homophone of another of them
TONES = "low L OW\nhigh HH AY\nup AH P\ndown D AW N\nmid M IH D\nhi HH AY\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_dictionary_is_read_as_cmudict_writes_it(tmp_path):
    text = (
        ";;; a comment\nHELLO  HH AH0 L OW1\nHELLO(2)  HH EH0 L OW1\nread R IY D\nread R EH D # past\n"
        "\nd'artagnan D AH R T AE N Y AH N # foreign french\n'tis T IH Z\n"
    )
    found = read_dictionary(write(tmp_path / "d.txt", text))
    assert found["hello"] == (("HH", "AH", "L", "OW"), ("HH", "EH", "L", "OW"))
    assert found["read"] == (("R", "IY", "D"), ("R", "EH", "D"))
    assert set(found) == {"hello", "read", "d'artagnan", "tis"}


def test_a_line_without_phonemes_is_named(tmp_path):
    path = write(tmp_path / "d.txt", "one W AH N\ntwo\n")
    with pytest.raises(DataError, match=r"d\.txt, line 2: 'two' has no phonemes; write"):
        read_dictionary(path)
    with pytest.raises(DataError, match="has no words"):
        read_dictionary(write(tmp_path / "e.txt", ";;; nothing\n"))


def test_a_word_that_the_dictionary_lacks_is_noise():
    phonemes = Phonemes.of({"two": (TWO,), "cats": (CATS,)})
    names = [phonemes.pieces[k - 1] for k in phonemes.encode("two dogs cats")]
    assert names == ["T", "UW", " ", "SPN", " ", "K", "AE", "T", "S"]
    assert phonemes.decode(phonemes.encode("two dogs cats")) == "two spn cats"


@pytest.fixture
def homophones():
    """A writer of words of which three sound alike, and their symbols."""
    phonemes = Phonemes.of({"to": (TO, TWO), "too": (TOO,), "two": (TWO,), "cats": (CATS,)})
    said = [["two", "cats"], ["two", "cats"], ["cats", "too"], ["cats", "to", "cats"], ["to"]]
    return Homophones(phonemes, NGramTrie.of(train_ngrams(said, 3))), phonemes


@pytest.mark.parametrize("said", ["two cats", "cats too", "cats to cats"])
def test_homophones_are_told_apart_by_the_words_around_them(homophones, said):
    writer, phonemes = homophones
    heard = phonemes.encode(said.replace("to ", "two ").replace("too", "two"))
    assert writer.words(heard) == said.split()


def test_a_word_that_the_language_model_lacks_loses_to_a_homophone_that_it_knows(homophones):
    _, phonemes = homophones
    ngrams = NGramTrie.of(train_ngrams([["cats", "too"]], 2, expect_unknown=True))
    assert Homophones(phonemes, ngrams).words(phonemes.encode("two")) == ["too"]


def test_settled_words_stay_whatever_follows(homophones):
    writer, phonemes = homophones
    random.seed(0)
    ambiguous = 0
    for _ in range(200):
        symbols = phonemes.encode(" ".join(random.choices(["two", "cats", "to"], k=6)))
        words = writer.words(symbols)
        for end in range(len(symbols) + 1):
            settled = writer.settled(symbols[:end])
            assert words[: len(settled)] == settled
            ambiguous += len(settled) < len(phonemes.grouped(symbols[:end])) - 1
    assert ambiguous
    assert writer.words([]) == writer.settled([]) == []


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """The samples and a run that has learned them as phonemes: folder/run."""
    folder = samples(tmp_path_factory.mktemp("phonemes"), "speech")
    settings = {**SMALL, "dictionary": str(write(folder / "words.dict", TONES))}
    data = Data(folder / "train.jsonl", folder / "valid.jsonl")
    train(speech, data, folder / "run", settings, progress=Silence())
    return folder


def test_phonemes_are_learned_and_written_as_words(tones):
    run = elman.load(tones / "run")
    assert "HH" in run.symbols.pieces.pieces
    assert run.evaluate(tones / "valid.jsonl")["wer"] < 0.2
    for wanted in ({"beam": 1}, {"lm": "none"}):
        assert run.evaluate(tones / "valid.jsonl", **wanted)["wer"] < 0.2
    texts = [json.loads(line)["text"] for line in (tones / "valid.jsonl").read_text().splitlines()]
    known = {word for text in texts for word in text.lower().split()}
    [answer] = run([tones / "valid" / "00.wav"])
    assert {word.text for sentence in answer.sentences for word in sentence.words} <= known


def test_a_stream_of_phonemes_ends_with_the_words_of_the_file(tones):
    run = elman.load(tones / "run")
    from elman.tasks.speech.audio import read_audio

    path = tones / "valid" / "00.wav"
    sound = read_audio(path, 16_000).samples
    raw = (sound * 32_767).astype("<i2").tobytes()
    parts = [raw[k : k + 4_000] for k in range(0, len(raw), 4_000)]
    heard = list(hear(run.fitted, whole_samples(parts, "linear"), TranscribeOptions(rate=16_000)))
    said = [each.final for each in heard if each.sentence is not None]
    assert " ".join(said) == run([path])[0].text


def test_the_symbols_of_phonemes_come_back_as_they_were_saved(tones):
    symbols = elman.load(tones / "run").symbols
    again = load_symbols(symbols.to_json())
    assert again.pieces.pieces == symbols.pieces.pieces
    assert again.pieces.dictionary == symbols.pieces.dictionary
    assert again.to_json() == symbols.to_json()
    assert set(again.pieces.dictionary) <= {"low", "high", "up", "down", "mid"}, "those used"


def test_a_damaged_dictionary_is_named(tones):
    saved = json.loads(elman.load(tones / "run").symbols.to_json())
    for text in ("?", saved["dictionary"][:24], "AAAA"):
        with pytest.raises(RunError, match=r"symbols\.json"):
            load_symbols(json.dumps({**saved, "dictionary": text}))
    fewer = [piece for piece in saved["pieces"] if piece != "AH"] + ["ZH"]
    with pytest.raises(RunError, match=r"symbols\.json.*AH"):
        load_symbols(json.dumps({**saved, "pieces": fewer}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dictionary": ""}, "--units phonemes needs a pronouncing dictionary and"),
        ({"language": "none"}, "--units phonemes needs a pronouncing dictionary and"),
        ({"language": "characters"}, "--units phonemes needs a pronouncing dictionary and"),
        ({"decoder": "transducer"}, "--units phonemes needs --decoder ctc"),
    ],
)
def test_what_phonemes_need_is_said(tones, tmp_path, changes, sentence):
    settings = {**SMALL, "epochs": 1, "dictionary": str(tones / "words.dict"), **changes}
    data = Data(tones / "train.jsonl", tones / "valid.jsonl")
    with pytest.raises(OptionError, match=sentence):
        train(speech, data, tmp_path / "run", settings, progress=Silence())


def test_a_missing_dictionary_is_said_before_a_language_model_is_trained(
    tones, tmp_path, monkeypatch
):
    monkeypatch.setattr(symbols, "train_language", lambda *_: pytest.fail("minutes wasted"))
    settings = {**SMALL, "dictionary": str(tmp_path / "nowhere.dict")}
    data = Data(tones / "train.jsonl", tones / "valid.jsonl")
    with pytest.raises(DataError, match="no such file"):
        train(speech, data, tmp_path / "run", settings, progress=Silence())


def test_a_dictionary_of_another_language_is_refused(tones, tmp_path):
    settings = {**SMALL, "dictionary": str(write(tmp_path / "d.txt", "eins AY N S\n"))}
    data = Data(tones / "train.jsonl", tones / "valid.jsonl")
    with pytest.raises(DataError, match="none of the words of the transcripts"):
        train(speech, data, tmp_path / "run", settings, progress=Silence())


def test_words_that_the_dictionary_lacks_are_told(tones, tmp_path, capsys):
    few = "\n".join([line for line in TONES.splitlines() if not line.startswith("low")])
    settings = {**SMALL, "epochs": 1, "dictionary": str(write(tmp_path / "d.txt", few))}
    data = Data(tones / "train.jsonl", tones / "valid.jsonl")
    train(speech, data, tmp_path / "run", settings, progress=Silence())
    assert "are not in" in capsys.readouterr().err
