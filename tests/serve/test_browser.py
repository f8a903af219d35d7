"""The page in Chromium: the main path of each card with real input, errors, widths, labels.

``ELMAN_SCREENSHOTS=DIR`` keeps the pictures of the page at both widths.
"""

import asyncio
import copy
import os
import re
import shutil
import socket
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="needs uvicorn: pip install 'elman[serve]'")
pytest.importorskip("playwright", reason="playwright is not installed")

import uvicorn
from playwright.sync_api import expect, sync_playwright

import elman
import elman.shipped
from elman.serve import Limits
from elman.serve.served import ServedModel
from elman.serve.service import Service
from elman.serve.worker import Worker
from elman.tasks import TASKS, Data, train
from elman.tasks.dna.found_genes import gff3_text

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
DEMO = Path(elman.shipped.__file__).parent / "demo"
SECONDS = 60_000  # milliseconds for a first answer, with loading the model, on a busy machine


def unknown(service, task, name):
    """A model of a task that the page does not know, added to those that are served."""
    made = copy.copy(service.served.tasks[task])
    made.name, made.title = name, f"{name}: a task of another package"
    worker = Worker(name, partial(elman.load, task), service.limits, service.metrics)
    service.served.models.append(ServedModel(name, made, worker, {}))
    service.served.tasks[name] = made


@contextmanager
def listening(service):
    """The address of a service that runs on a thread of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(service.app, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        service.close()
        listener.close()


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory):
    """A run that forecasts the visitors of museums, and the file that it is asked about."""
    folder = tmp_path_factory.mktemp("series")
    task = TASKS["series"]
    for name, content in task.samples().items():
        (folder / name).write_text(content)
    options = {"hidden_size": 8, "horizon": 9, "longest": 30, "epochs": 2, "threads": 1}
    train(task, Data(folder / task.train_file), folder / "museums", options)
    return folder / "museums", folder / task.valid_file


@pytest.fixture(scope="module")
def place(forecaster):
    """The address of a service with all shipped models, a series, and two of unknown tasks."""
    service = Service((*elman.shipped.models(), str(forecaster[0])), limits=Limits())
    unknown(service, "sentiment", "opinion")
    unknown(service, "video", "clips")
    with listening(service) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, whose microphone hears the demo recording and whose camera shows its test picture."""
    import soundfile

    samples, rate = soundfile.read(DEMO / "fox.flac", dtype="int16")
    heard = tmp_path_factory.mktemp("microphone") / "fox.wav"
    soundfile.write(heard, samples, rate)
    with sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox", "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={heard}%noloop",
            ],
        )  # fmt: skip
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, place):
    """`visit(path)` opens the page; errors of its scripts and requests to elsewhere fail the test."""
    faults, contexts = [], []

    def look(path="/", width=1400, **options):
        context = browser.new_context(viewport={"width": width, "height": 1000}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                asked.url.startswith((place, "blob:", "data:")) or faults.append(asked.url)
            ),
        )
        page.on("console", lambda said: "Policy" in said.text and faults.append(said.text))
        page.goto(place + path)
        return page

    yield look
    for context in contexts:
        context.close()
    assert faults == []


def card(page, name):
    found = page.locator(f"#card-{name}")
    expect(found).to_be_visible(timeout=SECONDS)
    found.scroll_into_view_if_needed()
    return found


def press(found, name):
    found.get_by_role("button", name=name, exact=True).click()


