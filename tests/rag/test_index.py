import shutil

import faiss
import numpy as np
import pytest
from conftest import hub_env, run_python
from hub import running_hub
from rag_rows import make_story, save_embedder
from sentence_transformers import SentenceTransformer

from hf_recipes import PassageIndex
from hf_recipes.rag.documents import Document
from hf_recipes.rag.vectors import make_vectors, measure_recall

QUESTION = "Who put the lantern in the attic?"


@pytest.fixture(scope="module")
def index(stories, embedder) -> PassageIndex:
    return PassageIndex.build(stories, embedder=str(embedder), kind="sentences", size=1, overlap=0)


def test_hits_are_spans_of_their_documents(index, stories):
    by_name = {document.name: document for document in stories}
    for method in ("dense", "bm25", "hybrid"):
        hits = index.search(QUESTION, k=4, method=method)
        assert len(hits) == 4 and [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        for hit in hits:
            document = by_name[hit.document]
            assert document.text[hit.start : hit.end] == hit.text and set(hit.stages) >= {method}
            (section,) = (title for title, start, end in document.spans() if start <= hit.start < end)
            assert hit.section == section


def test_vectors_find_what_a_loop_over_all_does(index):
    vectors, query = index.vectors.reconstruct_n(0, index.vectors.ntotal), index.embedder.encode_query([QUESTION])[0]
    scores = vectors @ (query / np.linalg.norm(query))
    hits = index.search(QUESTION, k=10)
    assert np.allclose([hit.score for hit in hits], np.sort(scores)[::-1][:10], atol=1e-5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_words_are_found_by_bm25_and_both_by_ranks(index):
    rare = index.passages["text"][7].split()
    best = index.search(" ".join(rare), k=1, method="bm25")[0]
    assert best.text.split() == rare
    assert index.search("zebra", method="bm25") == []
    hits = index.search(QUESTION, k=6, method="hybrid", pool=6)
    places = {name: [hit.row for hit in index.search(QUESTION, k=6, method=name)] for name in ("dense", "bm25")}
    few = index.search(QUESTION, k=6, method="hybrid", pool=6, rank_constant=1)
    for constant, found in ((60, hits), (1, few)):
        for hit in found:
            expected = sum(1 / (constant + 1 + rows.index(hit.row)) for rows in places.values() if hit.row in rows)
            assert hit.score == pytest.approx(expected)


def test_passages_are_searched_with_the_titles_of_their_sections(stories, embedder, tmp_path):
    options = {"embedder": str(embedder), "kind": "sentences", "size": 1, "overlap": 0}
    document = Document(
        "a", stories[0].text, [(title.replace("CHAPTER I", "ATTIC"), at) for title, at in stories[0].sections]
    )
    without, with_titles = (PassageIndex.build([document], titles=titles, **options) for titles in (False, True))
    assert without.passages.to_dict() == with_titles.passages.to_dict()
    first = with_titles.passages[0]
    (vector,) = with_titles.embed([f"ATTIC\n{first['text']}"])
    assert vector @ with_titles.vectors.reconstruct(0) == pytest.approx(1, abs=1e-5)
    assert vector @ without.vectors.reconstruct(0) < 0.99
    assert len(with_titles.search("attic", 99, method="bm25")) > len(without.search("attic", 99, method="bm25"))
    with_titles.save_pretrained(tmp_path / "index")
    with pytest.raises(ValueError, match="made with titles True, not False"):
        PassageIndex.from_pretrained(tmp_path / "index").check_made_by(titles=False)


def test_an_index_goes_on_without_the_folder_of_its_embedder(index, embedder, tmp_path):
    shutil.copytree(embedder, tmp_path / "words")
    moved = PassageIndex.build([make_story("a", 1)], embedder=str(tmp_path / "words"))
    with pytest.raises(ValueError, match="is a folder of this machine"):
        moved.push_to_hub("local/stories", tmp_path / "pushed")
    moved.save_pretrained(tmp_path / "index")
    shutil.rmtree(tmp_path / "words")
    with pytest.raises(FileNotFoundError, match="cannot be loaded from there; give it as `embedder`"):
        PassageIndex.from_pretrained(tmp_path / "index")
    found = PassageIndex.from_pretrained(tmp_path / "index", embedder=SentenceTransformer(str(embedder)))
    assert [hit.row for hit in found.search(QUESTION)] == [hit.row for hit in moved.search(QUESTION)]


def test_passages_can_be_ordered_anew_and_spread(index):
    backwards = index.search(QUESTION, k=3, rerank=lambda question, texts: -np.arange(len(texts))[::-1], pool=10)
    forwards = index.search(QUESTION, k=10)
    assert [hit.row for hit in backwards] == [hit.row for hit in forwards][::-1][:3]
    near = index.search(QUESTION, k=3, relevance=1.0)
    assert [hit.row for hit in near] == [hit.row for hit in forwards][:3]
    spread = index.search(QUESTION, k=3, relevance=0.3)

    def likeness(hits):
        vectors = np.stack([index.vectors.reconstruct(hit.row) for hit in hits])
        return (vectors @ vectors.T)[np.triu_indices(3, 1)].mean()

    assert spread[0].row == near[0].row and likeness(spread) < likeness(near)


@pytest.mark.parametrize("factory", ["Flat", "HNSW32"])
def test_documents_come_and_go(stories, embedder, factory, tmp_path):
    index = PassageIndex.build(
        stories[:1], embedder=str(embedder), kind="sentences", size=1, overlap=0, factory=factory
    )
    index.add(stories[1:])
    both = len(index.passages)
    assert {hit.document for hit in index.search(QUESTION, k=both)} == {"first.txt", "second.txt"}
    index.delete("first.txt")
    for method in ("dense", "bm25", "hybrid"):
        assert {hit.document for hit in index.search(QUESTION, k=both, method=method)} == {"second.txt"}
    before = [hit.text for hit in index.search(QUESTION, k=5)]
    index.save_pretrained(tmp_path)
    again = PassageIndex.from_pretrained(tmp_path)
    assert len(again.passages) < both and again.vectors.ntotal == len(again.passages)
    assert [hit.text for hit in again.search(QUESTION, k=5)] == before
    again.add([make_story("third.txt", 3)])  # also to an index that is mapped into memory
    assert "third.txt" in {hit.document for hit in again.search(QUESTION, k=len(again.passages))}
    with pytest.raises(KeyError, match=r"no document 'first\.txt'; it has second\.txt"):
        index.delete("first.txt")
    with pytest.raises(ValueError, match=r"two of the name third\.txt; delete the one first"):
        again.add([make_story("third.txt", 4)])


def test_what_is_saved_comes_back_and_holds_no_pickle(index, tmp_path):
    index.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet", ".faiss", ".json", ".md"}
    again = PassageIndex.from_pretrained(tmp_path)
    assert again.config == index.config and again.passages[:] == index.passages[:]
    for method in ("dense", "bm25", "hybrid"):
        ours, theirs = (each.search(QUESTION, k=5, method=method) for each in (index, again))
        assert [hit.row for hit in ours] == [hit.row for hit in theirs]
        assert [hit.score for hit in ours] == pytest.approx([hit.score for hit in theirs], abs=1e-5)


def test_an_index_of_another_embedder_or_a_damaged_one_is_refused(index, tmp_path):
    index.save_pretrained(tmp_path / "index")
    other = SentenceTransformer(str(save_embedder(tmp_path / "other", 1)), device="cpu")
    with pytest.raises(ValueError, match="was made by another embedder than this one"):
        PassageIndex.from_pretrained(tmp_path / "index", embedder=other)
    for name, change in (
        ("vectors.faiss", lambda file: file.write_bytes(file.read_bytes()[:-40])),
        ("vectors.faiss", lambda file: file.write_bytes(b"x" * file.stat().st_size)),
        ("passages.parquet", lambda file: file.write_bytes(b"x" * file.stat().st_size)),
        ("config.json", lambda file: file.write_text("{")),
    ):
        folder = tmp_path / "damaged"
        shutil.copytree(tmp_path / "index", folder)
        change(folder / name)
        with pytest.raises(ValueError, match=r"the index .*damaged is damaged: .*; make it anew"):
            PassageIndex.from_pretrained(folder)
        shutil.rmtree(folder)
    (tmp_path / "index/config.json").unlink()
    with pytest.raises(FileNotFoundError, match="holds no index, or one that was not written to its end"):
        PassageIndex.from_pretrained(tmp_path / "index")


def test_a_graph_finds_nearly_what_is_nearest():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(50, 24))
    vectors = (centres[generator.integers(0, 50, 3000)] + 0.3 * generator.normal(size=(3000, 24))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert measure_recall(make_vectors(vectors, "Flat"), vectors) == 1
    good = measure_recall(make_vectors(vectors, "HNSW32"), vectors)
    graph = make_vectors(vectors, "HNSW4")
    faiss.downcast_index(graph).hnsw.efSearch = 1
    assert 0.95 < good <= 1 and measure_recall(graph, vectors) < good


def test_searches_that_cannot_be_are_refused(index, stories, embedder):
    for options, message in (
        ({"method": "magic"}, "there is no method 'magic'; there are dense, bm25, hybrid"),
        ({"k": 0}, "a k of 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            index.search(QUESTION, **options)
    with pytest.raises(ValueError, match="needs a question"):
        index.search("  ")
    assert len(index.search("Ou est la lanterne? " * 2000, k=3)) == 3  # another language, and far too long
    with pytest.raises(ValueError, match="there are none"):
        PassageIndex.build([], embedder=str(embedder))


def test_a_pushed_index_gives_the_same_in_another_process(stories, embedder, tmp_path, monkeypatch):
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with running_hub(tmp_path / "hub") as endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        hub = HfApi(endpoint, token="hf_local")
        hub.create_repo("local/words")
        hub.upload_folder(repo_id="local/words", folder_path=embedder, ignore_patterns="README.md")
        index = PassageIndex.build(stories, embedder=str(embedder), kind="sentences", size=1, overlap=0)
        index.config["embedder"] = "local/words"
        expected = [hit.row for hit in index.search(QUESTION, k=5)]
        index.push_to_hub("local/stories", tmp_path / "index", token="hf_local")
        script = f"""
from hf_recipes import PassageIndex
print([hit.row for hit in PassageIndex.from_pretrained("local/stories").search({QUESTION!r}, k=5)])
"""
        done = run_python("-c", script, env=hub_env(endpoint, tmp_path / "home"), cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == str(expected)
    assert "`sentences`, size 1, overlap 0" in (tmp_path / "index/README.md").read_text()
