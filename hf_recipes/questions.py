"""Questions about texts, for several tasks: what is asked, and which of them are not independent."""

import re
from collections.abc import Sequence

KINDS = ("how many", "how much", "how", "who", "whose", "when", "where", "which", "what", "why")
MANY_ARTICLES = 20  # with fewer, each context is an article of its own


def kind_of(question: str) -> str:
    """The question word that stands first in the question, of `KINDS`."""
    words = f" {' '.join(re.findall(r'[a-z]+', question.lower()))} "
    found = [(words.find(f" {kind} "), -len(kind), kind) for kind in KINDS if f" {kind} " in words]
    return min(found)[2] if found else "other"


def articles_of(titles: Sequence[str | None], contexts: Sequence[str]) -> list[str]:
    """The title of the article that each question is about; where it is missing, that of another question of the same context, or else the
    context; the contexts alone where articles are few. Questions of one article are not independent."""
    known = {context: title for title, context in zip(titles, contexts) if title}
    articles = [title or known.get(context, context) for title, context in zip(titles, contexts)]
    return articles if len(set(articles)) >= MANY_ARTICLES else list(contexts)
