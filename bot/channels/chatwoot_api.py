"""Chatwoot's API as an agent bot uses it, tried again while Chatwoot is busy or away."""

from __future__ import annotations

from typing import Any

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_random_exponential

_TIMEOUT_S = 10
_TRY_FOR_S = 300
_MOST_WAIT_S = 30
FIRST_WAIT_S = 1.0


class ChatwootApi:
    """Writes messages and changes states in conversations."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"{url}/api/v1/", headers={"api_access_token": token}, timeout=_TIMEOUT_S
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def say(self, account: int, conversation: int, text: str, choices: tuple[str, ...] = ()) -> None:
        """Write a message to the customer, with buttons if there are choices.

        Raises:
            httpx.HTTPError: Chatwoot refuses it, or has not been there for five minutes.
        """
        message: dict[str, Any] = {"content": text, "message_type": "outgoing", "private": False}
        if choices:
            items = [{"title": choice, "value": choice} for choice in choices]
            message |= {"content_type": "input_select", "content_attributes": {"items": items}}
        await self._post(account, conversation, "messages", message)

    async def note(self, account: int, conversation: int, text: str) -> None:
        """Write a private note to the team.

        Raises:
            httpx.HTTPError: as of `say`.
        """
        message = {"content": text, "message_type": "outgoing", "private": True}
        await self._post(account, conversation, "messages", message)

    async def open(self, account: int, conversation: int) -> None:
        """Hand a conversation to the team.

        Raises:
            httpx.HTTPError: as of `say`.
        """
        await self._post(account, conversation, "toggle_status", {"status": "open"})

    async def _post(self, account: int, conversation: int, what: str, body: dict[str, Any]) -> None:
        path = f"accounts/{account}/conversations/{conversation}/{what}"
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_may_pass), stop=stop_after_delay(_TRY_FOR_S), wait=_wait, reraise=True
        ):
            with attempt:
                (await self._client.post(path, json=body)).raise_for_status()


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == httpx.codes.TOO_MANY_REQUESTS or error.response.is_server_error
    return isinstance(error, httpx.TransportError)


def _wait(state: RetryCallState) -> float:
    """Return the seconds to wait: what Chatwoot says, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    told = error.response.headers.get("retry-after", "") if isinstance(error, httpx.HTTPStatusError) else ""
    if told.isdecimal():
        return float(min(int(told), _MOST_WAIT_S))
    return wait_random_exponential(FIRST_WAIT_S, _MOST_WAIT_S)(state)
