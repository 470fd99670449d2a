"""Text as text: what a person typed or a desk wrote, shown on a page and never interpreted by it."""

from __future__ import annotations

import re

from bot.turn import Reply, Source

_SPECIAL = re.compile(r"[^\w\s]|_")
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)


def plain(text: str) -> str:
    """Return text so that a markdown renderer shows it letter by letter: every mark becomes a character reference."""
    escaped = _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", text)
    escaped = _INDENT.sub(lambda match: "&nbsp;" * len(match[0]), escaped)
    # All on one line: the renderer makes a break of each newline as well, and a list of what looks like one.
    return escaped.replace("\r\n", "\n").replace("\n", "<br>")


def source_line(sources: tuple[Source, ...] | list[Source]) -> str:
    """Return the sources of a reply as one small line of HTML, empty without any."""
    parts = [part for part in map(_source, sources) if part]
    return f'<div class="sources">{" · ".join(dict.fromkeys(parts))}</div>' if parts else ""


def _source(source: Source) -> str:
    title = plain(source.title)
    if source.kind == "article":
        return f'Help page: <a href="{source.url}" target="_blank" rel="noopener">{title}</a>'
    if source.kind == "tool":
        return f"Looked up just now: {title}"
    if source.kind == "fact":
        return f"You told me on {day(source.at)}: {title}"
    if source.kind == "turn":
        return f"Our chat of {day(source.at)}"
    return f"Approved answer: {title}"


def day(moment: str) -> str:
    """Return the date of an ISO 8601 time as people write it: `3 May 2026`."""
    from datetime import datetime

    at = datetime.fromisoformat(moment)
    return f"{at.day} {at:%B %Y}"


def reply_markup(reply: Reply) -> str:
    """Return a reply with its sources, ready for a markdown renderer."""
    return plain(reply.text) + source_line(reply.sources)
