"""RelivingChatbot: decides turns of the past as the bot would now, and keeps what the customer saw back then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.calls import make_ids
from bot.chatbot import Chatbot
from bot.message import read_apart
from bot.turn import Kept
from memory import Context
from memory.conversation import ForgottenError, WrongCustomerError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lived:
    """A turn that was decided again: the bot's own reply and decision record, and the context they came from.

    `context` is None and `turn_id` 0 where the turn failed. `timings` are milliseconds by stage.
    """

    reply: str
    decision: Mapping[str, Any]
    context: Context | None
    timings: Mapping[str, float]
    turn_id: int = 0


class RelivingChatbot(Chatbot):
    """A bot that lives through logged conversations: its order of a turn, with another reply kept."""

    def encode_ahead(self, texts: Sequence[str]) -> None:
        """Let the classifier encode messages in batches, for turns that follow: each is then not encoded by itself."""
        kept, classifier = [self.kept_text(text) for text in texts], self.models.classifier
        classifier.encode_ahead(kept)
        classifier.encode_ahead([*kept, *read_apart(self.desk, classifier, kept, self.models.thresholds.answer)])

    def _vector(self, encoded: Callable[[], NDArray[np.float32]]) -> None:
        """Keep none: few of the turns that are lived again are ever looked for, and those are encoded then."""

    def relive(
        self, raw: str, session_id: str, customer_id: str, instead: Callable[[Lived], Kept] | None = None
    ) -> Lived:
        """Decide a turn as `respond` does, and keep what `instead` makes of it: what the customer saw back then.

        Without `instead` the bot's own reply is kept. A turn that fails is not kept, and its reply says so.

        Raises:
            ValueError, WrongCustomerError: as of `respond`.
        """
        session_id, customer_id = make_ids(session_id, customer_id)
        started = time.perf_counter()
        with self._locks.hold(session_id):
            try:
                turn = self._decide(self._clean(raw), session_id, customer_id, False)
                own = turn.kept(self.recaps)
                lived = Lived(own.text, own.decision, turn.context, turn.timings)
                reply = self._keep(turn, started, instead=instead(lived) if instead else own)
            except (WrongCustomerError, ForgottenError):
                raise
            except Exception:  # noqa: BLE001 - the edge of a turn, as in `_turn`
                _LOG.exception("A turn of session %s failed and was not kept.", session_id)
                return Lived(self.desk.replies["failed"][0], {"action": "failed"}, None, {})
        return replace(lived, timings=reply.timings, turn_id=reply.turn_id)
