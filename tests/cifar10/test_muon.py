import torch
from torch import nn

from hf_recipes import CifarClassifier, CifarClassifierConfig
from hf_recipes.cifar10.muon import Muon, muon_groups, orthogonalize


def small_network() -> CifarClassifier:
    torch.manual_seed(0)
    return CifarClassifier(CifarClassifierConfig(image_size=[16, 16], widths=[8, 16], whitening=2, num_labels=3))


def test_orthogonalized_matrices_have_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((20, 50), (50, 20)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape), 5))
        assert values.min() > 0.6 and values.max() < 1.3
    assert torch.equal(orthogonalize(torch.zeros(3, 4), 5), torch.zeros(3, 4))


def test_every_trained_parameter_is_in_one_group():
    model = small_network()
    hidden, head, rest = (group["params"] for group in muon_groups(model, 0.2, 0.1, 0.01))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert {*map(id, hidden), *map(id, head), *map(id, rest)} == {*map(id, trained)}
    assert len(hidden) + len(head) + len(rest) == len(trained)
    assert all(weight.ndim == 4 for weight in hidden) and len(head) == 1 and all(each.ndim == 1 for each in rest)


def test_hidden_weights_keep_their_norm_and_the_rest_is_sgd():
    torch.manual_seed(0)
    hidden, other = nn.Parameter(torch.randn(4, 9)), nn.Parameter(torch.randn(5))
    reference = nn.Parameter(other.detach().clone())
    muon = Muon([{"params": [hidden], "orthogonal": True}, {"params": [other], "weight_decay": 0.1}], lr=0.01)
    sgd = torch.optim.SGD([reference], lr=0.01, momentum=0.85, nesterov=True, weight_decay=0.1)
    for _ in range(5):
        hidden.grad, other.grad = torch.randn(4, 9), torch.randn(5)
        reference.grad = other.grad.clone()
        muon.step(), sgd.step()
    assert torch.allclose(other, reference)
    assert abs(hidden.norm().item() - 2) < 0.1  # the root of four outputs


def test_a_step_of_hidden_weights_is_along_the_orthogonalized_momentum():
    torch.manual_seed(0)
    start, gradient = torch.randn(4, 9), torch.randn(4, 9)
    hidden = nn.Parameter(start.clone())
    muon = Muon([{"params": [hidden], "orthogonal": True}], lr=0.1)
    hidden.grad = gradient.clone()
    muon.step()
    moved = (2 * start / start.norm() - hidden) / 0.1
    expected = orthogonalize(gradient, 3)  # the first step's momentum is the gradient times a number
    assert torch.allclose(moved, expected, atol=1e-4)


def test_it_goes_on_from_its_state():
    def steps(model, optimizer, numbers):
        for number in numbers:
            generator = torch.Generator().manual_seed(number)
            images, labels = torch.randn(6, 3, 16, 16, generator=generator), torch.randint(3, (6,), generator=generator)
            model.train()(pixel_values=images, labels=labels).loss.backward()
            optimizer.step(), optimizer.zero_grad()

    def make():
        model = small_network()
        return model, Muon(muon_groups(model, 0.2, 0.1, 0.01), lr=0.1)

    whole, first, second = make(), make(), make()
    steps(*whole, range(6))
    steps(*first, range(3))
    second[0].load_state_dict(first[0].state_dict()), second[1].load_state_dict(first[1].state_dict())
    steps(*second, range(3, 6))
    for one, other in zip(whole[0].parameters(), second[0].parameters()):
        assert torch.allclose(one, other, atol=1e-6)
