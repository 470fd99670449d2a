"""Watch: hands a running bot the models that are promoted while it serves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from bot.desk import Desk
from bot.models import Models, load_promoted
from bot.versions import Versions

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0


class Watch:
    """Looks once a second, on a thread of its own, whether something was promoted, and hands over what it loads.

    What cannot be loaded or does not fit the desk is logged, and tried again only after the next promotion.
    """

    def __init__(self, desk: Desk, home: Path, models: Models, hand_over: Callable[[Models], None]) -> None:
        self._desk = desk
        self._home = home
        self._models = models
        self._hand_over = hand_over
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rapport-reload", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking, once a model that is being loaded has been."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        versions, seen = Versions(self._home, self._desk.name), self._models.stamp
        while not self._closed.is_set():
            if (stamp := versions.stamp()) != seen:
                seen = stamp
                self._reload()
            self._closed.wait(_LOOK_EVERY_S)

    def _reload(self) -> None:
        old = self._models
        try:
            self._models = load_promoted(old, self._desk, self._home)
        except Exception as error:  # noqa: BLE001 - tokenizers and ONNX Runtime raise bare ones; whatever it is, serving goes on
            _LOG.warning("The promoted model cannot be used; %s goes on serving. %s", old.names, error)
            return
        if self._models is not old:
            self._hand_over(self._models)
            _LOG.info("Serving %s now, after %s.", self._models.names, old.names)
