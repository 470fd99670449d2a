"""Help-centre files into articles: the one place that uses langchain-community, whose loaders are no longer developed."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from langchain_core.document_loaders import BaseLoader


class UnknownFormat(ValueError):
    """A file has an ending that no loader reads."""


def load_article(file: Path) -> tuple[str, str]:
    """Return the slug and the markdown of a help-centre file (.html, .htm, .txt or .md).

    Raises:
        UnknownFormat: the file has another ending.
        FileNotFoundError: there is no such file.
    """
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    document = _loader(file).load()[0]
    title = str(document.metadata.get("title") or file.stem.replace("-", " ").replace("_", " ").capitalize()).strip()
    text = re.sub(r"[ \t]+", " ", document.page_content)
    text = re.sub(r"\s*\n\s*\n\s*", "\n\n", text).strip()
    slug = re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-") or "article"
    return slug, text + "\n" if text.startswith("# ") else f"# {title}\n\n{text}\n"


def _loader(file: Path) -> BaseLoader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its own retirement
        from langchain_community.document_loaders import BSHTMLLoader, TextLoader
    ending = file.suffix.lower()
    if ending in (".html", ".htm"):
        # The standard library's parser: lxml is one more dependency for nothing.
        return BSHTMLLoader(str(file), open_encoding="utf-8", bs_kwargs={"features": "html.parser"})
    if ending in (".txt", ".md"):
        return TextLoader(str(file), encoding="utf-8")
    raise UnknownFormat(f"{file} cannot be read: give .html, .txt or .md files.")
