import pytest

from hf_recipes.rag.documents import load_documents, parse

BOOK = """The Project Gutenberg eBook of A Walk

*** START OF THE PROJECT GUTENBERG EBOOK A WALK ***

                              CHAPTER I

                    IN WHICH A WALK BEGINS
                       AND IS INTERRUPTED

It was a _very_ fine morning when the three of us set out along the
river, and nobody had thought of bringing an umbrella--_nobody at
all_--which was snake_case of us.

    Left, right, left,
      the goat ate the _map_,
    what a theft!

                              CHAPTER II

It rained.

*** END OF THE PROJECT GUTENBERG EBOOK A WALK ***
Licence.
"""


def test_a_book_loses_what_is_around_it_and_its_wrapping(tmp_path):
    file = tmp_path / "walk.txt"
    file.write_bytes(b"\xef\xbb\xbf" + BOOK.replace("\n", "\r\n").encode())
    (document,) = load_documents(str(file))
    assert document.name == "walk.txt" and document.text == (
        "CHAPTER I\n\nIN WHICH A WALK BEGINS\n   AND IS INTERRUPTED\n\n"
        "It was a very fine morning when the three of us set out along the river, and nobody had thought of bringing an umbrella--nobody "
        "at all--which was snake_case of us.\n\nLeft, right, left,\n  the goat ate the map,\nwhat a theft!\n\nCHAPTER II\n\nIt rained."
    )
    titles = [title for title, *_ in document.spans()]
    assert titles == ["CHAPTER I: IN WHICH A WALK BEGINS AND IS INTERRUPTED", "CHAPTER II"]
    assert "".join(document.text[start:end] for _, start, end in document.spans()) == document.text


def test_markdown_and_pages_have_their_headings():
    markdown = parse(
        "a.md",
        b"Before.\n\n# One\n\nText of *one*.\n\n```\n# no heading\n\n# neither\n```\n\n## Two ##\nText of two.\n",
    )
    assert [title for title, _ in markdown.sections] == ["", "One", "Two"] and "# neither" in markdown.text
    page = parse(
        "a.html",
        b"<html><head><title>T</title><style>p{}</style></head><body><nav>Menu</nav><h1>One &amp; all</h1><p>First <b>words</b>.</p>"
        b"<script>x()</script><ul><li>a</li><li>b</li></ul><h2>Two</h2>tail</body></html>",
    )
    assert page.text == "One & all\n\nFirst words.\n\na\n\nb\n\nTwo\n\ntail"
    assert [title for title, _ in page.sections] == ["One & all", "Two"]
    around = parse(
        "b.html",
        b"<body><p>Licence</p><div>*** START OF THE PROJECT GUTENBERG EBOOK X ***</div><h2>One</h2><p>Text.</p>"
        b"<div>*** END OF THE PROJECT GUTENBERG EBOOK X ***</div><p>More of the licence</p></body>",
    )
    assert around.text == "One\n\nText."


def test_folders_hold_their_texts_in_order(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.md", "sub/c.html", "d.png"):
        (tmp_path / name).write_text(f"<p>{name}</p>")
    assert [document.name for document in load_documents(str(tmp_path))] == ["a.md", "b.txt", "sub/c.html"]


def test_the_digest_is_that_of_the_text():
    first, same, other = (parse("a.txt", text) for text in (b"One line.", b"One line.\r\n", b"One  line."))
    assert first.digest == same.digest != other.digest


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.txt holds no text"),
        (b" \n\n ", "a.txt holds no text"),
        (b"\x89PNG\0\0", "a.txt is a binary file; give plain text, Markdown or HTML"),
        (b"caf\x81", "a.txt is not UTF-8"),
    ],
)
def test_what_is_no_text_is_named(data, message, tmp_path):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        load_documents(str(tmp_path / "a.txt"))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        load_documents(str(tmp_path / "nothing.txt"))
    with pytest.raises(FileNotFoundError, match="holds no text"):
        load_documents(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"without a network, give a file that you have"):
        load_documents("http://127.0.0.1:9/book.txt")
