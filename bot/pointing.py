"""Messages that point back: "the one before?" to a value, "the second one" to a button, "what's my name?" to a fact."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import regex

from bot.desk import Desk
from bot.turn import PointedAt
from memory import Context, Fact, FactSpec
from memory.facts import same_value

_LEAD = (
    r"^(?:(?:and|ok(?:ay)?|so|but|no|sorry|then|please|what(?:'s| is| was| about)?|how about|where(?:'s| is)|i meant?"
    r"|is|has|did|does|when(?:'s| is| will| does)|will|check|look up|show me|tell me about)[\s,]+)*"
)
_LAST = r"(?:that|this|it|the last|my last)"
_BEFORE = tuple(
    regex.compile(form)
    for form in (
        rf"\b(?:the|my) (?P<noun>\w+)(?: number)? before {_LAST} (?:one|order|number)\b",
        rf"{_LEAD}(?:the|my) (?P<noun>\w+)(?: number)? before(?: {_LAST}| last)?\W*$",
        rf"\b(?:the|that) (?P<noun>one) before(?: {_LAST}| last)?\W*$",
        r"\b(?:the|my) (?:previous|earlier|old|former) (?P<noun>\w+)",
        r"\b(?:the|my) last (?P<noun>\w+) but one\b|\bthe last but (?P<noun>one)\b",
    )
)
_OTHER = regex.compile(rf"{_LEAD}(?:the|my) other (?P<noun>\w+)")

_ASKS_BACK = regex.compile(
    r"""\b(?:did|have|had|didn't|haven't)\ (?:i|we|you)\ (?:ever\ |already\ |not\ |once\ )*
        (?:tell|told|say|said|mention(?:ed)?|ask(?:ed)?|talk(?:ed)?|speak|spoken?|discuss(?:ed)?|write|written|give|given)\b
    |\bdo\ you\ (?:still\ )?(?:remember|recall)\b(?!\ me\W*$)""",
    regex.VERBOSE,
)

_NUMBERS = (("first", "1st", "1", "one"), ("second", "2nd", "2", "two"), ("third", "3rd", "3", "three"))
_PLACES = {name: place for place, names in enumerate(_NUMBERS) for name in names}
_PLACES |= {"former": 0, "last": -1, "latter": -1}
_CHOICE = regex.compile(
    r"""^(?:(?:yes|yeah|yep|ok(?:ay)?|please|um+|erm?|i\ meant?|i'd\ like|it's|that's|i\ think|maybe|go\ with)[\s,.!]+)*
        (?:the\ |my\ )?(?:option\ |number\ |choice\ |no\.?\ |\#)?
        (?P<place>first|second|third|last|former|latter|1st|2nd|3rd|[123]
            |(?<=(?:option|number|choice)\ )(?:one|two|three))
        (?:\ (?:one|option|choice|thing|question|of\ (?:them|these|those)))?
        (?:[\s,]+(?:please|thanks|then|i\ think))*\W*$""",
    regex.VERBOSE,
)
_ALL = regex.compile(
    r"^(?:(?:yes|ok(?:ay)?|um+|i'd like|it's|actually)[\s,.!]+)*(?:both|all)(?: (?:two|three|of (?:them|these|those)))*"
    r"(?:[\s,]+(?:please|thanks))*\W*$"
)
_EVERYTHING = regex.compile(r"\b(?:all|everything|anything|whole)\b")
_ASKS_DETAIL = regex.compile(
    r"^(?:(?:and|so|ok(?:ay)?|hi|hello|hey|please|then)[\s,!.]+)*"
    r"(?:what(?:'?s| is| was)|tell me|do you (?:still )?know) my "
    r"(?P<noun>[\w -]{2,40}?)(?: again| please| then| now)*\W*$"
)


def asks_detail(desk: Desk, text: str) -> bool:
    """Return whether a message is plainly the question what one of the customer's facts is: "what's my name?"."""
    asked = _ASKS_DETAIL.match(_plain(text))
    return asked is not None and any(asked["noun"] in (spec.label.lower(), *spec.words) for spec in desk.facts.values())


def named_facts(desk: Desk, text: str) -> tuple[str, ...]:
    """Return the kinds of facts that a message names by what customers call them, the longest such name first."""
    rest = _plain(text)
    called = [(word, name) for name, spec in desk.facts.items() for word in (spec.label.lower(), *spec.words)]
    named: list[str] = []
    for word, name in sorted(called, key=lambda one: -len(one[0])):
        rest, times = regex.subn(rf"(?<!\w){regex.escape(word)}s?(?!\w)", " ", rest)
        named += [name] if times else []
    return tuple(dict.fromkeys(named))


def chosen(text: str, offered: Sequence[str]) -> Sequence[str]:
    """Return which of several offers a message chooses by nothing but their place: "the second one", "2", "both"."""
    plain = _plain(text)
    if _ALL.match(plain):
        return offered
    choice = _CHOICE.match(plain)
    place = _PLACES[choice["place"]] if choice else len(offered)
    return [offered[place]] if offered and place < len(offered) else []


def facts_to_forget(desk: Desk, text: str) -> tuple[str, ...]:
    """Return the kinds of facts that a message names, should it want them forgotten; none where it means everything."""
    return () if _EVERYTHING.search(_plain(text)) else named_facts(desk, text)


def asks_back(text: str) -> bool:
    """Return whether a message plainly asks about what was said earlier: "did I tell you about …?"."""
    return _ASKS_BACK.search(_plain(text)) is not None


def points_back(desk: Desk, text: str, context: Context, values: Callable[[str], Sequence[Fact]]) -> PointedAt | None:
    """Return the earlier value that a message means, None where it means none.

    It can mean one only of a kind of fact that the session talks about, or that the bot has just asked for. `values`
    returns those of a kind that were told, the one that counts first.
    """
    asked = str(context.pending.get("fact", ""))
    kinds = [asked, *reversed(list(context.about))]
    plain = _plain(text)
    before = next((match["noun"] for form in _BEFORE if (match := form.search(plain))), None)
    other = match["noun"] if before is None and (match := _OTHER.search(plain)) else None
    noun = before or other
    kind = next((name for name in kinds if noun and name in desk.facts and _called(desk.facts[name], noun)), None)
    if kind is None:
        return None
    told: list[Fact] = []
    for fact in values(kind):
        told += [] if any(same_value(fact.value, one.value) for one in told) else [fact]
    talked_of = None if kind == asked else context.about.get(kind)
    meant = talked_of or (told[0].value if told else "")
    place = next((place for place, fact in enumerate(told) if same_value(fact.value, meant)), -1)
    rest = [fact for number, fact in enumerate(told) if number > place or (other and number != place)]
    return PointedAt(kind, meant, rest[0] if rest else None) if rest or talked_of else None


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("’", "'").split())


def _called(spec: FactSpec, noun: str) -> bool:
    """Return whether a noun stands for a kind of fact: "one", a word of its label, or what customers call it."""
    return noun in {"one", *spec.label.lower().split(), *(words.split()[-1] for words in spec.words)}
