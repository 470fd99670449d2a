"""A customer's message at the boundary: cleaned, measured, and understood."""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

from bot.desk import Desk
from bot.turn import Understood
from finetune import IntentClassifier
from finetune.masking import mask_secrets
from memory import Context
from memory.facts import FactSpec, find_facts
from memory.told import validity

_KEPT_CONTROLS = "\n\t"
# Marks that turn the reading direction around: they could make a page show something else than is there.
_DIRECTION_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """Return a message in NFC form, without control characters and direction overrides, its secrets masked.

    It is what is understood, stored and embedded: a card number or a password goes no further than this.
    """
    kept = (
        char
        for char in text
        if char in _KEPT_CONTROLS
        or (unicodedata.category(char) not in ("Cc", "Cs") and char not in _DIRECTION_OVERRIDES)
    )
    return mask_secrets(unicodedata.normalize("NFC", "".join(kept)).strip())


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
) -> Understood:
    """Return what a message says; one that repeats a button's label means what the button means.

    `vector` `(384,)` is what `classifier.encode` makes of the message, `earlier` `(k, 384)` what it made of the
    messages before it in the session, newest first.

    Raises:
        TimeoutError: a pattern of the desk takes too long.
    """
    told = find_facts(list(desk.facts.values()), text, context.pending.get("fact"))
    later = {name: value for name, value in told.items() if _holds_later(desk.facts[name], value, text, context)}
    facts = {name: value for name, value in told.items() if name not in later}
    intent = _button(desk, text, context)
    if intent is not None:
        return Understood(((intent, 1.0),), True, facts, later)
    probabilities, scores = classifier.judge(vector[None, :], [earlier])
    order = np.argsort(-probabilities[0], kind="stable")[:5]
    intents = tuple((classifier.classes_[place], float(probabilities[0][place])) for place in order)
    return Understood(intents, bool(scores[0] >= classifier.in_scope_threshold), facts, later)


def _holds_later(spec: FactSpec, value: str, text: str, context: Context) -> bool:
    return validity(spec, value, text, context.now, context.just_told).is_later(context.now.date())


def _button(desk: Desk, text: str, context: Context) -> str | None:
    label = text.casefold()
    for name, meaning in (("yes_button", "yes"), ("no_button", "no")):
        if context.pending and label == desk.replies[name][0].casefold():
            return next((intent for intent, answer in desk.answers.items() if answer.means == meaning), None)
    return desk.titles.get(label)
