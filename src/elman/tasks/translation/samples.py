"""Sample data for ``elman new translation``: French sentences and their English translations."""

_TRAIN = """\
Je chante une chanson.|I sing a song.
Je lis un livre.|I read a book.
Je vois un chat.|I see a cat.
Je vois une maison.|I see a house.
J'aime la musique.|I like music.
J'aime le chat.|I like the cat.
Tu chantes une chanson.|You sing a song.
Tu lis un livre.|You read a book.
Tu vois une maison.|You see a house.
Tu aimes le chat.|You like the cat.
Il chante une chanson.|He sings a song.
Il lit un livre.|He reads a book.
Il voit un chat.|He sees a cat.
Il aime la musique.|He likes music.
Elle chante une chanson.|She sings a song.
Elle voit un chat.|She sees a cat.
Elle voit une maison.|She sees a house.
Elle aime la musique.|She likes music.
Nous chantons une chanson.|We sing a song.
Nous lisons un livre.|We read a book.
Nous voyons une maison.|We see a house.
Nous aimons la musique.|We like music.
Le chat dort.|The cat sleeps.
La maison est grande.|The house is big.
La maison est petite.|The house is small.
Le livre est petit.|The book is small.
Le livre est grand.|The book is big.
Le chat est petit.|The cat is small.
Où est le chat ?|Where is the cat?
Où est la maison ?|Where is the house?
Est-ce que tu chantes ?|Do you sing?
Est-ce que tu lis ?|Do you read?
Est-ce qu'il lit ?|Does he read?
Je ne chante pas.|I do not sing.
Je ne lis pas.|I do not read.
Tu ne chantes pas.|You do not sing.
Il ne chante pas.|He does not sing.
Elle ne lit pas.|She does not read.
Bonjour, Anna !|Hello, Anna!
Bonjour, Paul !|Hello, Paul!
"""
_VALID = """\
Je lis une chanson.|I read a song.
Tu vois un chat.|You see a cat.
Elle lit un livre.|She reads a book.
Il voit une maison.|He sees a house.
Nous aimons le chat.|We like the cat.
Le chat est grand.|The cat is big.
Où est le livre ?|Where is the book?
Est-ce qu'elle chante ?|Does she sing?
Tu ne lis pas.|You do not read.
Bonjour !|Hello!
"""
PHRASES_TRAIN, PHRASES_VALID = [text.replace("|", "\t") for text in (_TRAIN, _VALID)]
