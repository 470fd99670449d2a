"""The form of a desk's YAML files: desk.yaml, answers.yaml and facts.yaml, as pydantic models."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Sentences = tuple[Sentence, ...]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Recap = Literal["everything", "last_session", "detail", "promises", "topic"]


def _hours(text: Any) -> Any:
    """Return opening and closing time of `09:00-18:00`."""
    if not isinstance(text, str):
        return text
    first, _, second = text.partition("-")
    try:
        hours = time.fromisoformat(first.strip().zfill(5)), time.fromisoformat(second.strip().zfill(5))
    except ValueError:
        raise ValueError(f"{text!r} is not an opening and a closing time like 09:00-18:00") from None
    if hours[0] >= hours[1]:
        raise ValueError(f"{text!r} closes before it opens")
    return hours


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Policy(_File):
    """What the desk tolerates: shares of 1, and failures in a row before a colleague takes over."""

    max_wrong_answers: float = Field(default=0.05, gt=0, lt=1)
    max_turned_away: float = Field(default=0.03, gt=0, lt=1)
    hand_over_after: int = Field(default=2, ge=1)


def _days(given: Any) -> Any:
    """Return 0 for `off`."""
    if given is True:
        raise ValueError("write for how many days, or off")
    return 0 if given is False else given


Days = Annotated[int, BeforeValidator(_days), Field(ge=0)]


class NextSession(_File):
    """For how many days a new conversation knows what was said in earlier ones; `off`: not at all."""

    facts: Days = 730
    promises: Days = 730
    summary: Days = 730
    recall: Days = 730


class MemoryLimits(_File):
    """How much of a conversation a turn looks at, when a new conversation begins, and what it knows of earlier ones.

    `anonymous_days`: for how long a visitor who was never identified is known, and what they said is kept.
    """

    buffer_tokens: int = Field(default=600, ge=50)
    buffer_turns: int = Field(default=16, ge=1, le=200)
    recalled_turns: int = Field(default=4, ge=0, le=50)
    new_session_after_hours: float = Field(default=8, gt=0)
    next_session: NextSession = NextSession()
    anonymous_days: int = Field(default=365, ge=1, le=3650)


Origin = Annotated[str, StringConstraints(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$", max_length=200)]


class Portals(_File):
    """Other people's sites where this desk's bot may be: `origins` like `https://shop.example`, without a path."""

    origins: tuple[Origin, ...] = ()


class DeskFile(_File):
    """`desk.yaml`."""

    name: Sentence
    bot_name: Sentence = "Rapport"
    language: str = "en"
    timezone: str = "UTC"
    hours: dict[Day, Annotated[tuple[time, time], BeforeValidator(_hours)]] = {}
    policy: Policy = Policy()
    memory: MemoryLimits = MemoryLimits()
    portals: Portals = Portals()
    starters: tuple[str, ...] = ()
    replies: dict[str, Sentences] = {}


class Answer(_File):
    """One intent's approved answer: wordings in `text`, or per `outcomes` of a look-up or a recap.

    `topic: false` marks mere conversation (greetings, thanks, questions about memory), which is not worth recalling.
    """

    title: Annotated[Sentence, StringConstraints(max_length=60)]
    text: Sentences = ()
    needs: tuple[str, ...] = ()
    tool: str | None = None
    recap: Recap | None = None
    forget: bool = False
    outcomes: dict[str, Sentences] = {}
    handoff: bool | tuple[str, ...] = False
    means: Literal["yes", "no", "information"] | None = None
    topic: bool = True
    article: str | None = None
    suggestions: tuple[str, ...] = ()
    promise: Sentence | None = None

    @model_validator(mode="after")
    def _one_way_to_answer(self) -> Answer:
        if self.tool and self.recap:
            raise ValueError("it has both `tool` and `recap`; keep one")
        if (self.tool or self.recap) and not self.outcomes:
            raise ValueError("a `tool` or `recap` needs `outcomes` with wordings")
        if self.outcomes and not (self.tool or self.recap):
            raise ValueError("`outcomes` belong to a `tool` or a `recap`; use `text`")
        if not self.outcomes and not self.text:
            raise ValueError("it has no wording; give at least one under `text`")
        if self.recap and set(self.outcomes) != {"found", "nothing"}:
            raise ValueError("a `recap` has the outcomes `found` and `nothing`")
        if isinstance(self.handoff, tuple) and (unknown := set(self.handoff) - set(self.outcomes)):
            raise ValueError(f"`handoff` names {', '.join(sorted(unknown))}, which `outcomes` does not have")
        return self

    @property
    def asks(self) -> bool:
        """Whether whoever says this wants something: mere talk, such as thanks, does not."""
        return bool(self.topic or self.recap or self.forget)

    def hands_off(self, outcome: str | None) -> bool:
        """Return whether a colleague takes over after this answer, given the outcome of its look-up."""
        return self.handoff if isinstance(self.handoff, bool) else outcome in self.handoff


class FactFile(_File):
    """One entry of `facts.yaml`."""

    label: Sentence
    description: str = ""
    words: Sentences = ()
    patterns: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    near_misses: tuple[str, ...] = ()
    values: dict[str, Sentences] = {}
    form: str = "{value}"
    case: Literal["upper", "lower", "title", "keep"] = "keep"
    check: Literal["", "phone", "email", "date", "iban", "luhn"] = ""
    region: str = Field(default="GB", pattern=r"^[A-Z]{2}$")
    ask: Sentences
    confirm: Sentences
    keep_days: int = Field(default=365, ge=1)
    personal: bool = False
    dated: bool = False
    examples: dict[str, str] = {}

    @field_validator("form")
    @classmethod
    def _has_value(cls, form: str) -> str:
        if form.count("{value}") != 1:
            raise ValueError("it must contain {value} once, for example R-{value}")
        return form