def test_words_appear_while_one_speaks_into_the_microphone(visit):
    page = visit()
    speech = card(page, "speech")
    # what was shown while the recording went on, as its text changes
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => {
            const each = document.querySelector("#card-speech .provisional");
            if (each?.textContent) window.seen.push(each.textContent);
        }).observe(document.querySelector("#card-speech"), { subtree: true, childList: true, characterData: true }); }"""
    )
    press(speech, "Record")
    expect(speech.locator(".transcript")).to_contain_text("dog", timeout=SECONDS)
    expect(speech.get_by_role("button", name="Stop")).to_be_visible()  # words came while it records
    press(speech, "Stop")
    expect(speech.locator(".words li").first).to_be_visible(timeout=SECONDS)
    said = speech.locator(".final").inner_text()
    words = [each.split()[0] for each in speech.locator(".words li").all_inner_texts()]
    assert words == said.split()
    # the browser resamples, so some words differ from those of the file
    assert {"over", "the", "lazy", "dog"} <= set(words)
    assert page.evaluate("window.seen.length") > 1
    # the spectrogram is neither empty nor of one colour
    colours = """() => { const c = document.querySelector("#card-speech canvas");
        const data = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        return new Set(Array.from({length: data.length / 40}, (_, k) => data[40 * k])).size; }"""
    assert page.evaluate(colours) > 20


def test_a_recording_is_read_and_a_damaged_one_is_refused_in_a_sentence(visit, tmp_path):
    page = visit()
    speech = card(page, "speech")
    speech.locator("input[type=file]").set_input_files(DEMO / "fox.flac")
    expect(speech.locator(".words li").first).to_be_visible(timeout=SECONDS)
    [found] = elman.load("speech")(DEMO / "fox.flac")
    assert speech.locator(".final").inner_text() == found.text
    assert speech.locator("audio").count() == 1
    damaged = tmp_path / "noise.flac"
    damaged.write_bytes(b"fLaC" + bytes(50))
    speech.locator("input[type=file]").set_input_files(damaged)
    expect(speech.get_by_role("alert")).to_contain_text("noise.flac", timeout=SECONDS)


def test_a_browser_without_microphone_and_camera_says_what_to_do(visit):
    page = visit()
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('no')); }"
    )
    press(card(page, "speech"), "Record")
    expect(card(page, "speech").get_by_role("alert")).to_contain_text("no microphone; allow it")
    press(card(page, "video"), "Use the camera")
    expect(card(page, "video").get_by_role("alert")).to_contain_text("no camera; allow it")


def test_a_tune_is_composed_played_and_downloaded(visit, tmp_path):
    import soundfile

    page = visit()
    music = card(page, "music")
    music.get_by_label("Seconds").fill("6")
    music.get_by_label("Seed").fill("3")
    press(music, "Compose and play")
    expect(music.get_by_role("button", name="Download MIDI")).to_be_visible(timeout=SECONDS)
    press(music, "Stop")
    with page.expect_download() as arriving:
        press(music, "Download MIDI")
    arriving.value.save_as(tmp_path / "tune.mid")
    with page.expect_download() as arriving:
        press(music, "Download WAV")
    arriving.value.save_as(tmp_path / "tune.wav")
    [expected] = elman.load("music")(seconds=6, seed=3)
    found = TASKS["music"].as_input(tmp_path / "tune.mid")

    def notes(piece):
        return sorted([(round(n.start, 3), n.pitch, round(n.end, 3)) for n in piece.notes])

    assert notes(found) == notes(expected.piece)
    samples, rate = soundfile.read(tmp_path / "tune.wav")
    assert 6 < len(samples) / rate < 8
    assert 0.05 < abs(samples).max() < 1


def test_a_tune_continues_what_is_drawn_by_pointer_and_by_keys(visit, tmp_path):
    page = visit()
    music = card(page, "music")
    music.get_by_label("Seconds").fill("3")
    roll = music.get_by_role("application")
    roll.focus()
    for key in ("Space", "ArrowRight", "ArrowUp", "ArrowUp", "Space"):  # C4, then D4
        page.keyboard.press(key)
    expect(music.get_by_text("D4, step 2, drawn")).to_have_count(1)
    box = roll.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 2.5 * 0.75 / 30, box["y"] + (99 - 64 + 0.5) * 4.5)
    expect(music).to_contain_text("The tune continues what you drew (3 of its steps).")
    press(music, "Compose and play")
    expect(music.get_by_role("button", name="Download MIDI")).to_be_visible(timeout=SECONDS)
    press(music, "Stop")
    with page.expect_download() as arriving:
        press(music, "Download MIDI")
    arriving.value.save_as(tmp_path / "tune.mid")
    piece = TASKS["music"].as_input(tmp_path / "tune.mid")
    begun = sorted([(note.start, note.pitch) for note in piece.notes])
    assert begun[:3] == [(0, 60), (1, 62), (2, 64)]
    assert len(begun) > 3


def test_the_rating_moves_and_words_show_their_influence(visit):
    page = visit()
    sentiment = card(page, "sentiment")
    model = elman.load("sentiment")
    text = "A dull film with a wonderful end."
    sentiment.get_by_label("Text", exact=True).fill(text)
    expect(sentiment.locator(".word").nth(6)).to_have_text("end.", timeout=SECONDS)
    [rating] = model([text])
    label, value = sentiment.locator(".bars .first").all_inner_texts()
    assert (label, value) == (rating.label, f"{round(100 * rating.probability)} %")
    titles = dict(
        zip(
            sentiment.locator(".word").all_inner_texts(),
            sentiment.locator(".word").evaluate_all("all => all.map((each) => each.title)"),
            strict=True,
        )
    )
    assert titles["wonderful"].startswith("without it: less positive")
    assert titles["dull"].startswith("without it: more positive")
    after = [each.probabilities["positive"] for each in model(["A", "A dull"])]
    course = sentiment.locator("svg").get_attribute("aria-label")
    assert course.startswith(
        f"positive {round(100 * after[0])} % after “A”, {round(100 * after[1])} % after “dull”"
    )


@pytest.mark.parametrize("name", ["sentiment", "ner"])
def test_another_language_is_noted_on_the_card(visit, name):
    place = card(visit(), name)
    note = "This looks like French, but the model knows English"
    place.get_by_label("Text", exact=True).fill("Ce film est bon, mais je ne l'ai pas aimé.")
    expect(place).to_contain_text(note, timeout=SECONDS)
    place.get_by_label("Text", exact=True).fill("I liked the film.")
    expect(place).not_to_contain_text(note, timeout=SECONDS)


def test_names_are_highlighted_in_any_script(visit, tmp_path):
    page = visit()
    names = card(page, "ner")
    expect(names.locator("mark")).to_have_count(2, timeout=SECONDS)
    # a sign of two UTF-16 units before the names shifts nothing
    names.get_by_label("Text", exact=True).fill(
        "𝄞 Yesterday, Harry Potter met Hermione Granger.\nNobody came."
    )
    expect(names.locator(".text").nth(1)).to_have_text("Nobody came.")
    marked = [each.partition("PER")[0].strip() for each in names.locator("mark").all_inner_texts()]
    assert marked == ["Harry Potter", "Hermione Granger"]
    file = tmp_path / "letter.txt"
    file.write_text("Barack Obama came to Berlin.\n")
    names.locator("input[type=file]").set_input_files(file)
    expect(names.locator(".text")).to_have_text(
        [re.compile("Barack Obama *PER .* Berlin *LOC .*")], timeout=SECONDS
    )


def test_a_translation_has_alternatives_and_attention(visit):
    page = visit()
    translation = card(page, "translation")
    press(translation, "Translate")
    expect(translation.locator(".translated")).to_have_text(
        "Do you want to sing with me?", timeout=SECONDS
    )
    assert translation.locator("table tr").count() == 3
    token = translation.get_by_role("button", name="sing: chanter 100 %")
    token.focus()
    strong = translation.locator("line").evaluate_all(
        "all => all.filter((each) => Number(each.getAttribute('stroke-opacity')) > 0.5).length"
    )
    assert strong == 1


def test_genes_are_drawn_and_downloaded(visit, tmp_path):
    page = visit()
    dna = card(page, "dna")
    dna.get_by_label("Bases or FASTA").fill(genes := two_sequences())
    press(dna, "Find genes")
    expect(dna.locator(".bases").first).to_be_visible(timeout=SECONDS)
    path = tmp_path / "two.fa"
    path.write_text(genes)
    readings = elman.load("dna").predict_file(path)
    assert sum([len(each.genes) for each in readings]) > 0
    for reading, shown in zip(readings, dna.locator(".bases").all(), strict=True):
        runs = shown.locator(".run").evaluate_all(
            "all => all.map((each) => each.classList[1].repeat(each.textContent.length)).join('')"
        )
        assert runs == reading.labels
    with page.expect_download() as arriving:
        press(dna, "Download GFF3")
    arriving.value.save_as(tmp_path / "genes.gff3")
    expected = gff3_text([(each.name, each.length, each.genes) for each in readings])
    assert (tmp_path / "genes.gff3").read_text() == expected
    dna.get_by_label("Bases or FASTA").fill("ACGT?")
    press(dna, "Find genes")
    expect(dna.get_by_role("alert")).to_contain_text("?")


def two_sequences():
    """A made-up gene, and its reverse complement."""
    text = elman.load("dna").task.samples()["valid.fa"]
    bases = "".join(text.split("\n>")[0].splitlines()[1:])
    turned = bases[::-1].translate(str.maketrans("ACGT", "TGCA"))
    return f">one gene, 1\n{bases}\n>two\n{turned}\n"


def test_a_clip_and_the_camera_have_a_label_over_time(visit, tmp_path):
    page = visit()
    video = card(page, "video")
    press(video, "Sample: runner.mp4")
    expect(video.locator(".big")).to_have_text("running, 95 %", timeout=SECONDS)
    expect(video.locator("canvas")).to_have_attribute("aria-label", re.compile("running from"))
    press(video, "Use the camera")
    expect(video.get_by_role("button", name="Stop the camera")).to_be_visible()
    expect(video.locator(".status").last).to_contain_text("from 0.0 s", timeout=SECONDS)
    press(video, "Stop the camera")
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"no clip")
    video.locator("input[type=file]").set_input_files(file)
    expect(video.get_by_role("alert")).to_contain_text("clip.mp4", timeout=SECONDS)


def test_a_text_appears_token_by_token_while_it_is_written(visit):
    page = visit()
    language = card(page, "language")
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => {
            window.seen.push(document.querySelector("#card-language .written").textContent.length);
        }).observe(document.querySelector("#card-language .written"), { subtree: true, childList: true, characterData: true }); }"""
    )
    language.get_by_label("Beginning").fill("JULIET:\nO Romeo,")
    language.get_by_label("Length in tokens").fill("60")
    language.get_by_label("Seed").fill("7")
    language.get_by_label("Temperature").evaluate(
        "(range) => { range.value = 0.5; range.dispatchEvent(new Event('input')); }"
    )
    expect(language.locator("output")).to_have_text("0.50")
    press(language, "Write")
    expect(language.get_by_role("status").last).to_have_text("60 characters.", timeout=SECONDS)
    [found] = elman.load("language")(["JULIET:\nO Romeo,"], length=60, temperature=0.5, seed=7)
    assert language.locator(".written").text_content() == found.primer + found.samples[0].text
    seen = page.evaluate("window.seen")
    assert len(set(seen)) > 30  # it grew by and by
    assert seen == sorted(seen)


