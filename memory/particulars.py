"""Particulars: the names, numbers, amounts, dates and addresses in a text, and what it promises and asks.

Found by their form, for English. What is missed is lost only to the summary: the turns themselves stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import regex

# `proper` is a capitalised word or more within a sentence: a place, a product, a firm, or somebody not introduced.
Kind = Literal["name", "number", "contact", "date", "amount", "proper"]

_IGNORE = regex.IGNORECASE
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_NTH = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?:,? \d{4}\b)?"
_PROPER = r"\p{Lu}[\p{L}'’-]*\p{L}"
_CALLED = rf"(?P<value>{_PROPER}(?: {_PROPER}){{0,2}})"
_ENDS = r"(?=\s*(?:[.,!;\n]|$|and\b|from\b|here\b))"
_FORMS: tuple[tuple[Kind, str], ...] = (
    ("contact", r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"),
    ("contact", r"(?<![\w.+-])(?:\+|\(?0)\d?(?:[ ()-]{0,2}\d){8,13}(?!\w)"),
    ("amount", r"[£$€]\s?\d[\d,]*(?:\.\d+)?|\b\d[\d,]*(?:\.\d+)? ?(?i:pounds|euros?|dollars)\b"),
    ("date", rf"\b(?i:{_NTH}(?: of)? {MONTH}\b{_YEAR}|{MONTH}\.? {_NTH}\b{_YEAR})"),
    ("date", r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2}/\d{1,2}(?:/\d{2,4})?\b|\b\d{1,2}(?:st|nd|rd|th)\b"),
    ("date", rf"\b(?i:{WEEKDAY}|today|tomorrow|tonight|yesterday)\b"),
    ("date", r"\b\d{1,2}(?::\d\d)? ?(?i:[ap]\.?m)\b|\b\d{1,2}:\d\d\b"),
    ("number", r"(?<![\w-])#?(?=[\w-]*\d{3})[\w-]*\w"),
    ("number", r"\b(?i:id|no\.?|number|room|order|flight)(?: is| was|:)? #?(?P<value>\d{1,2})\b"),
    ("name", rf"\b(?i:my name is|my name['’]s|name:|call me) (?P<value>\p{{L}}{{2,}}(?: {_PROPER}){{0,2}})"),
    ("name", rf"\bname, (?P<value>{_PROPER}(?: {_PROPER})?)"),
    ("name", rf"\b(?P<value>(?i:mr|mrs|ms|mx|dr|prof)\.? \p{{L}}{{2,}}(?: {_PROPER})?)"),
    ("name", rf"\b(?i:hi|hello|dear|thanks|thank you|welcome|this is|i am|i['’]m),? {_CALLED}{_ENDS}"),
    ("proper", rf"(?<=[\p{{Ll}},] ['‘“\"]?)(?!\p{{Lu}}+\b){_CALLED}"),
)
# In this order, and what one has found the next ones do not see: an amount is no number, a date no amount.
_KINDS = tuple((kind, regex.compile(form)) for kind, form in _FORMS)
_NO_NAMES = frozenset(
    "i i'm i'd i'll i've ok okay id faq yes no not none please thanks sure yeah yep nope hi hello my it what can "
    "could do does is the a there any anything great perfect never".split()
)
_ASKS_WHAT = regex.compile(r"\b(?:what|which|who|where|when|name|id|number|provide)\b", _IGNORE)
_ASKS_NAME = regex.compile(r"\bname\b|who am i (?:speaking|talking)", _IGNORE)
_LEAD = r"(?:(?:sure|yes|ok|okay|hi|hello|oh|sorry)[,.!]? ){0,2}(?:(?:it['’]?s|it is|i['’]?m|i am|this is|for) )?"
_ANSWERED_NAME = regex.compile(
    rf"{_LEAD}(?P<value>\p{{L}}[\p{{L}}'’-]+(?: \p{{L}}[\p{{L}}'’.-]+){{0,2}}?)"
    r"(?=[.,!;]|\s*$|\s+(?:and|i|here|but|for|is)\b)",
    _IGNORE,
)
_ANSWERED = regex.compile(
    rf"{_LEAD}(?P<value>[\p{{L}}\d][\p{{L}}\d'’.-]*(?: [\p{{L}}\d'’.-]+){{0,3}}?)\s*[.!]?(?:$|\.\s)", _IGNORE
)

_SENTENCE = regex.compile(r"(?<=[.!?])\s+(?=[^\p{Ll}])|\n+")
_CLOSING = regex.compile(
    r"\b(?:anything|something) else\b|\bfurther (?:questions|assistance)\b|\bhow (?:can|may) i\b", _IGNORE
)
_REQUEST = regex.compile(
    r"^(?:[^,.]{0,60}, )?please (?:confirm|provide|let|tell|give|send|choose|double|specify)\b", _IGNORE
)
# Somebody on our side will do something; not what is done at once, within the conversation.
_PROMISE = regex.compile(
    r"""\b(?:i|we|somebody|someone|(?:a|an|the|my|your|our)(?:\ \w+){0,2}\ (?:team|colleague|manager|agent|service
        |member|mechanic)(?:\ of\ [\w ]{2,24})?)
        (?:['’]ll|\ will|\ are\ going\ to|\ am\ going\ to)
        (?!\ now\b|\ (?:just\ |also\ )?(?:check|look\b(?!\ into)|need|see|proceed|assist|assume|try|help|not|require
        |have\ to|stay|be\ (?:able|happy|glad|in|here))\b)\ \w+
    |\byou(?:['’]ll|\ will)\ (?:also\ |then\ |soon\ |shortly\ )?(?:be\ )?
        (?:receiv|get|hear|refund|contact|call|email|notif|credit|reimburs)\w*
    |\bwill\ (?:also\ |then\ )?be\ (?:\w+ly\ )?\w+(?:ed|en|nt)\b
    |\b(?:refund|credit|replacement)\b[^.]*\ will\ be\b|\bwill\ be\ an?\ (?:refund|credit|replacement)\b
    |\b(?:i|we)\ promise\b""",
    _IGNORE | regex.VERBOSE,
)
_IF_WANTED = regex.compile(
    r"^(?:if you(?:['’]d)? (?:like|want|wish|prefer)|once you (?:confirm|provide)|please)\b", _IGNORE
)


@dataclass(frozen=True)
class Particular:
    """Something that a summary must not lose, as it was written."""

    kind: Kind
    text: str

    @cached_property
    def key(self) -> str:
        """The text in the form in which two ways of writing it are the same."""
        return plain(self.text)

    def stands_in(self, plain_text: str) -> bool:
        """Return whether a text, made `plain`, says this."""
        return f" {self.key} " in f" {plain_text} "


def find_particulars(text: str, *, asked: str = "") -> tuple[Particular, ...]:
    """Return the particulars of a message in the order of their kinds, each once; `asked` is the question before it."""
    found: dict[str, Particular] = {}
    if one := _answer(text.strip(), asked):
        found[one.key] = one
    rest = text
    for kind, form in _KINDS:
        for match in form.finditer(rest):
            one = Particular(kind, match[1] if form.groups else match[0])
            if one.key not in _NO_NAMES:
                found.setdefault(one.key, one)
        rest = form.sub(lambda match: "\n" * len(match[0]), rest)
    return tuple(found.values())


def _answer(text: str, asked: str) -> Particular | None:
    """Return what a message that begins with a bare answer says to the question before it."""
    match, kind = None, "name"
    if _ASKS_NAME.search(asked):
        match = _ANSWERED_NAME.match(text)
    if match is None and _ASKS_WHAT.search(asked):
        match, kind = _ANSWERED.match(text), "proper"
    if match is None or match["value"].split()[0].lower() in _NO_NAMES:
        return None
    digits = any(char.isdigit() for char in match["value"])
    return Particular("number" if digits else "name" if kind == "name" else "proper", match["value"].rstrip("."))


def missing(particulars: Iterable[Particular], text: str) -> list[Particular]:
    """Return the particulars that a text does not say."""
    said = plain(text)
    return [one for one in particulars if not one.stands_in(said)]


def find_questions(text: str) -> tuple[str, ...]:
    """Return the sentences of a message that wait for an answer; "Anything else?" waits for none."""
    return tuple(
        one for one in sentences(text) if (one.endswith("?") or _REQUEST.search(one)) and not _CLOSING.search(one)
    )


def find_promises(text: str) -> tuple[str, ...]:
    """Return the sentences of a reply that say what somebody on our side will do, without those that only offer it."""
    return tuple(
        one.rstrip(".! ")
        for one in sentences(text)
        if _PROMISE.search(one) and not one.endswith(("?", ":")) and not _IF_WANTED.search(one)
    )


def states(text: str) -> bool:
    """Return whether a reply says something, rather than only ask."""
    return any(not one.endswith("?") and not _REQUEST.search(one) for one in sentences(text))


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text, without the marks of lists."""
    parts = _SENTENCE.split(text.replace("**", ""))
    return [bare for part in parts if (bare := part.strip().lstrip("-*• ").strip())]


# What is put in the place of what, in this order.
_PLAIN = [
    (regex.compile(r"(?<=\d),(?=\d{3})"), ""),
    (regex.compile(r"\b(\d{1,2})(?:st|nd|rd|th)\b"), r"\1"),
    (regex.compile(r"(?<=\d) ?([ap])\.?m\b\.?"), r" \1m"),
    (regex.compile(r"(?<=\d)\.0+(?!\d)"), ""),
    (regex.compile(rf"\b(\d{{1,2}})(?: of)? ({MONTH})\b"), r"\2 \1"),
]
_MONTHS = regex.compile(rf"\b({MONTH})\.?(?= \d)")
_DIGIT = regex.compile(r"\d")
_PLAIN_WORD = regex.compile(r"[\w@+](?:[\w@+.'’:/-]*\w)?")


def plain(text: str) -> str:
    """Return a text as words apart, so that `6th of May` reads as `May 6`, and `$1,250.00` as `1250`."""
    low = text.casefold()
    if _DIGIT.search(low):  # all that is put in another's place stands beside one
        for pattern, instead in _PLAIN:
            low = pattern.sub(instead, low)
        low = _MONTHS.sub(lambda match: match[1][:3], low)
    return " ".join(_PLAIN_WORD.findall(low))
