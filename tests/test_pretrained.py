import pytest
from torch import nn
from transformers import AutoModelForTokenClassification, BertConfig, DistilBertConfig, PreTrainedConfig

from hf_recipes.pretrained import set_dropout


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4),
        DistilBertConfig(vocab_size=9, dim=4, n_layers=1, n_heads=1, hidden_dim=4),
    ],
    ids=lambda config: config.model_type,
)
def test_dropout_is_that_of_the_whole_encoder(config):
    for share, expected in ((None, 0.1), (0.25, 0.25), (0, 0)):
        set_dropout(config, share)
        model = AutoModelForTokenClassification.from_config(config)
        assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {expected}


def test_an_encoder_without_dropout_is_not_given_any():
    with pytest.raises(ValueError, match="PreTrainedConfig has none"):
        set_dropout(PreTrainedConfig(), 0.1)