def test_a_text_is_stopped_and_a_wrong_length_is_refused_in_a_sentence(visit, place):
    page = visit()
    language = card(page, "language")
    language.get_by_label("Length in tokens").fill("10000")
    press(language, "Write")
    expect(language.locator(".written")).to_contain_text(re.compile("ROMEO:.{9,}", re.DOTALL))
    press(language, "Stop")
    status = language.get_by_role("status").last
    expect(status).to_have_text(re.compile(r"^Stopped after \d+ characters\.$"))
    text = language.locator(".written").text_content()
    page.wait_for_timeout(500)
    assert language.locator(".written").text_content() == text
    assert len(text) < 9000
    language.get_by_label("Length in tokens").fill("20000")
    press(language, "Write")
    expect(language.get_by_role("alert")).to_have_text(
        re.compile("length is 20000"), timeout=SECONDS
    )
    expect(language.get_by_role("button", name="Write")).to_be_visible()
    language.get_by_label("Length in tokens").fill("5")
    press(language, "Another")
    expect(status).to_have_text("5 characters.", timeout=SECONDS)
    expect(language.get_by_role("alert")).to_be_hidden()


def test_a_service_that_has_stopped_is_told_where_a_stream_begins(browser):
    with listening(Service(["language"])) as address:
        page = browser.new_page()
        page.goto(address)
        language = card(page, "language")
    press(language, "Write")
    expect(language.get_by_role("alert")).to_contain_text(
        "The stream cannot be opened; check that elman serve still runs", timeout=SECONDS
    )
    expect(language.get_by_role("button", name="Write")).to_be_visible()
    page.close()


