"""Bodies of messages: HTML as text, attachments by name."""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNSEEN = "script, style, head, template, .gmail_quote, blockquote[type=cite], .moz-cite-prefix, .yahoo_quoted"
_BLOCKS = ("p", "div", "ul", "ol", "table", "tr", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6")


def text_of(html: str) -> str:
    """Return what a reader sees of an HTML body, without earlier mails that it quotes."""
    if "<" not in html and "&" not in html:
        return html.strip()
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    for tag in soup.select(_UNSEEN):
        tag.decompose()
    for node in soup.find_all(string=True):
        if node.find_parent("pre") is None:
            node.replace_with(re.sub(r"\s+", " ", node))
    for tag in soup("br"):
        tag.replace_with("\n")
    for tag in soup("li"):
        tag.insert(0, "\n- ")
    for tag in soup(_BLOCKS):
        tag.insert_before("\n")
        tag.append("\n")
    lines = (" ".join(line.split()) for line in soup.get_text().splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def with_attachments(text: str, names: Iterable[str | None]) -> str:
    """Return a text with a line for each file that came with it."""
    return "\n".join([text, *(f"[attachment: {name or 'a file'}]" for name in names)]).strip()
