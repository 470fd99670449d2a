"""The record of a turn: what it gathers on its way, and what of that is kept and replied."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.answers import Rendered
from bot.models import Models
from bot.recaps import Recaps
from bot.turn import Kept, Reply, Source, Understood
from memory import Context, Turn
from memory.store import to_text


@dataclass
class Gathered:
    """What one turn gathers: the message with its unit vectors, its context, and what was decided to say.

    `vector` `(384,)` is the encoder's, None where it is not kept; `heard` is the classifier's, None where it was not
    asked. `written` is a chat model's reply, empty where the desk's own words stand. `timings` are milliseconds by
    stage.
    """

    text: str
    context: Context
    vector: NDArray[np.float32] | None
    understood: Understood
    rendered: Rendered
    models: Models
    heard: NDArray[np.float32] | None = None
    timings: dict[str, float] = field(default_factory=dict)
    written: str = ""

    @property
    def sources(self) -> list[Source]:
        """Where the reply comes from; a chat model was also shown the recalled turns."""
        recalled = self.context.recalled if self.written else ()
        turns = (hit.turn for hit in recalled)
        shown = [Source("turn", str(turn.id), turn.words[:80], turn.at.isoformat()) for turn in turns]
        return [*self.rendered.sources, *shown]

    def kept(self, recaps: Recaps) -> Kept:
        """Return what is kept of the turn: the reply and the decision record that led to it."""
        rendered, context, understood = self.rendered, self.context, self.understood
        text = self.written or rendered.text
        decision: dict[str, Any] = {
            "action": rendered.action,
            "intent": rendered.intent,
            "intents": [[intent, round(confidence, 4)] for intent, confidence in understood.intents[:3]],
            "in_scope": understood.in_scope,
            "facts": dict(understood.told),
            "sources": [asdict(source) for source in self.sources],
            "suggestions": list(rendered.suggestions),
            "pending": dict(rendered.pending),
            "about": {**understood.facts, **rendered.about},
            "topic": rendered.topic,
            "also": [list(one) for one in rendered.also],
            "state": rendered.state,
            "promise": rendered.promise,
            "failure": rendered.failure,
            "wording": rendered.wording,
            "model": self.models.version,
            "written_by": "chat_model" if self.written else "desk",
            "handed_over": context.handed_over or rendered.hand_off,
        }
        if rendered.hand_off:
            draft = Turn(0, context.session_id, context.number + 1, context.now, self.text, text, decision)
            decision["handoff_summary"] = recaps.handoff_summary(context, draft)
        return Kept(text, decision, decision["handed_over"])

    def reply(self, kept: Kept, turn_id: int) -> Reply:
        """Return the reply of the turn once it is kept."""
        rendered = self.rendered
        return Reply(
            text=kept.text,
            action=rendered.action,
            intent=rendered.intent or self.understood.intent,
            confidence=self.understood.confidence,
            sources=tuple(self.sources),
            suggestions=rendered.suggestions,
            session_id=self.context.session_id,
            turn_id=turn_id,
            handed_over=kept.handed_over,
            at=to_text(self.context.now),
            timings={stage: round(spent, 2) for stage, spent in self.timings.items()},
        )