def test_a_forecast_is_a_fan_of_quantiles(visit, forecaster, tmp_path):
    run, file = forecaster
    page = visit()
    museums = card(page, "museums")
    museums.locator("input[type=file]").set_input_files(file)
    expect(museums.locator("svg")).to_have_count(2, timeout=SECONDS)
    [answer] = elman.load(run)(file)
    for each, svg in zip(answer.forecasts, museums.locator("svg").all(), strict=True):
        assert svg.get_attribute("aria-label").startswith(
            f"Forecast of {each.name} from {each.dates[0]} to {each.dates[-1]}: the median"
        )
        assert svg.locator(".band").count() == len(each.levels) // 2
        # the picture's numbers are those of the answer, on one scale
        points = [
            [float(n) for n in pair.split(",")]
            for pair in svg.locator(".median").get_attribute("points").split()
        ]
        outer = [
            float(pair.split(",")[1])
            for pair in svg.locator(".band").first.get_attribute("points").split()
        ]
        heights = [y for _, y in points] + outer
        values = [*each.median[:, 0], *each.quantiles[:, 0, -1], *each.quantiles[::-1, 0, 0]]
        slope = (heights[0] - heights[3]) / (values[0] - values[3])
        assert slope < 0  # up is more
        expected = [heights[0] + slope * (value - values[0]) for value in values]
        assert heights == pytest.approx(expected, abs=0.5)
    museums.locator("summary", has_text="Numbers").first.click()
    row = museums.get_by_role("row", name=str(answer.forecasts[0].dates[2])).first
    expect(row).to_contain_text(f"{answer.forecasts[0].median[2, 0]:.6g}")
    damaged = tmp_path / "no numbers.csv"
    damaged.write_text("time,group,value\n2024-01-01,art,many\n")
    museums.locator("input[type=file]").set_input_files(damaged)
    expect(museums.get_by_role("alert")).to_have_text(
        re.compile("^no numbers.csv, line 2: "), timeout=SECONDS
    )
    expect(museums.locator("svg")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1400])
