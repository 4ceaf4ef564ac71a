"""AdamW decays matrices and kernels only, and has its moments before the first step."""

import torch
from torch import nn

from archsearch.proxy import Recipe
from archsearch.proxy.optimizer import build_optimizer, decay_groups, set_learning_rate

CPU = torch.device("cpu")


def test_only_matrices_and_kernels_decay():
    class Everything(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.attention = nn.MultiheadAttention(4, 2)
            self.linear, self.layer_norm = nn.Linear(4, 4), nn.LayerNorm(4)
            self.table, self.places = nn.Parameter(torch.zeros(9, 4)), nn.Embedding(9, 4)
            self.frozen = nn.Linear(2, 2, bias=False).requires_grad_(requires_grad=False)

    network = Everything()
    decaying, other = decay_groups(network, 0.05)
    names = {id(parameter): name for name, parameter in network.named_parameters()}

    assert {names[id(parameter)] for parameter in decaying["params"]} == {
        "conv.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "linear.weight",
    }
    assert (decaying["weight_decay"], other["weight_decay"]) == (0.05, 0.0)
    assert len(decaying["params"]) + len(other["params"]) + 1 == len(names)  # one is frozen


def test_the_moments_are_there_before_the_first_step():
    network = nn.Linear(2, 3)
    optimizer = build_optimizer(network, Recipe(), CPU)

    assert {*optimizer.state} == {*network.parameters()}
    for parameter in network.parameters():
        assert optimizer.state[parameter].keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert optimizer.state[parameter]["exp_avg"].shape == parameter.shape


def test_the_rate_is_set_in_every_group_and_filled_into_a_tensor():
    optimizer = build_optimizer(nn.Linear(2, 3), Recipe(learning_rate=0.5), CPU)

    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5]

    set_learning_rate(optimizer, 0.25)

    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]

    rate = torch.tensor(0.5)
    optimizer.param_groups[0]["lr"] = rate
    set_learning_rate(optimizer, 0.125)

    assert optimizer.param_groups[0]["lr"] is rate
    assert (float(rate), optimizer.param_groups[1]["lr"]) == (0.125, 0.125)
