"""Texts to ask about: files, folders and addresses, each as one normalised text with its sections."""

import hashlib
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import regex
from huggingface_hub import snapshot_download
from huggingface_hub.utils import httpx

SUFFIXES = (".txt", ".md", ".markdown", ".html", ".htm")
# what Project Gutenberg puts around a book
START, END = r"\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG[^\n]*\n", r"\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG"
HEADING = regex.compile(
    r"(?:chapter|book|part|act|scene|canto|letter|stave)\s+(?:[ivxlcdm]+|\d+|one|two|three|four|five|six|seven|eight|nine|ten)\b.{0,80}",
    regex.IGNORECASE,
)
EMPHASIS = regex.compile(r"(?<![\p{L}\p{N}_])_(?=\S)([^_]+)(?<=\S)_(?![\p{L}\p{N}_])")
LEAST_WRAPPED, MOST_WRAPPED = 40, 100  # letters of the lines of a paragraph that is wrapped by hand
MOST_BYTES = 400_000_000


class Document(NamedTuple):
    """A text.

    Args:
        name: file name or address.
        text: normalised: Unicode NFC, lines of a paragraph joined, an empty line between paragraphs, without what Project Gutenberg puts
            around a book and without `_` for emphasis.
        sections: title and place of the first character of each; the first begins at 0, and titles may be empty.
    """

    name: str
    text: str
    sections: list[tuple[str, int]]

    @property
    def digest(self) -> str:
        """Of the text, by which places in it can be trusted."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def spans(self) -> list[tuple[str, int, int]]:
        """Title, start and end of each section; together they are the whole text."""
        starts = [start for _, start in self.sections]
        return [(title, start, end) for (title, start), end in zip(self.sections, [*starts[1:], len(self.text)])]


def load_documents(source: str, revision: str | None = None) -> list[Document]:
    """The texts of a file, of a folder (those of its files that are plain text, Markdown or HTML, in the order of their names), of an address,
    or of a data set on the Hub that holds such files; `revision` is the branch, tag or commit of that.

    Raises:
        FileNotFoundError: when there is no such file, folder, page or data set.
        ValueError: when a file is empty, too large, or no text.
    """
    if not source.strip():
        raise ValueError("no text is named; give a file, a folder, an address or the id of a data set")
    if source.startswith(("http://", "https://")):
        return [parse(source.rsplit("/", 1)[-1] or source, download(source))]
    path, about = Path(source), None
    if not path.exists() and regex.fullmatch(r"[\w.-]+/[\w.-]+", source):
        path = fetch(source, revision)
        about = path / "README.md"  # of the data set, and none of its texts
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file != about)
        if not files:
            raise FileNotFoundError(f"the folder {source} holds no text ({', '.join(SUFFIXES)})")
        return [load_file(file, str(file.relative_to(path))) for file in files]
    if not path.is_file():
        raise FileNotFoundError(f"no such file or folder: {source}")
    return [load_file(path, path.name)]


def fetch(dataset: str, revision: str | None) -> Path:
    """The folder of the texts of a data set on the Hub."""
    try:
        patterns = [f"*{suffix}" for suffix in SUFFIXES]
        return Path(snapshot_download(dataset, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except (OSError, httpx.HTTPError) as error:
        raise FileNotFoundError(
            f"{dataset} is no file or folder here, and no data set that the Hub gives out ({' '.join(str(error).split())[:200]})"
        ) from error


def load_file(path: Path, name: str) -> Document:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(
            f"{path} has {size / 1e6:.0f} MB; at most {MOST_BYTES / 1e6:.0f} are read as one text, so cut it into files"
        )
    return parse(name, path.read_bytes())


def download(address: str) -> bytes:
    try:
        response = httpx.get(address, follow_redirects=True, timeout=60)
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise FileNotFoundError(
            f"{address} cannot be read ({error or type(error).__name__}); without a network, give a file that you have"
        ) from error
    return response.content


def parse(name: str, data: bytes) -> Document:
    """A document from the bytes of a file.

    Raises:
        ValueError: when it is no text, or none is in it.
    """
    if b"\0" in data[:8000]:
        raise ValueError(f"{name} is a binary file; give plain text, Markdown or HTML")
    try:
        raw = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        try:
            raw = data.decode("cp1252")
        except UnicodeDecodeError:
            raise ValueError(f"{name} is not UTF-8: {error}") from error
    raw = unicodedata.normalize("NFC", raw.replace("\r\n", "\n").replace("\r", "\n"))
    suffix = Path(name).suffix.lower()
    if suffix in (".html", ".htm") or raw.lstrip()[:15].lower().startswith(("<!doctype html", "<html")):
        blocks = read_html(raw)
    elif suffix in (".md", ".markdown"):
        blocks = read_markdown(raw)
    else:
        blocks = read_plain(raw)
    text, sections = join_blocks(blocks)
    if not text.strip():
        raise ValueError(f"{name} holds no text")
    return Document(name, text, sections)


def join_blocks(blocks: list[tuple[str, bool]]) -> tuple[str, list[tuple[str, int]]]:
    """The text of paragraphs, of which some are headings, and its sections: a heading and what follows; two headings in a row are one."""
    between, sections, start, after_heading = "\n\n", [], 0, False
    for block, is_heading in blocks:
        title = " ".join(block.split())
        if is_heading and after_heading:
            sections[-1] = (f"{sections[-1][0]}: {title}", sections[-1][1])
        elif is_heading or not sections:
            sections.append((title if is_heading else "", start))
        start, after_heading = start + len(block) + len(between), is_heading
    return between.join(block for block, _ in blocks), sections


# -- formats ---------------------------------------------------------------------------------------
def read_plain(raw: str) -> list[tuple[str, bool]]:
    """Paragraphs of plain text. A line such as CHAPTER IV is a heading, and one in capitals right after it belongs to it."""
    found = regex.search(START, raw)
    raw = raw[found.end() :] if found else raw
    found = regex.search(END, raw)
    raw = raw[: found.start()] if found else raw
    blocks: list[tuple[str, bool]] = []
    for paragraph in regex.split(r"\n(?:[^\S\n]*\n)+", raw):
        lines = [line.rstrip() for line in paragraph.split("\n") if line.strip()]
        if not lines:
            continue
        block = EMPHASIS.sub(r"\1", unwrap(lines))
        title = " ".join(block.split())
        is_heading = HEADING.fullmatch(title) is not None
        if blocks and blocks[-1][1] and HEADING.fullmatch(" ".join(blocks[-1][0].split())):
            is_heading = is_heading or (title.isupper() and len(title) < 200)
        blocks.append((block, is_heading))
    return blocks


def unwrap(lines: list[str]) -> str:
    """The lines of a paragraph in one, if they were wrapped by hand; verses and lists keep theirs."""
    if all(line.startswith("  ") for line in lines) or len(lines) == 1:
        indent = min(len(line) - len(line.lstrip()) for line in lines)
        return "\n".join(line[indent:] for line in lines)
    wrapped = all(len(line) >= LEAST_WRAPPED for line in lines[:-1]) and max(map(len, lines)) <= MOST_WRAPPED
    return " ".join(line.strip() for line in lines) if wrapped else "\n".join(lines)


def read_markdown(raw: str) -> list[tuple[str, bool]]:
    """Paragraphs of Markdown; the marks of headings go, other marks stay. What stands in fences is kept as it is."""
    blocks, fenced = [], False
    for paragraph in regex.split(r"\n(?:[^\S\n]*\n)+", raw.strip("\n")):
        lines = paragraph.split("\n")
        first = regex.fullmatch(r"#{1,6}\s+(.*?)\s*#*", lines[0])
        if first and not fenced:
            blocks.append((first[1], True))
            lines = lines[1:]
        fenced ^= sum(line.lstrip().startswith(("```", "~~~")) for line in lines) % 2 == 1
        if any(line.strip() for line in lines):
            blocks.append(("\n".join(line.rstrip() for line in lines), False))
    return blocks


class Blocks(HTMLParser):
    """Collects the paragraphs of a page, and which of them are headings."""

    ENDING = frozenset(
        [
            "p",
            "div",
            "li",
            "tr",
            "br",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "blockquote",
            "pre",
            "section",
            "article",
            "table",
            "ul",
            "ol",
            "dd",
            "dt",
            "hr",
            "body",
        ]
    )
    SKIPPED = frozenset(["script", "style", "head", "nav", "noscript", "template"])
    HEADINGS = frozenset(["h1", "h2", "h3"])

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.blocks: list[tuple[str, bool]] = []
        self.words, self.skipped, self.heading = "", 0, False

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag in self.ENDING:
            self.end_block()
        self.skipped += tag in self.SKIPPED
        self.heading = self.heading or tag in self.HEADINGS

    def handle_endtag(self, tag: str) -> None:
        if tag in self.ENDING:
            self.end_block()
        self.skipped = max(0, self.skipped - (tag in self.SKIPPED))
        if tag in self.HEADINGS:
            self.heading = False

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.words += data

    def end_block(self) -> None:
        block = " ".join(self.words.split())
        if block:
            self.blocks.append((block, self.heading))
        self.words = ""


def read_html(raw: str) -> list[tuple[str, bool]]:
    """Paragraphs of a page, without scripts and navigation, and without what Project Gutenberg writes around a book; `h1` to `h3` are
    headings."""
    parser = Blocks()
    parser.feed(raw)
    parser.close()
    parser.end_block()
    blocks = parser.blocks
    first = next((place + 1 for place, (text, _) in enumerate(blocks) if regex.search(START, f"{text}\n")), 0)
    last = next((place for place, (text, _) in enumerate(blocks) if regex.search(END, text)), len(blocks))
    return blocks[first:last]
