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
    with pytest.raises(ArticleError, match=r"prices\.pdf cannot be read\. Give \.html"):
        load_article(tmp_path / "prices.pdf")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArticleError, match=r"There is no file .*gone\.md"):
        load_article(tmp_path / "gone.md")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "menu.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(ArticleError, match=r"menu\.txt is not UTF-8\. Save it again"):
        load_article(tmp_path / "menu.txt")


@pytest.mark.parametrize("content", ["", " \n\n", "# Only a title\n"])
def test_a_file_without_text_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "empty.md").write_text(content)
    with pytest.raises(ArticleError, match=r"empty\.md holds no text"):
        load_article(tmp_path / "empty.md")


def test_a_pages_headings_divide_it_and_its_furniture_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "tents.html").write_text(
        "<title>Shop</title><nav>Home</nav><script>track()</script><h1>Tents</h1><p>We sell two.</p>"
        "<h2>Care</h2><ul><li>Dry it.</li><li>Air it.</li></ul><footer>Imprint</footer>"
    )
    passages = split_article(*load_article(tmp_path / "tents.html"))
    assert [(one.title, one.heading, one.text.split("\n")) for one in passages] == [
        ("Tents", "", ["We sell two."]),
        ("Tents", "Care", ["- Dry it.", "- Air it."]),
    ]