def test_a_text_and_a_fan_fit_in_light_and_dark(visit, forecaster, width, scheme):
    page = visit("/", width, color_scheme=scheme)
    museums, language = card(page, "museums"), card(page, "language")
    museums.locator("input[type=file]").set_input_files(forecaster[1])
    press(language, "Write")
    expect(museums.locator("svg")).to_have_count(2, timeout=SECONDS)
    expect(language.get_by_role("status").last).to_contain_text("characters", timeout=SECONDS)
    assert page.evaluate(LOOK) == []
    # letters of a chart are not squeezed, and lie within it
    assert page.evaluate(
        """() => [...document.querySelectorAll("#card-museums svg")].every((svg) => {
            const box = svg.getBoundingClientRect(), at = box.width / svg.viewBox.baseVal.width;
            return at > 0.8 && at < 1.25 && [...svg.querySelectorAll("text")].every((text) => {
                const own = text.getBoundingClientRect();
                return own.left >= box.left - 1 && own.right <= box.right + 1 && own.bottom <= box.bottom + 1;
            });
        })"""
    )
    if folder := os.environ.get("ELMAN_SCREENSHOTS"):
        for name, found in (("museums", museums), ("language", language)):
            found.screenshot(path=f"{folder}/{name}-{width}-{scheme}.png")


