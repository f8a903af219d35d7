"""Music of voices: what is read as voices, the form of a piece, and tunes that end with it."""

import json

import pytest
import symusic
import torch

import elman
from elman.decode import Sampler
from elman.errors import DataError, OptionError
from elman.tasks import TASKS, Data, train
from elman.tasks.music import composition
from elman.tasks.music.baselines import baselines
from elman.tasks.music.data import (
    MusicSymbols,
    Tune,
    known_form,
    load_symbols,
    repeated_steps,
    tune_of,
)
from elman.tasks.music.form import Form, draw_form, form_of, load_form, regular_form
from elman.tasks.music.midi import midi_rows, write_midi
from elman.tasks.music.notes import LOWEST, Note, Piece, key_of, transposed
from elman.tasks.music.options import MusicOptions, named_key
from elman.tasks.music.report import check_music, music_rows
from elman.tasks.music.voices import REST, registers_of, voice_notes, voices_of
from elman.training.progress import Silence
from tasks.conftest import samples

music = TASKS["music"]

SMALL = {
    "prediction": "voices", "hidden_size": 16, "choice_size": 16, "epochs": 12, "threads": 1,
    "learning_rate": 0.02, "dropout": 0.0, "choice_dropout": 0.0, "average_weights": 0.9, "weight_decay": 0.0,
}  # fmt: skip
OPTIONS = MusicOptions(prediction="voices")
CHORDS = {
    "I": (72, 64, 55, 48),
    "V": (71, 62, 55, 43),
    "F": (72, 65, 57, 53),
    ".": (REST,) * 4,
}


