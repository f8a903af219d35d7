"""The task music, whole: from files to tunes that can be opened, heard and seen."""

import json

import numpy as np
import pytest
import soundfile
import torch

import elman
from elman.errors import OptionError, RunError
from elman.tasks import TASKS, Data, train
from elman.tasks.music import composition
from elman.tasks.music.baselines import baselines
from elman.tasks.music.data import MusicSymbols, Tune, tune_of
from elman.tasks.music.events import BEGIN, NUM_EVENTS, events_of
from elman.tasks.music.midi import write_midi
from elman.tasks.music.notes import HIGHEST, LOWEST, Note, Piece, transposed
from elman.tasks.music.options import MusicOptions
from elman.tasks.music.piano_roll import draw_roll
from elman.tasks.music.synthesis import render
from elman.training.progress import Silence
from tasks.conftest import samples

music = TASKS["music"]

SMALL = {
    "hidden_size": 24, "choice_size": 24, "embedding_size": 8, "epochs": 15,
    "learning_rate": 0.02, "threads": 1, "dropout": 0.0, "choice_dropout": 0.0, "average_weights": 0.9, "weight_decay": 0.0,
}  # fmt: skip
KINDS = {
    "ordered": {"bar": 4, "ending": True, "transpose": 3},
    "independent": {"prediction": "independent"},
    "events": {"model": "events", "transpose": 3, "longest": 50},
    "common key": {"common_key": "relative", "epochs": 3},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small run of each kind of model; the data are in the parent of "ordered"."""
    folder = samples(tmp_path_factory.mktemp("music"), "music")
    data = Data(folder / "train.json", folder / "valid.json")
    for kind, settings in KINDS.items():
        train(music, data, folder / kind, {**SMALL, **settings}, progress=Silence())
    return folder


def tune(steps, **more):
    return Tune(tuple(steps), whole=len(steps), **more)


def test_new_check_train_evaluate_predict_and_resume_go_through(command, tmp_path):
    data, run = tmp_path / "d", tmp_path / "run"
    assert command("new", "music", data)[0] == 0
    assert {path.name for path in data.iterdir()} == {
        "train.json", "valid.json", "primer.mid", "run.toml",
    }  # fmt: skip
    status, out, _ = command("check", "music", data / "train.json")
    assert status == 0
    assert "ready to train" in out
    flags = (
        "train", "music", "--train", data / "train.json", "--valid", data / "valid.json", "--out",
        run, "--hidden-size", 8, "--cell", "gru", "--threads", 1,
    )  # fmt: skip
    status, out, err = command(*flags, "--epochs", 1)
    assert (status, out) == (0, ""), err
    assert err.rstrip().endswith(f"elman predict {run}"), "nothing is what it is asked with"
    assert command(*flags, "--epochs", 2, "--resume")[0] == 0
    assert len((run / "history.jsonl").read_text().splitlines()) == 2
    status, out, _ = command("evaluate", run, data / "valid.json", "--json")
    assert status == 0
    assert json.loads(out).keys() >= {"nll", "frame_accuracy"}
    files = [tmp_path / name for name in ("made/t.mid", "made/t.wav", "made/t.png")]
    wishes = ("--out", files[0], "--wav", files[1], "--png", files[2], "--seconds", 6)
    status, out, err = command("predict", run, *wishes, "--primer", data / "primer.mid")
    assert status == 0, err
    assert "notes from" in out
    assert "9 seconds" in out, "four quarter notes of primer at 80 a minute, and six seconds"
    assert str(files[0]) in out
    assert all(path.stat().st_size > 100 for path in files)
    status, out, _ = command("predict", run, "--json", "--seconds", 6, "--seed", 3)
    assert json.loads(out)["predictions"][0]["seconds"] == 6


def test_the_samples_are_learned(runs):
    """Not a claim about quality: a training that learns nothing at all would not pass."""
    ordered = elman.load(runs / "ordered").evaluate(runs / "train.json")
    assert ordered["nll"] < 6
    assert ordered["steps"] == 412
    assert elman.load(runs / "independent").evaluate(runs / "train.json")["nll"] < 16
    # of all events none is likelier than another before training: log 309 is 5.7
    assert elman.load(runs / "events").evaluate(runs / "train.json")["nll"] < 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_is_the_mean_of_every_step_and_the_accuracy_that_of_bay(runs, kind):
    model = elman.load(runs / kind)
    rows = [row.value for row in music.read(runs / "valid.json", model.options)]
    total, steps, right, union = 0.0, 0, 0, 0
    with torch.no_grad():
        for each in rows:  # one by one, through step: nothing of batches or of padding
            batch = music.collate([each], model.symbols, model.options)
            state = None
            for x, y in zip(batch["x"], batch["y"], strict=True):
                features, state = model.model.step(x, state)
                total -= model.model.prediction.log_prob(features, y).item()
                guess = model.model.draw(features, lambda logits: logits.argmax(-1))
                if kind == "events":
                    a, b = {int(y)}, {int(guess)}
                else:
                    a, b = [{int(k) for k in z[0].nonzero()[:, 0]} for z in (y, guess)]
                right, union, steps = right + len(a & b), union + len(a | b), steps + 1
    scores = model.evaluate(runs / "valid.json")
    assert scores["steps"] == steps
    assert scores["nll"] == pytest.approx(total / steps, abs=1e-4)
    assert scores["frame_accuracy"] == pytest.approx(right / union, abs=1e-6)


def test_n_grams_are_witten_and_bells_with_independent_pitches_below():
    a, b = (60,), (60, 64)
    train, valid = [tune([a, b, a, b])], [tune([a, b])]
    options = MusicOptions()
    unigram, bigram, four = baselines(train, valid, options)
    # 60 sounds in all 4 steps, 64 in 2; the 86 other keys in none; each counted half a time more
    silent = (1 - 0.5 / 5) ** 86
    floor = {a: silent * 0.9 * 0.5, b: silent * 0.9 * 0.5}
    one = {step: (2 + 2 * floor[step]) / (4 + 2) for step in (a, b)}
    assert unigram.score == pytest.approx(-np.mean(np.log([one[a], one[b]])))
    # a always begins and b always follows it: one kind each
    two = [(1 + one[a]) / 2, (2 + one[b]) / 3]
    assert bigram.score == pytest.approx(-np.mean(np.log(two)))
    assert unigram.constant
    assert not bigram.constant
    assert four.score < bigram.score < unigram.score


def test_n_grams_of_events_stand_on_a_uniform_distribution():
    found = baselines([tune([5, 5, 5, 9])], [tune([7])], MusicOptions(model="events"))
    assert found[0].score == pytest.approx(-np.log(2 / NUM_EVENTS / (4 + 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_makes_the_same_tune_and_another_does_not(runs, kind):
    model = elman.load(runs / kind)
    [a], [b], [c] = [model(seed=seed, seconds=12) for seed in (1, 1, 2)]
    assert a.piece == b.piece
    assert a.piece != c.piece
    for note in a.piece.notes:
        assert LOWEST <= note.pitch <= HIGHEST
        assert 0 <= note.start < note.end <= a.piece.length


@pytest.mark.parametrize("kind", KINDS)
def test_a_tune_goes_on_from_its_primer_as_if_it_had_made_it(runs, kind):
    """The likeliest tune, cut and given back as primer, goes on as it did."""
    model = elman.load(runs / kind)
    options, wanted = model.options, music.PredictOptions(temperature=0.0, seconds=30.0)
    with torch.no_grad():
        if kind == "events":
            whole = list(composition._events(model.model, Tune(()), wanted, model.fitted))[:60]
            primer = tune(whole[:25])
            again = composition._events(model.model, primer, wanted, model.fitted)
        else:
            whole = list(composition._frames(model.model, Tune(()), 40, wanted, model.fitted))[:40]
            primer = tune(whole[:25])
            again = composition._frames(model.model, primer, 15, wanted, model.fitted)
        assert options.model == ("events" if kind == "events" else "frames")
        for expected in whole[25:40]:
            assert next(again) == expected


def test_midi_sound_and_picture_say_the_same(runs, tmp_path):
    model = elman.load(runs / "ordered")
    names = {kind: str(tmp_path / f"t.{kind}") for kind in ("mid", "wav", "png")}
    [made] = model(out=names["mid"], wav=names["wav"], png=names["png"], seconds=9)
    [again] = music.read_inputs(tmp_path / "t.mid", model.options)
    silence = int(made.piece.notes[0].start)
    assert [(n.pitch, n.start + silence, n.end + silence) for n in again.notes] == [
        (n.pitch, n.start, n.end) for n in made.piece.notes
    ]
    sound, rate = soundfile.read(names["wav"])
    assert rate == 44_100
    assert len(sound) / rate > 9
    assert 0.8 < np.abs(sound).max() < 0.9, "nothing is clipped"
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert made.files == tuple(names.values())


def test_a_tune_goes_on_in_the_key_of_its_primer_whatever_that_is(runs):
    model = elman.load(runs / "common key")
    primer = music.as_input(runs / "primer.mid")
    [made] = model([primer], seconds=12)
    for semitones in range(-5, 7):
        [other] = model([transposed(primer, semitones)], seconds=12)
        assert other.piece == transposed(made.piece, semitones)
    # data in another key are the same data
    steps = tune_of(primer, model.options).steps
    assert tune_of(transposed(primer, 5), model.options).steps == steps
    assert tune_of(transposed(primer, 5), elman.load(runs / "ordered").options).steps != steps


def test_several_primers_get_a_tune_and_a_file_each(runs, command, tmp_path):
    primers = tmp_path / "primers"
    for name, pitch in (("a", 60), ("b", 65)):
        write_midi(primers / f"{name}.mid", Piece((Note(0, pitch, 1),), 1.0))
    out = tmp_path / "t.mid"
    status, text, _ = command(
        "predict", runs / "ordered", primers, "--out", out, "--seconds", 3, "--json"
    )
    assert status == 0
    first, second = json.loads(text)["predictions"]
    assert (first["notes"][0]["pitch"], second["notes"][0]["pitch"]) == (60, 65)
    assert {path.name for path in tmp_path.glob("*.mid")} == {"t-1.mid", "t-2.mid"}


def test_a_file_of_all_parts_trains_validates_and_tests_on_its_own(tmp_path):
    chord = [[60, 64, 67]] * 5
    pieces = {"train": [chord] * 8, "valid": [chord, chord[:3]], "test": [chord[:2]]}
    file = tmp_path / "all.json"
    file.write_text(json.dumps(pieces))
    model, _ = train(
        music, Data(file), tmp_path / "run", {**SMALL, "epochs": 1}, progress=Silence()
    )
    settings = model.folder.settings()["data"]
    assert (settings["train_examples"], settings["valid_examples"]) == (8, 2)
    assert model.evaluate(file)["steps"] == 2
    file.write_text(json.dumps({"valid": pieces["valid"]}))
    assert model.evaluate(file)["steps"] == 8


@pytest.mark.parametrize("kind", ["frames", "events"])
def test_transposition_keeps_the_intervals_and_never_leaves_the_piano(kind):
    piece = Piece((Note(0, LOWEST + 1, 1), Note(1, HIGHEST - 2, 2)), 2.0)
    options = MusicOptions(model=kind, transpose=12)
    [symbols] = [MusicSymbols(80)]
    original = tune_of(piece, options)
    plain = music.collate([original], symbols, options)
    found = set()
    for seed in range(40):
        random = torch.Generator().manual_seed(seed)
        batch = music.collate([original], symbols, options, random)
        if kind == "events":
            [moved] = {
                int(a - b)
                for a, b in zip(batch["y"], plain["y"], strict=True)
                if events_of(piece)[1] <= b < 177  # a note on or off
            }
        else:
            assert torch.equal(batch["y"].sum(-1), plain["y"].sum(-1))
            moved = int(batch["y"][0].argmax() - plain["y"][0].argmax())
            assert torch.equal(torch.roll(plain["y"], moved, -1), batch["y"])
        known = batch["x"] if kind == "events" else batch["x"][..., :88]
        assert torch.equal(known[1:], batch["y"][:-1]), "what came before has moved too"
        found.add(moved)
    assert found == {-1, 0, 1, 2}, "one below is free, and two above"


def test_windows_follow_each_other_and_see_the_step_before(runs):
    steps = [(60 + k,) for k in range(10)]
    pieces = music.cut([tune(steps)], 4)
    assert [step for piece in pieces for step in piece.steps] == steps
    assert [(piece.before, piece.first) for piece in pieces] == [
        (None, 0), ((63,), 4), ((67,), 8),
    ]  # fmt: skip
    options = MusicOptions(bar=4, ending=True)
    symbols = MusicSymbols(80)
    [whole] = [music.collate([tune(steps)], symbols, options)]
    for piece in pieces:
        part = music.collate([piece], symbols, options)
        for name in ("x", "y"):
            span = slice(piece.first, piece.first + len(piece.steps))
            assert torch.equal(part[name], whole[name][span])
    events = music.collate([tune([5, 6, 7])], symbols, MusicOptions(model="events"))
    assert events["x"][:, 0].tolist() == [BEGIN, 5, 6]
    assert max(events["y"].flatten().tolist()) < NUM_EVENTS


def test_a_sound_has_no_clicks_and_its_pitch():
    sound = render(Piece((Note(0.0, 69, 2.0),), 2.0), 8000)
    louder = np.abs(sound).max(1)
    assert louder[:8].max() < 0.02, "it begins softly, within a thousandth of a second"
    assert louder[-80:].max() < 0.05, "and has died away at its end"
    release = louder[int(1.3 * 8000) :]
    assert release.max() < louder.max() / 2, "what is heard after the note is the room"
    spectrum = np.abs(np.fft.rfft(sound[:8000, 0]))  # a number for each hertz
    assert spectrum.argmax() in (439, 440, 441, 879, 880, 881), "its pitch or the octave's"
    assert spectrum[440] > 20 * np.median(spectrum)
    silent = render(Piece((), 1.0), 8000)
    assert not silent.any()
    assert draw_roll(Piece((), 1.0)).startswith(b"\x89PNG")


BAD = {
    ("--temperature", "-1"): "temperature is -1.0",
    ("--top-p", "0"): "top_p is 0.0",
    ("--seconds", "0"): "seconds is 0.0",
    ("--seed", "-2"): "seed is -2",
    ("--primer", "nowhere.mid"): "nowhere.mid: there is no such file",
    ("--wav", "tune.xyz"): "the suffix of an audio file must be .wav",
    ("--tempo", "3"): "tempo is 3.0",
}


@pytest.mark.parametrize(("flags", "sentence"), BAD.items(), ids=[" ".join(k) for k in BAD])
def test_wishes_that_cannot_be_are_one_sentence(runs, command, flags, sentence):
    seconds = () if flags[0] == "--seconds" else ("--seconds", 2)
    status, out, err = command("predict", runs / "ordered", *seconds, *flags)
    assert (status, out) == (1, "")
    assert sentence in err
    assert "Traceback" not in err


def test_options_that_cannot_be_are_refused():
    for name, value in {
        "grid": 0, "dropout": 1.0, "transpose": 25, "bar": -1, "longest": 1, "tempo": 0.0,
    }.items():  # fmt: skip
        with pytest.raises(OptionError, match=f"{name} is {value}"):
            MusicOptions(**{name: value})


def test_symbols_that_are_damaged_or_of_the_future_are_refused():
    assert music.load_symbols(MusicSymbols(72.5).to_json()).tempo == 72.5
    for text in ("", "{}", '{"format": 1}', '{"format": 1, "tempo": []}'):
        with pytest.raises(RunError, match="cannot be read"):
            music.load_symbols(text)
    with pytest.raises(RunError, match="format 2"):
        music.load_symbols('{"format": 2, "tempo": 80}')


def test_training_data_without_a_note_are_refused(tmp_path, command):
    (tmp_path / "a.json").write_text("[[[], []], [[]]]")
    status, _, err = command(
        "train", "music", "--train", tmp_path / "a.json", "--out", tmp_path / "r"
    )
    assert status == 1
    assert "has no notes" in err