def test_an_unknown_task_has_a_card_of_its_own(visit):
    page = visit()
    opinion = card(page, "opinion")
    opinion.get_by_label("Input", exact=True).fill("A warm and funny film.")
    opinion.get_by_text("Options").click()
    opinion.get_by_label("abstain").fill("0.999")
    press(opinion, "Run")
    [rating] = elman.load("sentiment")(["A warm and funny film."], abstain=0.999)
    row = opinion.get_by_role("row", name="label")
    expect(row).to_have_text(f"label{rating.label or 'none'}", timeout=SECONDS)
    assert rating.label is None
    expect(opinion.locator(".bars .first").last).to_have_text(
        f"{round(100 * max(rating.probabilities.values()))} %"
    )
    opinion.get_by_label("abstain").fill("2")
    press(opinion, "Run")
    expect(opinion.get_by_role("alert")).to_contain_text("abstain is 2")
    clips = card(page, "clips")
    press(clips, "Sample: runner.mp4")
    expect(clips.get_by_role("row", name="label")).to_have_text("labelrunning", timeout=SECONDS)


def test_a_cell_is_shown_measured_and_refused(visit):
    page = visit("/cell")
    expect(page.locator("#card-formula math.left")).to_have_count(3, timeout=SECONDS)
    page.get_by_label("input size").fill("8")
    page.get_by_label("hidden size").fill("8")
    page.get_by_label("steps").fill("12")
    press(page, "Measure")
    expect(page.locator("#card-plan pre")).to_contain_text("BACKWARD", timeout=SECONDS)
    expect(page.locator("#card-gradients polyline").nth(3)).to_be_visible(timeout=SECONDS)
    expect(page.locator("#card-gradients .findings li").first).to_contain_text("my_cell")
    expect(page.locator("#card-speed .value")).to_have_count(10, timeout=SECONDS)
    page.get_by_label("Start from").select_option("gru")
    expect(page.locator("#card-formula")).to_contain_text("W.z")
    source = "def my_cell(x, h, *, W):\n    h = W.f @ [h, x] + hh\n    return h"
    page.get_by_role("textbox", name="Equations").fill(source)
    expect(page.get_by_role("alert")).to_contain_text(
        "my_cell, line 2, `h = W.f @ [h, x] + hh`: hh is not defined"
    )


def test_fields_for_heads_and_sizes_are_shown_for_cells_that_have_them(visit):
    page = visit("/cell")
    expect(page.locator("#card-formula math.left")).to_have_count(3, timeout=SECONDS)
    for label in ("heads", "keys of a head", "sizes of its own"):
        expect(page.get_by_label(label, exact=True)).to_be_hidden()
    page.get_by_label("Start from").select_option(label="lstmp")
    expect(page.get_by_label("sizes of its own")).to_be_visible()
    expect(page.locator("#card-formula")).to_contain_text("projection")
    page.get_by_label("Start from").select_option(label="gru_d")
    expect(page.locator("#card-formula")).to_contain_text("Inputs beside x: m (input), d (input)")
    page.get_by_label("Start from").select_option(label="mlstm")
    for label, value in (("input size", 8), ("hidden size", 8), ("steps", 12), ("heads", 3)):
        page.get_by_label(label, exact=True).fill(str(value))
    expect(page.get_by_role("alert")).to_contain_text("the hidden size 8 is not divisible by 3")
    page.get_by_label("heads", exact=True).fill("2")
    press(page, "Measure")
    expect(page.locator("#card-plan pre")).to_contain_text("one head of one row", timeout=SECONDS)
    expect(page.locator("#card-gradients .findings li").first).to_contain_text("mlstm")
    expect(page.locator("#card-speed .value")).to_have_count(10, timeout=SECONDS)


def test_the_token_is_asked_for_and_used(browser):
    with listening(Service(["ner"], token="sesame")) as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.get_by_role("alert")).to_have_text(
            "This service needs a token.", timeout=SECONDS
        )
        page.get_by_label("Token").fill("sesame")
        press(page, "Enter")
        expect(page.locator("#card-ner mark").first).to_be_visible(timeout=SECONDS)
        page.close()
        page = browser.new_page()
        page.goto(f"{address}/#token=sesame")
        expect(page.locator("#card-ner mark").first).to_be_visible(timeout=SECONDS)
        assert page.url == f"{address}/"
        page.close()


