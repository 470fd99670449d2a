"""read_log(): recognises the form of a log and yields its conversations, one in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from bot.problems import Problem, RapportError
from bot.replay.readers.chatwoot import CHATWOOT
from bot.replay.readers.draft import Draft, FormError, plain
from bot.replay.readers.form import Form
from bot.replay.readers.intercom import INTERCOM
from bot.replay.readers.mapping import OPENAI, PAIRS, Mapping
from bot.replay.readers.privacy import Mask
from bot.replay.readers.rapport_export import RAPPORT_EXPORT
from bot.replay.readers.rapport_log import RAPPORT_LOG
from bot.replay.readers.records import Record, Records, files_of
from bot.replay.readers.star import STAR
from bot.replay.readers.tau_bench import TAU_BENCH
from bot.replay.readers.zendesk import ZENDESK
from finetune.logs import Conversation

_ALL = (RAPPORT_LOG, RAPPORT_EXPORT, CHATWOOT, ZENDESK, INTERCOM, OPENAI, PAIRS, STAR, TAU_BENCH)
FORMS = {form.name: form for form in _ALL}
_FIRST = 20  # problems that are kept; all are counted


@dataclass
class Wrong:
    """What of a log could not be read: how many records, and the first of them."""

    count: int = 0
    first: list[Problem] = field(default_factory=list)

    def tell(self, problem: Problem) -> None:
        """Count a problem."""
        self.count += 1
        if self.count <= _FIRST:
            self.first.append(problem)


def stop(problem: Problem) -> None:
    """End a reading at the first problem.

    Raises:
        RapportError: always.
    """
    raise RapportError(str(problem))


def read_log(
    path: Path,
    form: str | None = None,
    mapping: Mapping | None = None,
    *,
    mask: Mask | None,
    on_error: Callable[[Problem], None] = stop,
) -> Reading:
    """Return a reading of a log: a file, or a folder of files that are read in the order of their names.

    Without a `form` (a name in FORMS) and a `mapping`, each file's form is that of its first record of a known one.
    `mask` masks personal data, None leaves it in. `on_error` is told what cannot be read, which is then left out;
    whatever it raises ends the reading.

    Raises:
        RapportError: there is no such form or file, or, once all is read, no record was of a form that is known.
    """
    if form is not None and form not in FORMS:
        raise RapportError(f"There is no form {form!r}. There are: {', '.join(FORMS)}; or write a mapping file.")
    if form is not None and mapping is not None:
        raise RapportError("Name either a form or a mapping.")
    given = mapping.form() if mapping else FORMS[form] if form else None
    files = [Records(file, path, on_error) for file in files_of(path)]
    return Reading(files, given, mask, on_error)


@dataclass(frozen=True)
class _Part:
    """A conversation, or a part of one, and the record that it stands in."""

    draft: Draft
    record: Record
    form: Form


class Reading(Iterator[Conversation]):
    """The conversations of a log as they are read; `forms` are those that were met, `silent` those without a word."""

    def __init__(
        self, files: list[Records], form: Form | None, mask: Mask | None, on_error: Callable[[Problem], None]
    ) -> None:
        self.forms: set[str] = set()
        self.silent = 0
        self._files, self._form, self._mask, self._on_error = files, form, mask, on_error
        self._unknown: Problem | None = None  # the first record that is of no form
        self._conversations = self._read()

    def __next__(self) -> Conversation:
        return next(self._conversations)

    @property
    def share(self) -> float:
        """How much of the log's bytes has been read, 0 to 1."""
        return sum(file.read for file in self._files) / max(1, sum(file.size for file in self._files))

    def _read(self) -> Iterator[Conversation]:
        seen: set[int] = set()  # hashes of ids: all that grows with the log
        for number, (_, parts) in enumerate(groupby(self._parts(), _whole()), 1):
            first = next(parts)
            try:
                draft = first.draft
                for part in parts:
                    draft = draft.with_more(part.draft)
                masked = self._mask.apply(draft) if self._mask else draft
                conversation = _named(masked, first.record).finished(number)
            except FormError as error:
                self._tell(first.record, error)
                continue
            if conversation is None:
                self.silent += 1
            elif (key := hash(conversation.conversation_id)) in seen:
                what = "a conversation with its id has been read already"
                together = ", and put the messages of one together" if first.form.in_parts else ""
                self._tell(first.record, FormError(what, f"Give each conversation its own id{together}"))
            else:
                seen.add(key)
                yield conversation

    def _parts(self) -> Iterator[_Part]:
        for file in self._files:
            form = self._form
            for record in file:
                form = form or self._recognised(record, file.is_csv)
                if form is None:
                    if file.is_csv:
                        break  # its columns are the same in every row
                    continue
                self.forms.add(form.name)
                try:
                    yield from [_Part(draft, record, form) for draft in form.read(record.value)]
                except FormError as error:
                    self._tell(record, error)
        if self._unknown and not self.forms:
            raise RapportError(str(self._unknown))

    def _recognised(self, record: Record, is_csv: bool) -> Form | None:
        for form in _ALL:
            if is_csv == (form is PAIRS) and form.recognises(record.value):
                return form
        what = "its columns are not customer,agent" if is_csv else "it is of no form that is known"
        remedy = f"Name one with --form ({', '.join(FORMS)}), or write a mapping file (docs/logs.md)"
        problem = Problem(record.file, "" if is_csv else record.place, what, remedy)
        self._unknown = self._unknown or problem
        self._on_error(problem)
        return None

    def _tell(self, record: Record, error: FormError) -> None:
        self._on_error(Problem(record.file, record.place, error.what, error.remedy))


def _whole() -> Callable[[_Part], tuple[str, int]]:
    """Return a key that is the same for parts of one conversation that follow each other."""
    count = 0

    def key(part: _Part) -> tuple[str, int]:
        nonlocal count
        own = part.draft.conversation_id
        if not (part.form.in_parts and own):
            count += 1  # a conversation of its own
        return own, count

    return key


def _named(draft: Draft, record: Record) -> Draft:
    """Return a conversation with ids: the file's name and the record's number where its form knows none."""
    own = plain(draft.conversation_id or f"{record.origin}-{record.number}")
    return replace(draft, conversation_id=own, customer_id=plain(draft.customer_id) or own)
