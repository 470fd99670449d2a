"""A customer's message at the boundary: cleaned, measured, and understood."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bot.desk import Desk
from bot.pointing import asks_detail, chosen
from bot.turn import Understood
from finetune import IntentClassifier
from finetune.masking import mask_secrets
from memory import Context
from memory.facts import FactSpec, find_facts
from memory.particulars import find_questions
from memory.told import validity

_KEPT_CONTROLS = "\n\t"
_ASKING = (  # with which a question begins
    r"(?:(?:what|where|when|who|how|which|why)(?:['’]?s|['’]?re)?|whats|can|could|do|does|did|is|are|will|would|may|should)\b"
)
# Chats begin sentences with small letters, too, and join questions by "and": "is it warm and what does it cost".
_SENTENCE = re.compile(rf"(?<=[.!?…])\s+|\n+|,?\s+(?:and|n|&|plus)\s+(?:also\s+)?(?={_ASKING})", re.IGNORECASE)
_Judged = tuple[tuple[tuple[str, float], ...], bool]  # the likeliest intents with their confidence; in scope or not
_WISH = re.compile(r"\b(?:i(?:'d| would) like|i (?:want|need|wish)|(?:get|put|let|give) me|please)\b", re.IGNORECASE)
_REFERRING = re.compile(r"\b(?:it|that|this|they|them|those|these|one|ones)\b", re.IGNORECASE)
_MOST_SENTENCES = 8  # up to so many are read one by one: each costs as much as a message
_LETS_CHOOSE = frozenset({"clarify", "not_understood"})  # replies that ask which of their buttons is meant
_LIKELY = 0.5  # from here on an intent is one of several that a message has
_CLEANED = 12  # times the limit: whoever writes more than that means no message, and cleaning takes time
_LINE_ENDS = {0x2028: "\n", 0x2029: "\n"}  # Unicode's own, which other programs take for the end of a line too
# Marks that turn the reading direction around: they could make a page show something else than is there.
_DIRECTION_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """Return a message in NFC form, without control characters and direction overrides, its secrets masked.

    It is what is understood, stored and embedded: a card number or a password goes no further than this.
    """
    kept = (
        char
        for char in text.translate(_LINE_ENDS)
        if char in _KEPT_CONTROLS
        or (unicodedata.category(char) not in ("Cc", "Cs") and char not in _DIRECTION_OVERRIDES)
    )
    return mask_secrets(unicodedata.normalize("NFC", "".join(kept)).strip())


def clean_long(text: str, limit: int) -> str:
    """Return what `clean` does of a message of any length; what lies far beyond the limit only counts, as spaces."""
    text, most = text.strip(), _CLEANED * limit
    if len(text) <= most:
        return clean(text)
    cleaned = clean(text[:most])
    return cleaned and cleaned.ljust(len(text))


def has_words(text: str) -> bool:
    """Return whether there is a letter or a digit of any script in a message."""
    return any(char.isalnum() for char in text)


def refusal_of(text: str, limit: int) -> str:
    """Return the name of the sentence that refuses a message which cannot be understood, empty for any other."""
    if len(text) > limit:
        return "too_long"
    return "empty" if not text else "" if has_words(text) else "not_text"


def understand(
    desk: Desk,
    classifier: IntentClassifier,
    text: str,
    context: Context,
    vector: NDArray[np.float32],
    earlier: NDArray[np.float32],
    sure: float,
) -> Understood:
    """Return what a message says; one that repeats a button's label means what the button means.

    `vector` `(384,)` is what `classifier.encode` makes of the message, `earlier` `(k, 384)` what it made of the
    messages before it in the session, newest first. A message that does not ask something in scope, with the confidence
    `sure`, is taken for the one sentence of it that does, where there is one: "he'll be glad. do you take cheques" is
    about payment; where several do, all of these are asked, each as likely as the others. So are several questions that
    are sure by themselves in a message that is. "what's my name" plainly asks for a fact.

    Raises:
        TimeoutError: a pattern of the desk takes too long.
    """
    found = find_facts(list(desk.facts.values()), text, context.pending.get("fact"))
    told = {name: values[-1] for name, values in found.items()}
    later = {name: value for name, value in told.items() if _holds_later(desk.facts[name], value, text, context)}
    facts = {name: value for name, value in told.items() if name not in later}
    listed = {name: found[name] for name in facts if len(found[name]) > 1}
    missed = {name: spec.find_near_miss(text) for name, spec in desk.facts.items() if name not in found}
    near_misses = {name: typed for name, typed in missed.items() if typed}
    understood = partial(Understood, facts=facts, later=later, listed=listed, near_misses=near_misses)
    if intents := _buttons(desk, text, context):
        likely = tuple((intent, 1 / len(intents)) for intent in intents)
        return understood(likely, True, asked={intent: {} for intent in intents} if len(intents) > 1 else {})
    whole = _judged(desk, classifier, vector[None, :], earlier)[0]
    surely = _asks(desk, whole, sure)
    detail = next((intent for intent, answer in desk.answers.items() if answer.recap == "detail"), None)
    if not surely and detail is not None and asks_detail(desk, text):
        return understood(((detail, 1.0),), True)
    asked: dict[str, tuple[_Judged, str]] = {}  # what sentences surely ask for, and which
    one_thing = surely and not _of_several_values(desk, text, facts)
    if not context.pending and (sentences := _read_by_themselves(text, one_thing)):  # else "Yes. And …" is an answer
        read = _judged(desk, classifier, classifier.encode(sentences), earlier)
        for judged, sentence in zip(read, sentences, strict=True):
            if _asks(desk, judged, sure):
                asked.setdefault(judged[0][0][0], (judged, sentence))
        if not surely and asked:
            whole = (
                _all_of([judged for judged, _ in asked.values()]) if len(asked) > 1 else next(iter(asked.values()))[0]
            )
    own = {intent: _own_facts(desk, sentence, facts) for intent, (_, sentence) in asked.items()}
    return understood(*whole, asked=own if len(own) > 1 else {}, questions=_asks_by_form(text))


def _of_several_values(desk: Desk, text: str, facts: Mapping[str, str]) -> bool:
    """Return whether sentences of a message have other values of a fact: "cancel R-10234 and where is R-10250"."""
    sentences = _sentences(text) if facts else []
    found = ({one.find(sentence) for sentence in sentences} - {None} for one in map(desk.facts.__getitem__, facts))
    return any(len(values) > 1 for values in found)


def _own_facts(desk: Desk, sentence: str, facts: Mapping[str, str]) -> dict[str, str]:
    """Return what a sentence of a message says of facts that the message tells, which may say others afterwards."""
    return {name: value for name in facts if (value := desk.facts[name].find(sentence)) is not None}


def read_apart(desk: Desk, classifier: IntentClassifier, texts: Sequence[str], sure: float) -> list[str]:
    """Return the sentences that `understand` will read one by one in messages of which nothing else is known."""
    judged = _judged(desk, classifier, classifier.encode(texts), classifier.encode([]))
    read = ((text, _asks(desk, whole, sure)) for text, whole in zip(texts, judged, strict=True))
    return [sentence for text, surely in read for sentence in _read_by_themselves(text, surely)]


def _read_by_themselves(text: str, surely: bool) -> list[str]:
    """Return the sentences of a message that are read one by one; where all of it `surely` asks, those that ask.

    Of these, one that speaks of what was said before it means nothing by itself: "… and how long does that take?"
    """
    sentences = _sentences(text)
    if surely:
        asking = [one for one in sentences if _asks_by_form(one)]
        sentences = asking[:1] + [one for one in asking[1:] if not _REFERRING.search(one)]
    return sentences if len(sentences) > 1 else []


def _asks_by_form(text: str) -> bool:
    return bool(find_questions(text) or _WISH.search(text) or re.match(_ASKING, text, re.IGNORECASE))


def _sentences(text: str) -> list[str]:
    """Return the sentences of a message; nothing where it is one, or has too many."""
    found = [one for one in _SENTENCE.split(text) if has_words(one)]
    return found if 1 < len(found) <= _MOST_SENTENCES else []


def _judged(
    desk: Desk, classifier: IntentClassifier, vectors: NDArray[np.float32], earlier: NDArray[np.float32]
) -> Sequence[_Judged]:
    probabilities, scores = classifier.judge(vectors, [earlier] * len(vectors))
    judged = [
        (
            tuple((classifier.classes_[place], float(row[place])) for place in np.argsort(-row, kind="stable")[:5]),
            bool(score >= classifier.in_scope_threshold),
        )
        for row, score in zip(probabilities, scores, strict=True)
    ]
    return [_wanted(desk, one) for one in judged] if classifier.several else judged


def _wanted(desk: Desk, judged: _Judged) -> _Judged:
    """Return what was judged by a classifier for which a message may have several intents: what it rather asks for.

    Of several things each is as likely as the others, so that they are offered; one comes before mere talk beside it.
    """
    intents, in_scope = judged
    asked = [one for one in intents if one[1] >= _LIKELY and desk.answers[one[0]].asks] if in_scope else []
    if len(asked) > 1:
        return _all_of([(((name, 1.0),), True) for name, _ in asked])
    return (*asked, *(one for one in intents if one not in asked)), in_scope


def _asks(desk: Desk, judged: _Judged, sure: float) -> bool:
    """Return whether what was judged surely asks for something: mere talk, such as thanks, does not."""
    intents, in_scope = judged
    name, confidence = intents[0]
    return in_scope and confidence >= sure and desk.answers[name].asks


def _all_of(judged: Sequence[_Judged]) -> _Judged:
    """Return the mean of what was judged, all in scope: no intent is surer than its share of the sentences."""
    total: dict[str, float] = {}
    for intents, _ in judged:
        for name, probability in intents:
            total[name] = total.get(name, 0.0) + probability / len(judged)
    return tuple(sorted(total.items(), key=lambda item: -item[1])[:5]), True


def _holds_later(spec: FactSpec, value: str, text: str, context: Context) -> bool:
    return validity(spec, value, text, context.now, context.just_told).is_later(context.now.date())


def _buttons(desk: Desk, text: str, context: Context) -> tuple[str, ...]:
    """Return what a message means that repeats a button's label, or chooses among those that were just offered."""
    label = text.casefold()
    for name, meaning in (("yes_button", "yes"), ("no_button", "no")):
        if context.pending and label == desk.replies[name][0].casefold():
            return tuple(intent for intent, answer in desk.answers.items() if answer.means == meaning)[:1]
    if (last := context.last) and last.decision.get("action") in _LETS_CHOOSE:
        offered = [title.casefold() for title in last.decision.get("suggestions", ())]
        return tuple(desk.titles[title] for title in chosen(text, offered) or [label] if title in desk.titles)
    return (desk.titles[label],) if label in desk.titles else ()
