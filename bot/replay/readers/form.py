"""What a form of logs is: how its records are recognised, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bot.replay.readers.draft import Draft, FormError
from finetune.logs import explain

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Form:
    """One form of logs.

    `recognises` is asked about the first record of a file. `read` yields the conversations of a record, or parts of
    them where the form is `in_parts`: parts of a conversation that follow each other are put together. `read` raises
    FormError for a record that is not of the form.
    """

    name: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any], Iterator[Draft]]
    in_parts: bool = False


def parse(model: type[M], value: Any) -> M:
    """Return a record as the form's model of it.

    Raises:
        FormError: it is not like the model.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        what, _, remedy = explain(error).rpartition(". ")
        raise FormError(what, remedy) from None


def inside(value: Any, *envelopes: str) -> list[Any]:
    """Return the records in a page of an API (`{"tickets": [...]}`), or the record itself where it is no page."""
    for key in envelopes:
        if isinstance(value, dict) and isinstance(value.get(key), list):
            return list(value[key])
    return [value]
