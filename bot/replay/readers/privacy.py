"""What is personal in a log, masked on the way in: one masking (`finetune.masking`), and names that a form marks."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.problems import RapportError
from bot.replay.readers.draft import Draft
from bot.replay.readers.ordinary import ORDINARY
from finetune.masking import EMAIL, mask

_MASKED_ID = re.compile(r"masked-[0-9a-f]{16}")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Mask:
    """Masks e-mail addresses, phone and card numbers, IBANs, passwords and marked names, and replaces customers' ids.

    A customer's id becomes a hash under `key`: the same customer under the same key has the same one, and who does not
    hold the key cannot find out whose it is. What has been masked stays as it is when it is masked again.

    Args:
        key: a secret, such as the home's; anything else lets ids be guessed.
        region: a country (ISO 3166, `US`) whose phone numbers are found without a prefix too.
    """

    key: str
    region: str = ""

    def apply(self, draft: Draft) -> Draft:
        """Return a conversation without what is personal in it."""
        hide = _hider(draft)
        customer = self.pseudonym(draft.customer_id) if draft.customer_id else ""
        own = draft.conversation_id
        if own and (own == draft.customer_id or EMAIL.search(own)):
            own = self.pseudonym(own)
        messages = (replace(one, text=hide(mask(one.text, region=self.region))) for one in draft.messages)
        return replace(draft, conversation_id=own, customer_id=customer, messages=tuple(messages))

    def pseudonym(self, name: str) -> str:
        """Return the id that a customer's id becomes."""
        if _MASKED_ID.fullmatch(name):
            return name
        digest = hmac.new(self.key.encode(), name.encode("utf-8", "replace"), hashlib.sha256)
        return f"masked-{digest.hexdigest()[:16]}"


def region_named(name: str) -> str:
    """Return a country by its two letters, as `Mask` takes it; empty where no name is given.

    Raises:
        RapportError: there is none.
    """
    from phonenumbers import SUPPORTED_REGIONS

    if name and name.upper() not in SUPPORTED_REGIONS:
        raise RapportError(f"There is no country {name!r}. Write it with two letters, as US or GB.")
    return name.upper()


def _hider(draft: Draft) -> Callable[[str], str]:
    """Return what puts `[name]` in the place of a conversation's names.

    A full name and its parts are found in any case. A part that is an ordinary word too (`ORDINARY`) is found where it
    is capitalised; in a conversation that also has it without a capital, only within a sentence ("Thanks, Will") and on
    a line of its own, not where it begins a sentence ("Will it come?").
    """
    small = {word for one in draft.messages for word in _WORD.findall(one.text) if word.islower()}
    names = {EMAIL.sub(lambda match: match[0].partition("@")[0], name).strip() for name in draft.names}
    parts = {part for name in names for part in _WORD.findall(name) if len(part) > 1}
    doubtful = {part.lower() for part in parts} & ORDINARY
    sure = {part for part in parts if part.lower() not in doubtful} | {name for name in names if " " in name}
    patterns = [rf"(?i:{_alternatives(sure)})"] if sure else []
    if plain := {part.capitalize() for part in doubtful - small}:
        patterns.append(_alternatives(plain))
    if either := {part.capitalize() for part in doubtful & small}:
        patterns += [rf"(?<=[\w,;] ){_alternatives(either)}", rf"(?<=\n){_alternatives(either)}(?=\s*(?:\n|\Z))"]
    if not patterns:
        return lambda text: text
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)")
    return lambda text: pattern.sub("[name]", text)


def _alternatives(names: set[str]) -> str:
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return "(?:" + "|".join(r"\s+".join(map(re.escape, name.split())) for name in longest_first) + ")"
