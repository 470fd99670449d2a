"""`/healthz`, `/readyz` and, for this machine and the team, Prometheus' `/metrics`."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import text

from bot.channels.caller import Callers
from bot.channels.errors import ApiError
from bot.channels.turns import TurnQueue
from bot.chatbot import Chatbot
from bot.turn import Reply
from bot.ui.team.door import Door
from memory import StoreError

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

# FastAPI's own, which looks for settings with every request, and whose traces would name sessions.
UNTRACED: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
_PROBED = ["GET", "HEAD"]  # some orchestrators ask for the head alone
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What is counted about a bot's turns, since it was started; never what was said or by whom."""

    def __init__(self, bot: Chatbot, turns: TurnQueue) -> None:
        self.registry = CollectorRegistry()
        self._turns = Counter("rapport_turns", "Turns by what the bot did.", ["action"], registry=self.registry)
        self._stages = Histogram(
            "rapport_stage_seconds",
            "Time of a turn by stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._confidence = Histogram(
            "rapport_confidence",
            "Confidence in the likeliest intent.",
            buckets=[tenth / 10 for tenth in range(1, 11)],
            registry=self.registry,
        )
        under_way = Gauge("rapport_turns_under_way", "Turns under way or waiting.", registry=self.registry)
        under_way.set_function(lambda: bot.turns_under_way)
        waiting = Gauge("rapport_turns_waiting", "Turns over HTTP that have not begun.", registry=self.registry)
        waiting.set_function(lambda: turns.waiting)
        bot.when_replied = self.count

    def count(self, reply: Reply) -> None:
        """Count a turn."""
        self._turns.labels(reply.action).inc()
        for stage, spent in reply.timings.items():
            self._stages.labels(stage).observe(spent / 1000)
        if reply.confidence:
            self._confidence.observe(reply.confidence)


def monitoring(bot: Chatbot, callers: Callers, door: Door, turns: TurnQueue) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False)
    metrics = Metrics(bot, turns)

    @router.api_route("/healthz", methods=_PROBED)
    def alive() -> dict[str, str]:
        return {"status": "ok"}

    @router.api_route("/readyz", methods=_PROBED)
    def ready() -> dict[str, str]:
        try:
            with bot.memory.store.read() as connection:
                connection.execute(text("SELECT 1 FROM customers LIMIT 1"))
        except StoreError:
            raise ApiError(503, "not_ready", "The database cannot be read.") from None
        return {"status": "ready", "model": bot.models.version}

    @router.get("/metrics")
    def measured(request: Request) -> Response:
        if not (_is_loopback(request) or _has_key(request, callers) or door.is_member(request)):
            raise ApiError(403, "not_team", "Metrics are for this machine, the team and keys with the scope `metrics`.")
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router


def _has_key(request: Request, callers: Callers) -> bool:
    return "authorization" in request.headers and "metrics" in callers.proven(request).scopes


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
