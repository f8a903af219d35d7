"""Emoji and emoticons as words, for models whose vocabulary has none.

Each stands for an English word of the same feeling.  It is used only if the vocabulary lacks the
emoji, so a model that was trained on texts with emoji reads what it learned about them.
"""

from __future__ import annotations

import re

_WORDS = {
    "wonderful": "😍 🤩 😻 🥰 💯 🏆 🌟 ⭐ ✨ 👏 🙌 🎉 🥳 💪 🔥",
    "loved": "❤ ♥ 💕 💖 💗 💘 💙 💚 💛 💜 🧡 💓 💞 💝 🖤 🤍 😘 😚 😗 💋 🤗 <3",
    "happy": ("🙂 😊 😀 😃 😄 😁 😆 ☺ 😇 😺 😸 ☀ 🌈 :) :-) :] :-] =) :o) :^) :D :-D =D ;D :')"),
    "excellent": "👍 👌 🤙 ✅ ✔",
    "funny": "😂 🤣 😹 😝 😜 🤪 😉 😋 xD XD xd ;) ;-) ;] :p :-p :P :-P ;p ;P =p =P",
    "cool": "😎",
    "touching": "🥹 🥲",
    "bad": (
        "👎 😒 🙁 ☹ 😞 😟 😕 😔 😣 😖 😩 😫 ❌ ✖ 😾 😿 "
        r":( :-( :[ :-[ =( :^( ;( :/ :-/ :\ :-\ =/ =\ :| :-| =|"
    ),
    "crying": "😢 😭 😥 :'(",
    "terrible": "😡 😠 🤬 👿 💩 🤦 🖕 😤 😱",
    "disgusting": "🤮 🤢",
    "boring": "😴 🥱 💤 😪 😑 😐 🙄",
    "broken": "💔",
}
_MEANINGS = {sign: word for word, signs in _WORDS.items() for sign in signs.split()}
# skin tones, the forms of a picture or a letter, and what a joined emoji adds to its first
_FORMS = re.compile("[\U0001f3fb-\U0001f3ff\ufe0e\ufe0f]|\u200d.*")


def meaning(token: str) -> str | None:
    """The English word for an emoji or emoticon; None for other tokens.

    >>> meaning(":-("), meaning("\U0001f44d\U0001f3fd"), meaning("film")
    ('bad', 'excellent', None)
    """
    return _MEANINGS.get(_FORMS.sub("", token))
