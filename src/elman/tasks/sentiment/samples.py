"""Sample data for sentiment: positive and negative film reviews."""

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


def _reviews(part: slice) -> str:
    """A CSV of alternating good and bad reviews."""
    pairs = zip(_GOOD.strip().splitlines()[part], _BAD.strip().splitlines()[part], strict=True)
    rows = [f'"{good}",positive\n"{bad}",negative\n' for good, bad in pairs]
    return "text,label\n" + "".join(rows)


REVIEWS_TRAIN, REVIEWS_VALID = _reviews(slice(0, 34)), _reviews(slice(34, None))
