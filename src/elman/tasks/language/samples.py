"""Sample data for language modelling: made-up notes of a lighthouse keeper."""

_WEATHER = (
    "The wind came from the north, and the sea was grey.",
    "Fog lay on the water until noon.",
    "It rained all day, and no ship passed.",
    "The sky was clear, and the stars were bright.",
    "A storm rose in the evening.",
)
_WORK = (
    "I cleaned the lamp and trimmed the wick.",
    "I painted the door, which the salt had worn.",
    "I wound the clock and wrote to my sister.",
    "I mended the net and fed the hens.",
    "I carried oil up the stairs, all ninety-nine of them.",
    "I slept late and woke to the cry of gulls.",
    "I counted the boats in the bay.",
)
_END = (
    "The light burned till dawn.",
    "Nothing else happened.",
    "The dog barked at the waves.",
    "Tomorrow the boat will bring flour.",
)


def _notes(first: int, count: int) -> str:
    days = [
        f"Day {day}. {_WEATHER[day % 5]} {_WORK[day * 3 % 7]} {_END[day * day % 4]}\n"
        for day in range(first, first + count)
    ]
    return "".join(days)


NOTES_TRAIN = _notes(1, 60)
NOTES_VALID = _notes(61, 12)
