"""Small files for ``elman new``, written for this purpose.

They show a job's format and train in seconds; they are far too few for a model of any use.
"""

import re

_GOOD = """
The acting is superb and the ending is perfect.
A funny and touching comedy.
A great story with wonderful music.
I loved the script and I loved the songs.
Warm, clever and full of heart.
A beautiful film with a brilliant cast.
The jokes are clever and the music is lovely.
A moving film, honest and fresh.
The best film of the summer.
Wonderful from the first minute to the last.
A charming comedy that I loved.
Great acting, great music, a great film.
An honest and delightful story.
The dancing is lovely and the pictures are beautiful.
It is warm, it is moving, and it is beautiful.
A superb script and an excellent cast.
I laughed, I cried, and I loved it.
A brilliant idea, told with heart.
Fresh, funny and delightful.
The children loved it, and so did I.
A warm and funny film that I would gladly see again.
The acting is wonderful and the story moves along beautifully.
I loved every minute of it.
A clever script, fine music, and a perfect ending.
One of the best comedies of the year.
The children laughed, and so did I.
Beautiful pictures and a touching story.
A delightful surprise from beginning to end.
Brilliant, moving and honest.
The cast is superb and the jokes are fresh.
A thrilling ride with a heart of gold.
This is a great film for the whole family.
The director has made a small masterpiece.
Charming, light and full of joy.
An excellent film that stays with you.
The best performance of her career.
Gripping from the first scene to the last.
A lovely story, told with great care.
It is smart, it is kind, and it is very funny.
I left the cinema smiling.
A rich and wonderful adventure.
Every scene shines.
The songs are great and the dancing is better.
A fresh idea, well acted and well told.
"""

_BAD = """
The acting is awful and the ending is silly.
A dull and empty comedy.
A terrible story with dreadful music.
I hated the script and I hated the songs.
Cold, stupid and full of noise.
An ugly film with a wasted cast.
The jokes are stupid and the music is bad.
A boring film, false and stale.
The worst film of the summer.
Dreadful from the first minute to the last.
A tedious comedy that I hated.
Bad acting, bad music, a bad film.
A false and tiresome story.
The dancing is bad and the pictures are ugly.
It is dull, it is slow, and it is ugly.
A poor script and a terrible cast.
I yawned, I sighed, and I hated it.
A silly idea, told without heart.
Stale, dull and boring.
The children hated it, and so did I.
There is not a single good idea in this film.
The plot makes no sense and the acting is dreadful.
I was bored after ten minutes.
A dull script, bad music, and a silly ending.
One of the worst comedies of the year.
Nobody laughed, and neither did I.
Ugly pictures and an empty story.
A disappointment from beginning to end.
Boring, slow and false.
The cast is wasted and the jokes are stale.
A tedious mess without any heart.
This is a terrible film for anybody.
The director has made a big mistake.
Clumsy, heavy and full of noise.
A poor film that you will forget at once.
The worst performance of his career.
Dreary from the first scene to the last.
A stupid story, told without any care.
It is loud, it is mean, and it is never funny.
I left the cinema angry.
A weak and tiresome adventure.
Every scene drags.
The songs are awful and the dancing is worse.
A stale idea, badly acted and badly told.
"""

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


def _reviews(part: slice) -> str:
    """A CSV of good and bad reviews in turn."""
    pairs = zip(_GOOD.strip().splitlines()[part], _BAD.strip().splitlines()[part], strict=True)
    rows = [f'"{good}",positive\n"{bad}",negative\n' for good, bad in pairs]
    return "text,label\n" + "".join(rows)


def _columns(part: slice) -> str:
    """CoNLL columns of the sentences above, whose names stand in brackets behind their type."""
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


REVIEWS_TRAIN, REVIEWS_VALID = _reviews(slice(0, 34)), _reviews(slice(34, None))
NAMES_TRAIN, NAMES_VALID = _columns(slice(0, 32)), _columns(slice(32, None))
