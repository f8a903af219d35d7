"""Numbers, dates, times and titles from French to English, as tables.

The task itself knows no language.  The option ``copied`` selects this module; a module for another
pair of languages has the same names.
"""

from __future__ import annotations

import re

from elman.tasks.translation.placeholders import Span, without_overlaps

#: words before a name that are translated, and abbreviations that do not end a sentence
TITLES = frozenset(
    """
    m mm mme mmes mlle mlles dr pr me st ste monsieur madame mademoiselle messieurs mesdames docteur
    docteure professeur professeure maître maitre président présidente roi reine saint sainte père
    mère oncle tante
    """.split()  # noqa: SIM905
)
#: titles that are copied with an unknown name
TITLED = (
    (re.compile(r"\b(?:M\.|monsieur) $", re.IGNORECASE), "Mr."),
    (re.compile(r"\b(?:Mme\.?|madame) $", re.IGNORECASE), "Mrs."),
    (re.compile(r"\b(?:Mlle\.?|mademoiselle) $", re.IGNORECASE), "Miss"),
    (re.compile(r"\b(?:(?:le |la )?docteure?|(?:le |la )?Dre?\.?) $", re.IGNORECASE), "Dr."),
    (
        re.compile(r"\b(?:(?:le |la )?professeure?|(?:le |la )?Pre?\.) $", re.IGNORECASE),
        "Professor",
    ),
)
#: units that are copied with a number
UNITS = {
    "euros?": "euros", "dollars?": "dollars", "francs?": "francs", "yens?": "yen",
    "livres sterling": "pounds", "kilos?": "kilos", "kg": "kg", "grammes?": "grams",
    "tonnes?": "tons", "km": "km", "kilomètres?": "kilometers", "kilometres?": "kilometers",
    "cm": "cm", "centimètres?": "centimeters", "degrés?": "degrees", "degres?": "degrees",
    "°C": "°C", "litres?": "liters", "hectares?": "hectares",
}  # fmt: skip
MONTHS = {
    "janvier": "January", "février": "February", "fevrier": "February", "mars": "March",
    "avril": "April", "mai": "May", "juin": "June", "juillet": "July", "août": "August",
    "aout": "August", "septembre": "September", "octobre": "October", "novembre": "November",
    "décembre": "December", "decembre": "December",
}  # fmt: skip
#: in training, a number may stand for these words
NUMBER_WORDS = {
    "deux": "two", "trois": "three", "quatre": "four", "cinq": "five", "six": "six",
    "sept": "seven", "huit": "eight", "neuf": "nine", "dix": "ten", "onze": "eleven",
    "douze": "twelve", "treize": "thirteen", "quinze": "fifteen", "vingt": "twenty",
    "trente": "thirty", "quarante": "forty", "cinquante": "fifty", "soixante": "sixty",
    "cent": "a hundred",
}  # fmt: skip
HOUR_WORDS = {
    1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight",
    9: "nine", 10: "ten", 11: "eleven", 12: "twelve",
}  # fmt: skip
#: in training, a placeholder may stand for these phrases: pattern and replacement of both sides,
#: where {} is the placeholder
PHRASES = (
    ("date", r"\bdemain(?! matin| soir| après)", "le {}", r"\btomorrow\b", "on {}"),
    ("date", r"\bhier(?! matin| soir)", "le {}", r"\byesterday\b", "on {}"),
    ("date", r"(?<!le )(?<!ce )\blundi\b", "le {}", r"\bon Monday\b", "on {}"),
    ("date", r"(?<!le )(?<!ce )\bsamedi\b", "le {}", r"\bon Saturday\b", "on {}"),
    ("date", r"(?<!le )(?<!ce )\bdimanche\b", "le {}", r"\bon Sunday\b", "on {}"),
    ("number", r"\bl' ?année dernière\b", "en {}", r"\blast year\b", "in {}"),
    ("number", r"\bl' ?année prochaine\b", "en {}", r"\bnext year\b", "in {}"),
    ("time", r"\bà midi\b", "à {}", r"\bat noon\b", "at {}"),
    *[
        ("time", rf"\bà {french} heures\b", "à {}", rf"\bat {english}(?: o'clock)?\b", "at {}")
        for french, english in NUMBER_WORDS.items()
        if english in HOUR_WORDS.values()
    ],
)
#: what follows a quotation
SAID = (
    (", dit-il.", " he said."),
    (", dit-elle.", " she said."),
    (", a-t-il dit.", " he said."),
    (", a-t-elle dit.", " she said."),
    (", répondit-il.", " he replied."),
    (", répondit-elle.", " she replied."),
    (", demanda-t-il.", " he asked."),
    (", demanda-t-elle.", " she asked."),
    (", a dit \x01.", " said \x01."),
    (", dit \x01.", " said \x01."),
)
SAID_BEFORE = (
    ("Il a dit: ", "He said, "),
    ("Elle a dit: ", "She said, "),
    ("Il m' a dit: ", "He told me, "),
    ("Elle m' a demandé: ", "She asked me, "),
    ("\x01 a répondu: ", "\x01 answered, "),
)

_MONTH = "|".join(MONTHS)
_DATE = re.compile(rf"\b(1er|\d{{1,2}}) ({_MONTH})(?: (\d{{4}}))?\b", re.IGNORECASE)
_TIME = re.compile(
    r"\b([01]?\d|2[0-4]) ?h(?: ?([0-5]\d))?\b(?!')|\b([01]?\d|2[0-4]):([0-5]\d)\b", re.I
)
_HOURS = re.compile(
    r"\b(?:à|vers|dès|pour|avant|après|jusqu' à) (([01]?\d|2[0-4]) heures?\b(?: ([0-5]\d)\b)?)",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"\b(\d+)(?:ers?|res?|èmes?|emes?|ième|es?|nde?)\b", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w.,])\+?\d{2}(?: \d{2}){3,4}\b")
