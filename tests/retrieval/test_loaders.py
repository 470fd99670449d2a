"""Help-centre files become articles that a desk can read, and what cannot is refused with one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.knowledge import split_article
from retrieval.loaders import ArticleError, load_article

PAGE = """<!doctype html>
<html><head><title>Returns | Our shop</title><style>p { color: red }</style></head>
<body>
<nav><a href="/">Home</a> <a href="/help">Help</a></nav>
<header><h1>Returning
  an item</h1></header>
<p>You have <b>30</b> days
to send it back.</p>
<h2>How it works</h2>
<ol><li>Pack it.</li><li>Stick the <a href="/label">label</a> on.</li></ol>
<h3>What it costs</h3>
<p>Nothing.<br>Really.</p>
<script>alert("boo")</script>
<footer>Terms and conditions</footer>
</body></html>
"""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_page_becomes_an_article_with_its_title_and_headings(tmp_path: Path) -> None:
    slug, markdown = load_article(write(tmp_path, "Returning_Items.HTML", PAGE))

    passages = split_article(slug, markdown)

    assert slug == "returning-items"
    assert markdown.startswith("# Returning an item\n")
    assert [passage.heading for passage in passages] == ["", "How it works", "What it costs"]
    assert passages[0].text == "You have 30 days to send it back."
    assert passages[1].text == "- Pack it.\n- Stick the label on."
    assert passages[2].text == "Nothing.\nReally."


def test_a_pages_menus_scripts_and_footer_are_left_out(tmp_path: Path) -> None:
    _, markdown = load_article(write(tmp_path, "returns.html", PAGE))

    for furniture in ("Home", "color", "boo", "Terms", "<", "Our shop"):
        assert furniture not in markdown


def test_a_page_without_a_heading_is_called_by_its_title(tmp_path: Path) -> None:
    _, markdown = load_article(write(tmp_path, "x.htm", "<title>Opening hours</title><p>From 9 to 5.</p>"))

    assert markdown == "# Opening hours\n\nFrom 9 to 5.\n"


def test_a_text_is_called_by_its_file(tmp_path: Path) -> None:
    slug, markdown = load_article(write(tmp_path, "gift_cards.txt", "\n\nThey last   five years.\n\n\n\nEach.\n"))

    assert slug == "gift-cards"
    assert markdown == "# Gift cards\n\nThey last five years.\n\nEach.\n"


def test_an_article_stays_as_it_is(tmp_path: Path) -> None:
    text = "# Gift cards\n\n## How long they last\nFive years.\n"

    assert load_article(write(tmp_path, "gift-cards.md", text))[1] == text


def test_a_byte_order_mark_is_not_part_of_the_title(tmp_path: Path) -> None:
    assert load_article(write(tmp_path, "a.md", "\ufeff# Title\n\nText.\n"))[1] == "# Title\n\nText.\n"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("scan.pdf", b"%PDF-1.7", r"scan\.pdf cannot be read\. Give \.html"),
        ("latin.txt", b"caf\xe9", r"latin\.txt is not UTF-8\. Save it again"),
        ("latin.html", b"<p>caf\xe9</p>", r"latin\.html is not UTF-8\. Save it again"),
        ("empty.txt", b" \n\n", r"empty\.txt holds no text"),
        ("empty.html", b"<h1>Only a title</h1>", r"empty\.html holds no text"),
        ("title.md", b"# Only a title\n", r"title\.md holds no text"),
    ],
)
def test_a_file_that_is_no_article_is_refused(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ArticleError, match=what):
        load_article(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArticleError, match=r"There is no file .*nothing\.txt"):
        load_article(tmp_path / "nothing.txt")
