"""Help-centre files into articles: the one place that uses langchain-community, which is no longer developed."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from retrieval.knowledge import split_article

_HTML = (".html", ".htm")
_ENDINGS = (*_HTML, ".txt", ".md")
_FURNITURE = ("script", "style", "nav", "footer", "header", "form", "noscript", "template")  # no part of the article
_BLOCKS = ("p", "div", "section", "article", "ul", "ol", "table", "tr", "blockquote", "pre", "dt", "dd")


class ArticleError(Exception):
    """A file cannot be made into an article; the message says why and what to do."""


def load_article(file: Path) -> tuple[str, str]:
    """Return the slug and the markdown of a help-centre file (.html, .htm, .txt or .md).

    Raises:
        ArticleError: there is no such file, it has another ending, is not UTF-8 or holds no text.
    """
    content = _read(file)
    title, text = _from_html(content) if file.suffix.lower() in _HTML else ("", content)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" *\n *", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    slug = re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-") or "article"
    if not text.startswith("# "):
        title = title or re.sub(r"[-_]+", " ", file.stem).strip().capitalize()
        text = f"# {title}\n\n{text}"
    try:
        split_article(slug, text)
    except ValueError:
        raise ArticleError(f"{file} holds no text. Leave it out, or give a file with text.") from None
    return slug, text.strip() + "\n"


def _read(file: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its own retirement
        from langchain_community.document_loaders import TextLoader
    if file.suffix.lower() not in _ENDINGS:
        raise ArticleError(f"{file} cannot be read. Give {', '.join(_ENDINGS)} files.")
    if not file.is_file():
        raise ArticleError(f"There is no file {file}. Check its name.")
    try:
        return TextLoader(file, encoding="utf-8-sig").load()[0].page_content
    except RuntimeError as error:  # the loader's own wrapping of whatever went wrong
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise ArticleError(f"{file} cannot be read ({error.__cause__}). Check its permissions.") from error
        raise ArticleError(f"{file} is not UTF-8. Save it again with the encoding UTF-8.") from error


def _from_html(html: str) -> tuple[str, str]:
    """Return the title and the markdown of a page: its headings, paragraphs and lists, without its furniture."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")  # the standard library's: lxml is one more dependency for nothing
    heading = soup.find("h1") or soup.find("title")
    title = " ".join(heading.get_text().split()) if heading else ""
    for tag in soup([*_FURNITURE, "h1", "title"]):
        tag.decompose()
    for node in soup.find_all(string=True):
        if node.find_parent("pre") is None:
            node.replace_with(re.sub(r"\s+", " ", node))
    for tag in soup(re.compile(r"^h[2-6]$")):
        tag.replace_with(f"\n\n## {' '.join(tag.get_text().split())}\n\n")
    for tag in soup("br"):
        tag.replace_with("\n")
    for tag in soup("li"):
        tag.insert(0, "\n- ")
    for tag in soup(_BLOCKS):
        edge = "\n" if tag.name in ("tr", "dd") else "\n\n"
        tag.insert_before(edge)
        tag.append(edge)
    return title, (soup.body or soup).get_text()