_NUMBER = re.compile(
    r"(?<![\w.,/-])(?:(\d{1,3}(?:[ .]\d{3})+)(?:,(\d+))?|(\d+),(\d+)|\d+(?:[./-]\d+)*)"
    rf"(?![\d])( ?%| (?:{'|'.join(UNITS)})(?!\w))?",
    re.IGNORECASE,
)
_SIGNS = (
    (re.compile(r"€ ?(\d[\d ,.]*\d|\d)"), r"\1 euros"),
    (re.compile(r"(?<=\d) ?€"), " euros"),
    (re.compile(r"(?<=\d) ?\$"), " dollars"),
    (re.compile(r"(?<=\d) ?£"), " livres sterling"),
)


def spelled_out(text: str) -> str:
    """The text with signs of currencies as words.

    >>> spelled_out("3,50 € ou 4$")
    '3,50 euros ou 4 dollars'
    """
    for sign, words in _SIGNS:
        text = sign.sub(words, text)
    return text


def spans(text: str) -> list[Span]:
    """The dates, times, ordinals and numbers of a French text, with their English forms.

    >>> text = "Le 3 mars 2021 à 18h45, la 2e de 1 250,50 euros"
    >>> [span.answer for span in spans(text)]
    ['March 3, 2021', '18:45', '2nd', '1,250.50 euros']
    """
    found = [_date(each) for each in _DATE.finditer(text)]
    found += [
        _time(each.start(), each.end(), each[1] or each[3], each[2] or each[4])
        for each in _TIME.finditer(text)
    ]
    found += [_time(*each.span(1), each[2], each[3]) for each in _HOURS.finditer(text)]
    found += [_ordinal(each) for each in _ORDINAL.finditer(text)]
    found += [Span("number", each.start(), each.end(), each[0]) for each in _PHONE.finditer(text)]
    found += [_number(each) for each in _NUMBER.finditer(text)]
    return without_overlaps(found)


def _date(found: re.Match[str]) -> Span:
    day, month, year = int(found[1].lower().removesuffix("er")), MONTHS[found[2].lower()], found[3]
    ordinal = rf"{day}(?:st|nd|rd|th)?"
    end = rf",?(?: in)? {year}" if year else ""
    forms = (
        rf"{month} (?:the )?{ordinal}{end}\b",
        rf"(?:the )?{ordinal}(?: of)? {month}{end}\b",
    )
    answer = f"{month} {day}, {year}" if year else f"{month} {day}"
    return Span("date", found.start(), found.end(), answer, forms)


def _time(start: int, end: int, hours: str, minutes: str | None) -> Span:
    hour, minute = int(hours), minutes or "00"
    twelve = (hour - 1) % 12 + 1
    word = HOUR_WORDS[twelve]
    half = r"(?: ?[ap]\.?m\b\.?)?"
    forms = [rf"\b{hour}:{minute}{half}", rf"\b{twelve}:{minute}{half}"]
    if minute == "00":
        forms += [rf"\b(?:{hour}|{twelve}|{word})(?: o'clock| ?[ap]\.?m\b\.?)",
                  rf"\b(?:{hour}|{twelve}|{word})\b"]  # fmt: skip
    if minute == "30":
        forms += [rf"\b(?:half past (?:{twelve}|{word})|{word}[- ]thirty)\b"]
    return Span("time", start, end, f"{hour}:{minute}", tuple(forms))


def _ordinal(found: re.Match[str]) -> Span:
    number = int(found[1])
    ending = (
        "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    answer = f"{number}{ending}"
    return Span("ordinal", found.start(), found.end(), answer, (rf"\b{answer}\b",))


def _number(found: re.Match[str]) -> Span:
    grouped, decimals, whole, fraction = found[1], found[2] or found[4], found[3], found[4]
    if grouped:
        answer = re.sub("[ .]", ",", grouped)
    else:
        answer = whole if fraction else found[0].removesuffix(found[5] or "")
    if decimals:
        answer = f"{answer}.{decimals}"
    plain = answer.replace(",", "")
    forms = [rf"(?<![\w.,:]){re.escape(answer)}(?![\d:]|,\d|\.\d)"]
    if plain.isdigit():
        english = f"{int(plain):,}"
        forms += [rf"(?<![\w.,:])(?:{english}|{plain})(?![\d:]|,\d|\.\d)"]
        if found[5] is None and int(plain) in HOUR_WORDS:
            forms += [rf"\b{HOUR_WORDS[int(plain)]}\b"]
    unit = (found[5] or "").strip()
    if unit == "%":
        forms = [rf"{form} ?(?:%|percent|per cent)" for form in forms]
        answer += "%"
    elif unit:
        english = next(right for left, right in UNITS.items() if re.fullmatch(left, unit, re.I))
        # in the singular, as in "a 10-dollar bill", the unit stays with the model
        signs = {"dollars": r"\$", "euros": "€", "pounds": "£"}.get(english, "(?!)")
        forms = [
            *[rf"{form} {english.removesuffix('s')}s?\b" for form in forms],
            *[form.replace(r"(?<![\w.,:])", rf"(?<![\w.,:]){signs}", 1) for form in forms],
        ]
        answer = f"{answer} {english}"
    return Span("number", found.start(), found.end(), answer, tuple(forms))
