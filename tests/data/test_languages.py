"""A text in another language is noticed, and English, however it is typed, is not taken for one."""

import pytest

from elman.data import Vocabulary, split_words
from elman.data.languages import COMMON_WORDS, Known, known_in, language_of, notice

ENGLISH = known_in(Vocabulary(COMMON_WORDS["English"].split()))

OTHERS = {
    "French": [
        "Ce film est magnifique et je l'ai vu deux fois.",
        "Je n’ai pas aimé la fin du livre.",
        "C'est trop long, mais les acteurs sont bons.",
    ],
    "German": [
        "Der Film war wirklich schrecklich und viel zu lang.",
        "Ich habe das Buch nicht gelesen.",
    ],
    "Spanish": ["La película es muy buena, pero un poco larga.", "No me gustó nada el final."],
    "Italian": ["Questo film è molto bello, ma non mi è piaciuta la fine."],
    "Portuguese": ["Eu não gostei do filme, mas a música é muito boa."],
    "Dutch": ["Ik vond het boek niet goed, maar de film was prachtig."],
    "Swedish": ["Jag tyckte inte om filmen, men musiken var mycket bra."],
    "Danish": ["Jeg kan ikke lide filmen, men musikken er meget god."],
    "Polish": ["To nie jest dobry film, ale muzyka była bardzo ładna."],
    "Turkish": ["Bu film çok güzel, ama biraz uzun ve müzik iyi değil."],
    "Indonesian": ["Saya tidak suka film ini, tetapi musiknya sangat bagus dan itu penting."],
}


@pytest.mark.parametrize(
    ("language", "text"), [(name, text) for name, texts in OTHERS.items() for text in texts]
)
def test_another_language_is_named(language, text):
    assert language_of(split_words(text)) == language
    assert notice(split_words(text), ENGLISH) == (
        f"This looks like {language}, but the model knows English: do not rely on the answer."
    )


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("Cyrillic", "Это плохой фильм"),
        ("Greek", "Δεν μου άρεσε"),
        ("Arabic", "فيلم جميل"),
        ("Chinese", "这部电影很好看"),
        ("Japanese", "この映画はとてもよかった"),
        ("Hangul", "이 영화는 정말 좋았다"),
        ("Devanagari", "यह फिल्म अच्छी है"),
    ],
)
def test_another_script_is_named(script, text):
    assert f"is in {script} script" in notice(split_words(text), ENGLISH)


@pytest.mark.parametrize(
    "text",
    [
        "There is nothing to like in this movie.",
        "omg dat film was so bad lmao im dead 💀",
        "RT @ada: u gotta c dis, ur gonna die lol #movie http://t.co/abc",
        "ya no cap da best movie en da world bruh",
        "nah son u r on sum mad ting fr fr",
        "La La Land is a film by Damien Chazelle",
        "El Niño hit Los Angeles and Las Vegas",
        "Vincent van Gogh and Ludwig van Beethoven met Leonardo da Vinci",
        "Manuel de la Rosa, Juan del Potro, Oscar de la Hoya",
        "C'mon, d'you think it's a must see?",
        "A cliché-ridden film noir, à la mode",
        "Die Hard",
        "I'm sleepy AF",
        "had a fight w mom",
        "Das Boot is a great film, and so is Amélie",
        "come in , the door is open",
        "Per my email , pls see the doc at 10 a.m.",
        "αβ testing of the new model",
        "so good 😍😍😍",
        "",
        "!!!",
        "12 : 30",
        "ok",
    ],
)
def test_english_with_slang_names_and_loans_is_not_noticed(text):
    assert notice(split_words(text), ENGLISH) == ""


def test_a_model_is_silent_about_its_own_language_and_notices_english():
    french = known_in(Vocabulary([w for w in COMMON_WORDS["French"].split() if w[-1] != "'"]))
    assert french.languages == ("French",)
    assert notice(split_words(OTHERS["French"][0]), french) == ""
    assert "looks like English, but the model knows French" in notice(
        split_words("This is the best film of the year, and you should see it."), french
    )


def test_nothing_is_said_of_a_model_whose_language_is_not_known():
    small = known_in(Vocabulary(["the", "film", "good", "bad"]))
    assert small == Known()
    assert all(
        notice(split_words(text), small) == "" for texts in OTHERS.values() for text in texts
    )


def test_the_script_of_many_words_of_a_vocabulary_is_known():
    words = [*COMMON_WORDS["English"].split(), *["это", "плохой", "фильм"]]
    both = known_in(Vocabulary(words))
    assert both.scripts == {"Latin", "Cyrillic"}
    assert notice(split_words("Это плохой фильм"), both) == ""
    # one word in more than a hundred is a loan
    assert known_in(Vocabulary([*words[:-3], *map(str.upper, words[:-3]), "α"])).scripts == {
        "Latin"
    }
