"""What kind of message it is, judged by its words alone: English, like the encoder and the stemmer."""

from __future__ import annotations

import re

from retrieval.lexical import terms

_COURTESIES = frozenset(
    terms(
        "hello hi hiya hey dear good morning afternoon evening night bye goodbye please thank thanks cheers ta sorry "
        "yes yep yeah no nope ok okay fine great lovely nice brilliant perfect super"
    )
)
_LEADING = frozenset(
    "and so but ok okay also then well right oh ah um haha yes no sorry hi hello hey hiya there good morning afternoon "
    "evening thanks cheers".split()
)
_ASKING = frozenset(
    "do does did don't is are was were isn't aren't can could can't will would won't should shall may have has what "
    "what's whats how how's which who who's when when's where where's wheres why any anyone need want please".split()
)
_WISHES = frozenset(
    ("i need", "i want", "i'd like", "i'd love", "i would", "i should", "we need", "we want", "we'd like")
)
_PROMISE = re.compile(
    r"\b(?:(?:one|just a|give me a) (?:moment|minute|second|sec)|bear with me|hold on|hang on|looking into"
    r"|(?:let me|i['’]ll|i will|i['’]ve to|i need to) (?:just |quickly )?"
    r"(?:look|check|see|find|have a look|ask|get back))\b",
    re.IGNORECASE,
)
_COMPLAINT = re.compile(
    r"\b(?:ridiculous|useless|unacceptable|disgrace\w*|disgust\w*|appalling|terrible|awful|rubbish|shambles|a joke"
    r"|fed up|furious|raging|complain\w*|waste of|wasted|not good enough|no help|not helpful|didn['’]?t help"
    r"|doesn['’]?t help|never again|worst|still (?:not|no|nothing|hasn['’]?t|haven['’]?t|isn['’]?t|waiting))\b",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"^(?:(?i:hi|hello|hey|hiya|dear|good (?:morning|afternoon|evening|day)|morning|afternoon|evening|welcome)"
    r"(?:,? (?:there|again|[A-Z][\w.]+)){0,3}[.!,]\s+"
    r"|(?i:this is|it['’]s|i['’]m) [A-Z]\w+(?: here)?[.!,]\s+|[A-Z]\w+ (?:here|speaking)[.!,]\s+)+"
)
_CLOSING = re.compile(
    r"\b(?:anything else|something else|any other questions?|does that help|is that (?:ok|okay|all right)"
    r"|have a (?:lovely|nice|good|great))\b",
    re.IGNORECASE,
)


def telling(text: str) -> set[str]:
    """Return the stems of a message's words that are neither courtesies nor numbers."""
    return {word for word in terms(text) if word.isalpha()} - _COURTESIES


def asks(text: str) -> bool:
    """Return whether a message has a question mark, or begins as questions and requests do."""
    words = [word.strip(".,!") for word in text.lower().replace("’", "'").split()]
    start = next((place for place, word in enumerate(words) if word and word not in _LEADING), 0)
    rest = words[start:]
    return "?" in text or (bool(rest) and (rest[0] in _ASKING or " ".join(rest[:2]) in _WISHES))


def complains(text: str) -> bool:
    """Return whether a message sounds like the complaint of somebody who was not helped."""
    return bool(_COMPLAINT.search(text))


def promises(sentence: str) -> bool:
    """Return whether a sentence only says that somebody will look."""
    return bool(_PROMISE.search(sentence))


def closes(sentence: str) -> bool:
    """Return whether a sentence winds a conversation up: "Anything else?", "Have a lovely day!"."""
    return bool(_CLOSING.search(sentence))


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, as far as full stops, question and exclamation marks tell."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def without_greeting(text: str) -> str:
    """Return a text without the greeting and the introduction that it begins with."""
    rest = _GREETING.sub("", text, count=1)
    return rest[:1].upper() + rest[1:]