#: problems of labels and widths, in words
LOOK = """() => {
    const found = [];
    const wide = document.documentElement.scrollWidth;
    if (wide > innerWidth) found.push(`the page is ${wide} px wide`);
    for (const each of document.querySelectorAll("input, textarea, select")) {
        if (!each.labels?.length) found.push(`no label: ${each.outerHTML}`);
    }
    for (const each of document.querySelectorAll("button, a")) {
        if (!each.textContent.trim() && !each.ariaLabel) found.push(`no name: ${each.outerHTML}`);
    }
    for (const each of document.querySelectorAll("canvas, svg[role=img], img")) {
        if (!each.getAttribute("aria-label") && each.getAttribute("alt") === null) found.push(`no text: ${each.outerHTML.slice(0, 80)}`);
    }
    const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
    for (const id of new Set(ids)) if (ids.filter((each) => each === id).length > 1) found.push(`twice: ${id}`);
    for (const each of document.querySelectorAll(".card")) {
        for (const inner of each.querySelectorAll("*")) {
            const over = inner.getBoundingClientRect().right - each.getBoundingClientRect().right;
            if (over > 1 && !inner.closest(".scroll, .formula, pre, .hidden-text, textarea")) found.push(`${inner.className || inner.tagName} in ${each.id} is ${over} px too wide`);
        }
    }
    return found;
}"""
#: the contrast (WCAG 2.1) of pairs of the page's colours
CONTRAST = """(pairs) => {
    const probe = document.body.appendChild(document.createElement("i"));
    const light = (name) => {
        probe.style.color = `var(--${name})`;
        const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    return pairs.map(([a, b]) => {
        const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
        return (high + 0.05) / (low + 0.05);
    });
}"""
TEXT = [
    *[(text, on) for text in ("text", "soft") for on in ("ground", "surface", "sunken")],
    ("accent", "surface"), ("accent", "sunken"), ("accent", "accent-soft"),
    ("accent-text", "accent"), ("error", "error-soft"), ("surface", "error"),
    *[("text", f"f{k}") for k in range(7)],
]  # fmt: skip
LINES = [("line-strong", "surface"), *[(f"s{k}", "surface") for k in range(7)]]


@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1400, "light")])
def test_the_page_fits_and_has_labels_and_contrast(visit, width, scheme):
    page = visit("/", width, color_scheme=scheme)
    press(card(page, "translation"), "Translate")
    press(card(page, "dna"), "a made-up gene")
    press(card(page, "video"), "Sample: runner.mp4")
    press(card(page, "speech"), "Sample: fox.flac")
    for name, shown in (
        ("translation", ".token"), ("dna", ".bases"), ("video", ".bars"), ("ner", "mark"),
        ("sentiment", ".word"), ("speech", ".words li"),
    ):  # fmt: skip
        expect(card(page, name).locator(shown).first).to_be_visible(timeout=SECONDS)
    assert page.evaluate(LOOK) == []
    for pairs, least in ((TEXT, 4.5), (LINES, 3.0)):
        ratios = page.evaluate(CONTRAST, [list(pair) for pair in pairs])
        weak = [(pair, ratio) for pair, ratio in zip(pairs, ratios, strict=True) if ratio < least]
        assert weak == []
    picture(page, f"models-{width}-{scheme}")


@pytest.mark.parametrize("width", [375, 1400])
def test_the_page_of_a_cell_fits_and_has_labels(visit, width):
    page = visit("/cell", width)
    expect(page.locator("#card-formula math").first).to_be_visible(timeout=SECONDS)
    assert page.evaluate(LOOK) == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    picture(page, f"cell-{width}")


def picture(page, name):
    folder = os.environ.get("ELMAN_SCREENSHOTS")
    if folder:
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(1500)
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
