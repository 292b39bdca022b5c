import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from hf_recipes import WordVectorConfig, WordVectorForSequenceClassification


def make_model(pooling: str, **options) -> WordVectorForSequenceClassification:
    torch.manual_seed(0)
    config = WordVectorConfig(vocab_size=9, embedding_size=6, pooling=pooling, channels=4, num_labels=3, **options)
    model = WordVectorForSequenceClassification(config).eval()
    model.set_vectors(torch.randn(7, 6), torch.rand(7) + 0.5)
    return model


@pytest.mark.parametrize("pooling", ["mean", "tfidf", "attention", "textcnn"])
def test_padding_changes_nothing(pooling):
    model = make_model(pooling)
    texts = [[2, 5, 8, 3], [4], [1], [3, 1, 1, 7, 2, 6]]
    longest = max(map(len, texts)) + 3
    padded = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    together = model(padded, attention_mask=(padded > 0).long()).logits
    for text, logits in zip(texts, together):
        alone = model(torch.tensor([text])).logits[0]
        assert alone.allclose(logits, atol=1e-6) and logits.isfinite().all()


def test_means_are_by_hand():
    model = make_model("mean")
    vectors = model.embeddings.weight
    expected = model.head(vectors[[2, 2, 5]].mean(0))
    assert (
        model(torch.tensor([[2, 1, 2, 5]])).logits[0].allclose(expected, atol=1e-6)
    )  # unknown words count for nothing
    weighted = make_model("tfidf")
    weights = weighted.weights[[2, 2, 5]]
    expected = weighted.head((weighted.embeddings.weight[[2, 2, 5]] * weights[:, None]).sum(0) / weights.sum())
    assert weighted(torch.tensor([[2, 2, 5]])).logits[0].allclose(expected, atol=1e-6)
    assert model(torch.tensor([[1, 1]])).logits[0].equal(model.head.bias)


def test_convolutions_are_by_hand():
    model = make_model("textcnn", widths=[2])
    vectors = model.embeddings.weight[[2, 5, 8]]
    weight, bias = model.convolutions[0].weight, model.convolutions[0].bias
    places = [(weight * vectors[start : start + 2].T).sum((1, 2)) + bias for start in (0, 1)]
    expected = model.head(torch.stack(places).amax(0).relu())
    assert model(torch.tensor([[2, 5, 8]])).logits[0].allclose(expected, atol=1e-6)


def test_losses_and_options(tmp_path):
    model = make_model("mean", problem_type="single_label_classification", hidden_size=5)
    ids = torch.tensor([[2, 3], [4, 0]])
    output = model(ids, labels=torch.tensor([0, 2]))
    assert output.loss.item() == pytest.approx(
        torch.nn.functional.cross_entropy(output.logits, torch.tensor([0, 2])).item()
    )
    config = WordVectorConfig(vocab_size=9, num_labels=1, problem_type="regression")
    values = WordVectorForSequenceClassification(config).eval()
    output = values(ids, labels=torch.tensor([0.5, 1.0]))
    assert output.loss.item() == pytest.approx(((output.logits[:, 0] - torch.tensor([0.5, 1.0])) ** 2).mean().item())
    model.save_pretrained(tmp_path)
    again = WordVectorForSequenceClassification.from_pretrained(tmp_path)
    assert all(value.equal(again.state_dict()[name]) for name, value in model.state_dict().items())
    for options, message in (
        ({"pooling": "max"}, "pooling is 'max'"),
        ({"widths": []}, "widths"),
        ({"dropout": 1.0}, "dropout"),
    ):
        with pytest.raises(StrictDataclassError, match=message):
            WordVectorConfig(**options)


@pytest.mark.parametrize("pooling", ["attention", "textcnn"])
def test_half_precision_gives_nearly_the_same(pooling):
    model = make_model(pooling)
    ids = torch.tensor([[2, 5, 8, 3], [4, 1, 0, 0]])
    with torch.autocast("cpu", torch.bfloat16):
        half = model(ids).logits
    assert half.float().allclose(model(ids).logits, atol=0.05)
