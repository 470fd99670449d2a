"""Help-centre files into articles."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.knowledge import split_article
from retrieval.loaders import ArticleError, load_article


def test_a_page_becomes_an_article_with_the_pages_title(tmp_path: Path) -> None:
    file = tmp_path / "Returns & Refunds.html"
    file.write_text(
        "<html><head><title>Sending it back</title></head>"
        "<body><p>Within  60 days.</p>\n\n\n<p>Free — é.</p></body></html>",
        encoding="utf-8",
    )
    slug, markdown = load_article(file)
    (passage,) = split_article(slug, markdown)
    assert (passage.article, passage.title) == ("returns-refunds", "Sending it back")
    assert "Within 60 days." in passage.text
    assert "Free — é." in passage.text


def test_a_text_file_gets_its_title_from_its_name(tmp_path: Path) -> None:
    (tmp_path / "gift_cards-2.txt").write_text("They never expire.\n")
    assert load_article(tmp_path / "gift_cards-2.txt") == ("gift-cards-2", "# Gift cards 2\n\nThey never expire.\n")


def test_an_article_that_has_a_title_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "x.MD").write_text("# Gift cards\n\nThey never expire.\n\n## Balance\n\nAsk us.")
    assert load_article(tmp_path / "x.MD") == ("x", "# Gift cards\n\nThey never expire.\n\n## Balance\n\nAsk us.\n")


def test_a_name_never_becomes_a_path(tmp_path: Path) -> None:
    (tmp_path / "..%2F.é.txt").write_text("Hello.")
    slug, _ = load_article(tmp_path / "..%2F.é.txt")
    assert slug.replace("-", "").isalnum()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prices.pdf").write_bytes(b"%PDF")
    with pytest.raises(ArticleError, match=r"prices\.pdf cannot be read: give \.html, \.txt or \.md files"):
        load_article(tmp_path / "prices.pdf")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no file .*gone\.md"):
        load_article(tmp_path / "gone.md")
