import pytest

from hf_recipes.answers import AnswerScores, f1_of_words, normalize, score_answer
from hf_recipes.questions import articles_of


def test_texts_are_normalised_as_squads_script_does():
    assert normalize("The  Eiffel-Tower's, a view!") == "eiffeltowers view"
    assert normalize("An apple—or “pear”") == "apple—or “pear”"  # only ASCII punctuation goes
    assert normalize("theatre another") == "theatre another"  # articles are whole words


def test_f1_counts_shared_words():
    assert f1_of_words("in the city of Rome", "Rome") == pytest.approx(2 * 1 / (4 + 1))
    assert f1_of_words("Rome Rome", "Rome") == pytest.approx(2 / 3)  # each word once
    assert f1_of_words("Oslo", "Rome") == 0 and f1_of_words("the", "the") == 0  # as the script: articles are nothing


def test_the_best_of_several_answers_counts():
    assert score_answer("The year 1912", ["1912", "year 1912", "April"]) == (1.0, 1.0)
    exact, f1 = score_answer("in 1912", ["1912", "April 1912"])
    assert exact == 0 and f1 == pytest.approx(2 / 3)


def test_no_answer_is_right_where_there_is_none():
    assert score_answer("", []) == (1.0, 1.0) and score_answer("Rome", []) == (0.0, 0.0)


def test_the_metric_gives_percent():
    scores = AnswerScores().compute(predictions=["Rome", "in Oslo", ""], references=[["Rome"], ["Oslo"], []])
    assert scores == pytest.approx({"exact_match": 200 / 3, "f1": 100 * (1 + 2 / 3 + 1) / 3})


def test_a_question_without_a_title_is_of_the_article_of_its_context():
    titles = [f"article {number}" for number in range(25)] + [None, None, ""]
    contexts = [f"context {number}" for number in range(25)] + ["context 3", "another", "context 24"]
    articles = articles_of(titles, contexts)
    assert articles[25:] == ["article 3", "another", "article 24"] and articles[:25] == titles[:25]
    assert articles_of(["one", None], ["a", "a"]) == ["a", "a"]  # few articles: contexts
