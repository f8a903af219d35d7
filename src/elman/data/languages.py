"""Notices a text in a language that a model does not know.

The most common words of a text, such as "the" and "la", give its language away.  A model knows the
languages whose common words are in its vocabulary.  This is no identification of languages: texts
of a few words, mixed texts and languages that are not listed may pass without a word.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from elman.data.vocabulary import Vocabulary

#: common words of each language
COMMON_WORDS = {
    "English": (
        "a about after all also am an and any are as at be because been but by can could did do "
        "does even for from get had has have he her here him his how i if in into is it its just "
        "like me more my no not now of on one only or our out she should so some than that the "
        "their them then there these they this to too up us very was we were what when where "
        "which who why will with would you your"
    ),
    "French": (
        "ai alors au aussi autre aux avec avez avons beaucoup bien c' ce cela ces cet cette chez "
        "comment d' dans de depuis des dit donc du elle elles en encore est et faire fait il ils "
        "j' jamais je l' la le les leur lui ma mais mes moi mon même n' ne nous on ou où parce "
        "pas peu peut plus pour qu' quand que qui rien sa sans se ses si son sont sous suis sur "
        "ta te toi toujours tous tout trop très tu un une va voulez vous y à ça était été être"
    ),
    "German": (
        "ab aber alle als am an auch auf aus bei bin bist das dass dein dem den denn der des die "
        "diese dieser doch du ein eine einen einer er es für gut habe haben hast hat hatte ich "
        "ihr im immer in ist ja jetzt kann kein keine man mehr mein mich mir mit nach nicht noch "
        "nur oder schon sehr sein sich sie sind so und uns vom von vor war waren warum was wenn "
        "wer werden wie wieder wir wird wirklich wo zu zum zur über"
    ),
    "Spanish": (
        "a al algo aquí así bien como con cuando de del donde el ella ellos en era es esa ese eso "
        "esta este esto está están fue ha hasta hay he la las le les lo los me mi mucho muy más "
        "nada no nos nunca pero poco por porque que quien qué se si sin sobre son su sus también "
        "tan te tiene todo todos tu un una uno y ya yo"
    ),
    "Italian": (
        "a abbiamo al anche ancora bene c' che chi ci come con cosa così d' da dal dei del della "
        "delle dello di dove e era gli ha hanno ho il in io l' la lei loro lui ma mai mi molto "
        "nel nella niente no non nulla per perché più poi quando quello questa questo sei sempre "
        "si sono stata stato sua sulla suo ti tutti tutto un un' una è"
    ),
    "Portuguese": (
        "a ainda ao aos apenas as até bem com como da das de dele depois do dos e ela ele eles em "
        "então era essa esse esta este estou está eu foi há isso já lhe mais mas me mesmo meu "
        "muita muito na nas nem no nos nunca não nós o onde os para pela pelo porque quando que "
        "sem ser seu sua são só também te tem tudo um uma você é"
    ),
    "Dutch": (
        "aan al als ben bij dan dat de deze die dit door een en er geen had heb hebben heeft hem "
        "het hij hoe hun ik in is je jij jullie kan maar me men met mij mijn moet naar niet niets "
        "nog nu of omdat onze ook op over te toch tot uit van veel voor waar was wat we weer wel "
        "werd wij wordt ze zeer zich zijn zo zonder zou"
    ),
    "Swedish": (
        "alla allt att av bara blev de dem den det detta du efter eller en ett från för hade han "
        "hans har hon hur här i inte jag kan kommer man med mig min mycket nu när någon och också "
        "om på sedan sin ska skulle som så till under upp ut vad var vara varför vi vid vill är "
        "även"
    ),
    "Danish": (
        "af aldrig alle at blev bliver da de dem den deres det dette dig du efter eller en er et "
        "for fra han hans har havde hende her hun hvad hvor hvorfor i ikke ind jeg kan lige man "
        "med meget men mig min noget nu når og også om os over på sig skal som så til ud var ved "
        "vi vil"
    ),
    "Polish": (
        "a ale bardzo bez bo by być był była było czy dla do gdy i ich ja jak jako jego jej jest "
        "jestem już kiedy która który ma może na nic nie od po pod przez przy się są tak tam te "
        "tego ten to tylko tym w wszystko z za ze że"
    ),
    "Turkish": (
        "ama ancak bana ben beni bile bir biz bu bunu da daha de değil en gibi hiç ile ise için "
        "kadar ki mi mı nasıl ne neden o olan olarak oldu onu sen var ve veya ya yok çok çünkü "
        "şey şu"
    ),
    "Indonesian": (
        "ada adalah akan aku anda apa atau bagus banyak belum bisa dan dari dengan di dia harus "
        "ini itu jangan juga kalau kamu karena kita lagi lebih mereka oleh pada saja sangat saya "
        "sebuah seperti sudah tidak untuk yang"
    ),
}
# English as people type it, and words of other lists that occur in English text
_MORE_ENGLISH = (
    "af ai aint al ale als amp ass bc ben bro bruh c'mon cant come comment cuz da dan das dat de "
    "del della dem den der di die dis do does dont door dos dove du dude e el em en er es est et "
    "fa fan ffs fin for fr fuck get ha had haha has hast hat have hay hers hi him his hot how il "
    "im in is its jest jus just k kan la las le les lmao lo lol los ma man many mas me men met mi "
    "min mo most n na nah no nu o of oh ok okay om omg on op or os over pas per plus pm pop por "
    "pour que ra rt sa san se si sin so son sur ta te ten the thing tho till to tu tut u uh um un "
    "under up ur us van var von vs w war was wat we went were wit wo wtf x y ya yall yeah yo your "
    "yup"
)
_COMMON_ENGLISH = frozenset(COMMON_WORDS["English"].split())
_ENGLISH = _COMMON_ENGLISH | frozenset(_MORE_ENGLISH.split())
_OTHERS = {
    language: frozenset(words.split())
    for language, words in COMMON_WORDS.items()
    if language != "English"
}
_FOREIGN = frozenset().union(*_OTHERS.values()) - _ENGLISH
# French and Italian join an article or pronoun to the next word
_ELISION = re.compile(r"(?:[cdjlmnst]|qu|dell|nell|all|un)'(?=\w{2})")
_ELIDED = re.compile(rf"(?<!\S){_ELISION.pattern}")
#: a model knows a language if its vocabulary has this fraction of the common words
_KNOWN = 0.9
#: fewer words say too little
_FEWEST = 3


@dataclass(frozen=True)
class Known:
    """The languages and scripts of a vocabulary (`known_in`)."""

    languages: tuple[str, ...] = ()
    scripts: frozenset[str] = frozenset()


def known_in(vocabulary: Vocabulary) -> Known:
    """The languages that are complete in a vocabulary, and the scripts of many of its words."""
    languages = []
    for language, words in COMMON_WORDS.items():
        common = [word for word in words.split() if not word.endswith("'")]
        if sum(word in vocabulary for word in common) >= _KNOWN * len(common):
            languages.append(language)
    scripts = Counter([_script([word]) for word in vocabulary.words] if languages else [])
    many = [each for each, count in scripts.items() if each and 100 * count >= scripts.total()]
    return Known(tuple(languages), frozenset(many))


def notice(words: Sequence[str], known: Known) -> str:
    """A sentence if the text is in a language that a model does not know.

    Returns "" for all other texts, and always for a vocabulary in which no listed language is
    complete, because nothing is known about such a model.

    >>> from elman.data import Vocabulary, split_words
    >>> english = known_in(Vocabulary(COMMON_WORDS["English"].split()))
    >>> notice(split_words("Ce film est très bien, mais je ne sais pas pourquoi."), english)
    'This looks like French, but the model knows English: do not rely on the answer.'
    >>> notice(split_words("It was ok lol"), english)
    ''
    """
    if not known.languages:
        return ""
    script = _script(words)
    if script is not None and script not in known.scripts:
        found = f"is in {script} script"
    elif "English" in known.languages and _has_no_other_words(words):
        return ""
    else:
        language = language_of(words)
        if language is None or language in known.languages:
            return ""
        found = f"looks like {language}"
    names = " and ".join(known.languages)
    return f"This {found}, but the model knows {names}: do not rely on the answer."


def language_of(words: Sequence[str]) -> str | None:
    """The language whose common words the text has, or None if that is not clear.

    >>> language_of("das ist nicht gut".split()), language_of("the film la la land".split())
    ('German', None)
    """
    plain = [piece for word in words if word[:1].isalpha() for piece in _pieces(word.lower())]
    if len(plain) < _FEWEST:
        return None
    if _FOREIGN.isdisjoint(plain):
        return "English" if _enough([w for w in plain if w in _COMMON_ENGLISH], plain) else None
    hits = {name: [w for w in plain if w in common] for name, common in _OTHERS.items()}
    language = max(hits, key=lambda name: len(hits[name]))
    found = hits[language]
    tied = sum(len(other) == len(found) for other in hits.values()) > 1
    english = sum(w in _ENGLISH and w not in _OTHERS[language] for w in plain)
    if tied or len(found) < 1.5 * english or _FOREIGN.isdisjoint(found):
        return None
    return language if _enough(found, plain) else None


def _has_no_other_words(words: Sequence[str]) -> bool:
    """Whether no word is of another language, which settles nearly all English texts quickly."""
    text = " ".join(words).lower().replace("\u2019", "'")
    return _FOREIGN.isdisjoint(text.split()) and not ("'" in text and _ELIDED.search(text))


def _enough(found: Sequence[str], plain: Sequence[str]) -> bool:
    """Whether these are two different words or more, and a quarter of the text."""
    return len(set(found)) > 1 and 4 * len(found) >= len(plain)


def _pieces(word: str) -> list[str]:
    """The word, or an elided one and the rest: "l'homme" is "l'" and "homme"."""
    if "'" not in word and "\u2019" not in word:
        return [word]
    word = word.replace("\u2019", "'")
    elided = None if word in _ENGLISH else _ELISION.match(word)
    return [elided.group(), word[elided.end() :]] if elided else [word]


def _script(words: Sequence[str]) -> str | None:
    """The script of most letters; None without letters."""
    counts: dict[str, int] = {}
    text = "".join(words)
    if text.isascii():
        return "Latin" if any(map(str.isalpha, text)) else None
    for letter in text:
        if letter.isalpha():
            name = "Latin" if letter.isascii() else _script_of(letter)
            counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: counts[name]) if counts else None


@functools.lru_cache(maxsize=4096)
def _script_of(letter: str) -> str:
    """The first word of the letter's name, which is its script for nearly all."""
    first = unicodedata.name(letter, "unknown").split()[0].capitalize()
    return {"Cjk": "Chinese", "Hiragana": "Japanese", "Katakana": "Japanese"}.get(first, first)