def steps(letters):
    return tuple([CHORDS[letter] for letter in letters])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run of voices; the data are in its parent."""
    folder = samples(tmp_path_factory.mktemp("voices"), "music")
    data = Data(folder / "train.json", folder / "valid.json")
    train(music, data, folder / "run", SMALL, progress=Silence())
    return folder / "run"


# ---- reading


def test_chords_of_the_same_number_of_pitches_are_voices_from_the_top():
    frames = [(48, 55, 64, 72), (), (43, 55, 62, 71)]
    notes = [Note(k, p, k + 1) for k, frame in enumerate(frames) for p in frame]
    assert voices_of(Piece(tuple(notes), 3.0), 1) == steps("I.V")
    with pytest.raises(DataError, match="there are 1 to 4 pitches at a time; prediction = voices"):
        voices_of(Piece((*notes, Note(3, 60, 4)), 4.0), 1)


def test_voices_that_cross_keep_their_tracks(tmp_path):
    crossing = ((60, 55), (57, 58), (60, 55))
    piece = Piece(voice_notes(crossing, 1), 3.0)
    write_midi(tmp_path / "a.mid", piece)
    assert [track.name for track in symusic.Score(str(tmp_path / "a.mid")).tracks] == [
        "Voice 1",
        "Voice 2",
    ]
    [row] = midi_rows(tmp_path / "a.mid")
    assert voices_of(row.value.piece, 1) == crossing
    # a track of chords is no voice: then chords are read from the top
    merged = Piece(tuple([Note(n.start, n.pitch, n.end, voice=0) for n in piece.notes]), 3.0)
    assert voices_of(merged, 1) == ((60, 55), (58, 57), (60, 55))


def test_a_unison_is_a_note_in_each_voice(tmp_path):
    unison = ((60, 60), (62, 60), (60, 60))
    write_midi(tmp_path / "a.mid", Piece(voice_notes(unison, 4), 0.75))
    [row] = midi_rows(tmp_path / "a.mid")
    assert voices_of(row.value.piece, 4) == unison


def test_json_of_voices_is_read_with_its_rests(tmp_path):
    voices = [[72, 72, None], [48, 50, 50]]
    (tmp_path / "a.json").write_text(json.dumps({"train": [{"voices": voices}]}))
    [row] = music_rows(tmp_path / "a.json", 2, 90)
    assert row.value.length == 1.5
    assert voices_of(row.value, 2) == ((72, 48), (72, 50), (REST, 50))


WRONG = {
    '[{"voices": []}]': 'is an object; it must have "voices" only',
    '[{"voice": [[60]]}]': 'is an object; it must have "voices" only',
    '[{"voices": [[60], 61]}]': "piece 0, voice 1, is 61; it must be a list of MIDI pitches",
    '[{"voices": [[60, 61], [60]]}]': "voice 1, has 1 steps, but voice 0 has 2",
    '[{"voices": [[60, 61.5]]}]': "piece 0, voice 0, has the pitch 61.5; MIDI pitches are integers",
}


@pytest.mark.parametrize(("text", "sentence"), WRONG.items())
def test_wrong_voices_are_a_sentence(text, sentence, tmp_path):
    (tmp_path / "a.json").write_text(text)
    [fault] = music_rows(tmp_path / "a.json", 1, 80)
    assert sentence in str(fault)


def test_check_and_train_say_which_pieces_have_no_voices(command, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"train": [[[60, 64], [62]], [[60], [62]]], "valid": [[[60]]]}))
    assert check_music(path, grid=1, tempo=80).problems == ()
    [problem] = check_music(path, grid=1, tempo=80, voices=True).problems
    assert "there are 1 to 2 pitches at a time" in problem
    status, out, err = command("check", "music", path, "--prediction", "voices")
    assert (status, "pitches at a time" in out + err) == (1, True)
    status, _, err = command("train", "music", "--train", path, "--prediction", "voices")
    assert (status, "pitches at a time" in err) == (1, True)


def test_pieces_of_other_numbers_of_voices_are_a_sentence(run, command, tmp_path):
    path = tmp_path / "a.json"
    two, one = [[60, 64]] * 4, [[60]] * 4
    path.write_text(json.dumps({"train": [two, one], "valid": [two]}))
    status, _, err = command("train", "music", "--train", path, "--prediction", "voices")
    assert (status, "pieces with 1 and with 2 voices" in err) == (1, True)
    path.write_text(json.dumps([two]))
    status, _, err = command("evaluate", run, path)
    assert (status, "the piece has 2 voices, but the model has 4" in err) == (1, True)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": "events"}, "prediction is voices, but model is events"),
        ({"common_key": "tonic"}, "prediction is voices, but common_key is tonic"),
    ],
)
def test_options_that_do_not_go_with_voices_are_a_sentence(settings, sentence):
    with pytest.raises(OptionError, match=sentence):
        MusicOptions(prediction="voices", **settings)


# ---- the form


def test_the_form_is_heard_in_the_notes():
    form = form_of(steps("V" + "IIFFVVII" * 2 + "FFIVFVIII"), 1)
    assert (form.tonic, form.minor, form.beats, form.pickup) == (0, False, 4, 1)
    assert form.steps == 26
    assert form.phrases[-1] == 23
    triple = form_of(steps("IIVFFVIIVFFVIIVFFVIII"), 1)
    assert (triple.beats, triple.pickup) == (3, 0)
    assert form_of(steps("IIVFFVIIVFFVIIVFFVIII"), 1, bar=5).beats == 5
    assert form_of(steps("...."), 1).tonic == 0, "silence has a form, too"


def test_a_first_section_that_is_played_twice_is_a_repeat():
    section = "IIFFVVIIIVFVIIII"
    form = form_of(steps(2 * section + "FFVVIIII"), 1)
    assert form.repeat == len(section)
    again = repeated_steps(steps(2 * section + "F"), form)
    assert again[:16] == (None,) * 16
    assert again[16:32] == steps(section)
    assert again[32:] == (None,)
    assert form_of(steps(section + section[:-1] + "V"), 1).repeat == 0


def test_a_form_is_saved_and_broken_ones_are_refused():
    form = Form(26, 7, True, 3, 1, 8, (7, 23))
    assert load_form(form.to_json()) == form
    symbols = MusicSymbols(80.0, (70.0, 50.0), (form,))
    assert load_symbols(symbols.to_json()) == symbols
    for numbers in (
        [1, 2],
        [26, 12, 1, 3, 1, 8],
        [26, 7, 1, 3, 1, 14],
        [26, 7, 1, 0, 1, 8],
        ["a"] * 6,
    ):
        with pytest.raises(ValueError, match="the form"):
            load_form(numbers)


def test_forms_are_those_of_pieces_of_about_the_length_or_regular():
    forms = [Form(length, 2, False, 4, 1, 0, (length // 4 - 2,)) for length in (100, 200, 208)]
    found = {draw_form(forms, 204, 4, 0, seed).steps for seed in range(20)}
    assert found == {200, 208}
    [far] = {draw_form(forms, 400, 4, 0, seed) for seed in range(5)}
    assert (far.steps, far.pickup, far.repeat) == (404, 1, 0), "101 quarter notes: 25 bars and one"
    assert far.phrases[-1] == 99
    assert {b - a for a, b in zip(far.phrases, far.phrases[1:], strict=False)} == {8}
    short = regular_form(forms[0], 3, 4)
    assert (short.steps, short.phrases) == (20, (3,)), "never less than a bar"


@pytest.mark.parametrize("name", ["H major", "C", "C dur", "c major", "Cx minor", "major"])
def test_what_is_no_key_is_a_sentence(name):
    with pytest.raises(OptionError, match="it must be a tonic and major or minor, such as"):
        named_key(name)


# ---- training, scores, tunes


def test_the_model_sees_the_last_step_the_repeat_the_key_and_the_form():
    section = steps("IIFFVVII")
    form = form_of(2 * section + steps("FVII"), 1)
    tune = Tune(2 * section + steps("FVII"), None, 0, 20, 80.0, None, form)
    tune = Tune(tune.steps, None, 0, 20, 80.0, None, form, repeated_steps(tune.steps, form))
    symbols = MusicSymbols(80.0, (70.0, 65.0, 60.0, 50.0), (form,))
    batch = music.collate([tune], symbols, OPTIONS)
    x, y = batch["x"][:, 0], batch["y"][:, 0]
    assert y.tolist() == [[pitch - LOWEST for pitch in step] for step in tune.steps]
    assert x[0, :4].tolist() == [-1] * 4
    assert torch.equal(x[1:, :4], y[:-1].float())
    assert x[:8, 4:8].unique().tolist() == [-2]
    assert torch.equal(x[8:16, 4:8], y[:8].float())
    assert x[16:, 4:8].unique().tolist() == [-2]
    assert x[:, 8].tolist() == [(0 - LOWEST) % 12] * 20
    for piece in music.cut([tune], 7):  # windows see the same
        part = music.collate([piece], symbols, OPTIONS)
        span = slice(piece.first, piece.first + len(piece.steps))
        assert torch.equal(part["x"][:, 0], x[span])
    moved = {}
    options = MusicOptions(prediction="voices", transpose=3)
    for seed in range(30):
        random = torch.Generator().manual_seed(seed)
        other = music.collate([tune], symbols, options, random)
        by = int(other["y"][0, 0, 0] - y[0, 0])
        moved[by] = other["x"][:, 0]
        assert torch.equal(other["y"][:, 0], y + by)
    assert set(moved) == {-3, -2, -1, 0, 1, 2, 3}
    for by, row in moved.items():
        assert row[0, 8] == (0 - LOWEST + by) % 12
        assert torch.equal(row[8:16, 4:8], x[8:16, 4:8] + by)


def test_the_score_is_the_mean_of_every_step(run):
    model = elman.load(run)
    total, count, right, union = 0.0, 0, 0, 0
    with torch.no_grad():
        for row in music.read(run.parent / "valid.json", model.options):
            batch, state = music.collate([row.value], model.symbols, model.options), None
            for x, y in zip(batch["x"], batch["y"], strict=True):
                features, state = model.model.step(x, state)
                total -= model.model.prediction.log_prob(features, y).item()
                guess = model.model.draw(features, lambda logits: logits.argmax(-1))
                a, b = [{(k, int(p)) for k, p in enumerate(z[0]) if p >= 0} for z in (y, guess)]
                right, union, count = right + len(a & b), union + len(a | b), count + 1
    scores = model.evaluate(run.parent / "valid.json")
    assert scores["nll"] == pytest.approx(total / count, abs=1e-4)
    assert scores["frame_accuracy"] == pytest.approx(right / union, abs=1e-6)
    assert scores["nll"] < 3, "the samples are learned"


def test_n_grams_of_voices_stand_on_independent_voices():
    a, b = (60, REST), (62, 48)
    whole = [Tune((a, a, b), whole=3)]
    [unigram, *_] = baselines(whole, [Tune((b,), whole=1)], OPTIONS)
    floor = (1.5 / (3 + 44.5)) ** 2
    assert unigram.score == pytest.approx(-torch.tensor((1 + 2 * floor) / (3 + 2)).log().item())


def test_a_tune_has_a_form_ends_with_it_and_is_the_same_for_a_seed(run):
    model = elman.load(run)
    [tune], [again], [other] = [model(seed=seed, seconds=12) for seed in (1, 1, 2)]
    assert tune.piece == again.piece
    assert tune.piece != other.piece
    assert {note.voice for note in tune.piece.notes} == {0, 1, 2, 3}
    lengths = {form.steps for form in model.symbols.forms if 14 <= form.steps <= 18}
    assert tune.piece.length in lengths
    [long] = model(seed=1, seconds=90)
    assert abs(long.piece.length - 120) <= 4, "whole bars"


def test_a_tune_is_in_the_key_that_is_asked_for(run, command):
    model = elman.load(run)
    assert key_of(model(key="G major", seconds=30)[0].piece.notes) == "G major"
    wanted = music.PredictOptions(key="E♭ minor")
    form = composition._form(Tune(()), 40, wanted, model.fitted)
    assert (form.tonic, form.minor) == (3, True)
    status, _, err = command("predict", run, "--key", "H dur")
    assert (status, "key is 'H dur'" in err) == (1, True)
    primer = run.parent / "primer.mid"
    status, _, err = command("predict", run, "--key", "C major", "--primer", primer)
    assert (status, "a tune continues in the key of its primer" in err) == (1, True)


def compose(model, *tunes):
    """The steps that follow, for each tune of a form, a start, a temperature and a seed."""
    rows = []
    for form, begun, temperature, seed in tunes:
        known = known_form(form, 0, form.steps, model.options)
        tune = Tune(tuple(begun), whole=form.steps, form=form, repeated=(None,) * len(begun))
        x = music.collate([tune], model.symbols, model.options)["x"] if begun else None
        rows.append(
            composition.VoiceTune(begun, form, x, known, Sampler(temperature, 0, 1, seed), 4)
        )
    found = [[] for _ in tunes]
    with torch.no_grad():
        for steps in composition._voices(model.model, rows, model.options):
            for own, step in zip(found, steps, strict=True):
                own += [step] if step else []
    return found


def test_tunes_are_the_same_alone_and_together(run, command, tmp_path):
    model = elman.load(run)
    together = model(seed=5, seconds=12, samples=3)
    assert [tune.piece for tune in together] == [
        model(seed=seed, seconds=12)[0].piece for seed in (5, 6, 7)
    ]
    primer = music.as_input(run.parent / "primer.mid")
    both = model([None, primer], seed=5, seconds=6)
    assert both[0].piece == model(seed=5, seconds=6)[0].piece
    assert both[1].piece == model([primer], seed=6, seconds=6)[0].piece
    out = tmp_path / "t.mid"
    status, text, _ = command(
        "predict", run, "--samples", 3, "--seconds", 6, "--out", out, "--json"
    )
    assert (status, len(json.loads(text)["predictions"])) == (0, 3)
    assert len(list(tmp_path.glob("t-*.mid"))) == 3


def test_a_tune_goes_on_from_its_primer_as_if_it_had_made_it(run):
    model = elman.load(run)
    form = Form(40, 0, False, 4, 0, 0, (6, 14, 22, 30, 38))
    [whole] = compose(model, (form, (), 0.0, 0))
    assert len(whole) == 40
    for count in (1, 25):
        assert compose(model, (form, whole[:count], 0.0, 0)) == [whole[count:]]


def test_a_repeat_is_composed_and_played_again(run):
    model = elman.load(run)
    form = Form(40, 0, False, 4, 0, 16, (6, 14, 22, 30, 38))
    with torch.no_grad():
        model.model.prediction.repeat.fill_(10)
    [made] = compose(model, (form, (), 1.0, 3))
    assert made[16:32] == made[:16]
    assert made[:16] != made[24:40]


def test_primers_of_fewer_voices_are_continued_and_of_more_are_refused(run, command, tmp_path):
    write_midi(tmp_path / "one.mid", Piece((Note(0, 71, 1), Note(1, 72, 2)), 2.0))
    model = elman.load(run)
    [made] = model([str(tmp_path / "one.mid")], seconds=6)
    top = [(n.start, n.pitch) for n in made.piece.notes if n.voice == 0]
    assert top[:2] == [(0, 71), (1, 72)], "in the voice with the nearest register"
    five = Piece(tuple([Note(0, 60 + 2 * k, 2) for k in range(5)]), 2.0)
    write_midi(tmp_path / "five.mid", five)
    status, _, err = command("predict", run, tmp_path / "five.mid")
    assert (status, "there are 5 pitches at once, but the model has 4 voices" in err) == (1, True)
    primer = music.as_input(run.parent / "primer.mid")
    [moved] = model([transposed(primer, 5)], seconds=6)
    assert tune_of(transposed(primer, 5), model.options, model.symbols).form.tonic == 5
    assert moved.piece.notes[0].pitch > 40


def test_notes_arrive_with_their_voices(run):
    model = elman.load(run)
    records = list(model.stream_records([], seconds=12, seed=2))
    [expected] = model(seconds=12, seed=2)
    assert records[-1]["notes"] == model.task.record(expected)["notes"]
    begun = sorted((r["seconds"], r["pitch"], r["voice"]) for r in records if r["type"] == "on")
    ended = sorted((r["seconds"], r["pitch"], r["voice"]) for r in records if r["type"] == "off")
    notes = records[-1]["notes"]
    assert begun == sorted((n["start"], n["pitch"], n["voice"]) for n in notes)
    assert ended == sorted((n["end"], n["pitch"], n["voice"]) for n in notes)


def test_c_refuses_voices(run, command, tmp_path):
    status, _, err = command("export", run, "--to", "c", "--out", tmp_path / "c")
    assert (status, "draws the pitches of voices one after another" in err) == (1, True)


@pytest.mark.thorough  # as test_onnx_network.py does with the model that ships, which has voices too
def test_exported_files_make_the_same_tune(run, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = command("export", run, "--to", "onnx", "--out", "files")
    assert status == 0, err
    assert len(list((tmp_path / "files").glob("*.onnx"))) == 3
    by_onnx = elman.load(tmp_path / "files" / "run.onnx")
    model = elman.load(run)
    assert by_onnx(seconds=9, seed=4) == model(seconds=9, seed=4)
    theirs, ours = [each.evaluate(run.parent / "valid.json") for each in (model, by_onnx)]
    assert ours["nll"] == pytest.approx(theirs["nll"], abs=1e-5)


def test_registers_are_mean_pitches():
    assert registers_of([steps("I."), steps("V")]) == (71.5, 63.0, 55.0, 45.5)
    assert registers_of([((REST,),)]) == (60.0,)
