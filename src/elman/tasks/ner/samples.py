"""Sample data for named entity recognition."""

import re

_NAMES = """
[PER Ada Lovelace] wrote to [PER Charles Babbage] in [LOC London] .
[PER Marie Curie] was born in [LOC Warsaw] and worked in [LOC Paris] .
The train from [LOC Vienna] to [LOC Prague] was late again .
[PER Anna Berg] has worked for [ORG Northern Rail] since May .
Nobody in the village had heard the news .
[ORG Green Harbour Bank] opened an office in [LOC Lisbon] .
Yesterday [PER Tom] met [PER Julia] at the station .
The museum of [LOC Oslo] bought two paintings .
[PER Peter Novak] teaches music at [ORG Riverside College] .
It rained all day , and the match was put off .
[LOC Spain] and [LOC Portugal] signed the treaty in [LOC Madrid] .
[PER Grace Hopper] gave a talk at [ORG Hillside University] .
My sister [PER Clara] lives in [LOC Dublin] .
[ORG Blue Star Airlines] flies from [LOC Rome] to [LOC Cairo] .
The old bridge will be closed until Friday .
[PER David Stone] and [PER Laura Stone] moved to [LOC Canada] .
A spokesman for [ORG United Mills] said nothing .
[PER Emma] asked [PER Oliver Grant] for the keys .
The river runs through [LOC Florence] .
[ORG Silver Lake Theatre] invited [PER Hugo Martin] .
She drank her coffee and read the paper .
[PER Ivan Petrov] won the race in [LOC Berlin] .
[LOC Norway] beat [LOC Denmark] by two goals .
Last week [PER Sofia Lind] left [ORG Bright Lamp Company] .
The students of [ORG Riverside College] visited [LOC Athens] .
[PER Lucas] phoned his mother from [LOC Geneva] .
Three ships were seen near the coast .
[PER Nora Quinn] founded [ORG Quinn Books] in [LOC Boston] .
The weather in [LOC Iceland] changes every hour .
[ORG Northern Rail] will build a line to [LOC Bergen] .
[PER Samuel Reed] painted the harbour of [LOC Naples] .
They sang until midnight .
[PER Mia Hansen] plays for [ORG City Rovers] .
[ORG City Rovers] lost to [ORG Harbour United] in [LOC Leeds] .
Please send the letter to [PER Robert Hill] .
The mayor of [LOC Lyon] thanked [PER Alice Moreau] .
[PER Victor] and [PER Elena] married in [LOC Venice] .
He sold the shop to [ORG Quinn Books] .
We walked along the beach for hours .
[PER Oscar Lane] flew to [LOC Japan] with [ORG Blue Star Airlines] .
"""


def _columns(part: slice) -> str:
    """Converts the sentences above, with names as ``[TYPE name]``, to CoNLL columns."""
    sentences = []
    for line in _NAMES.strip().splitlines()[part]:
        rows: list[str] = []
        for kind, name, word in re.findall(r"\[(\S+) ([^\]]+)\]|(\S+)", line):
            if word:
                rows.append(f"{word}\tO")
            for position, token in enumerate(name.split()):
                rows.append(f"{token}\t{'I' if position else 'B'}-{kind}")
        sentences.append("\n".join(rows) + "\n")
    return "\n".join(sentences)


NAMES_TRAIN, NAMES_VALID = _columns(slice(0, 32)), _columns(slice(32, None))
