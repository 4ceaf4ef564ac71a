"""The optimizer of a proxy training: AdamW, its parameter groups, and its learning rate.

AdamW with decoupled decay: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.
"""

import torch
from torch import Tensor, nn

from archsearch.proxy.recipe import Recipe


def build_optimizer(network: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """AdamW with its moments in place, so that a checkpoint can be copied into them.

    On a GPU the learning rate is a tensor: a captured graph reads it at each step.
    """
    groups = decay_groups(network, recipe.weight_decay)
    on_gpu = device.type == "cuda"
    rate = torch.tensor(recipe.learning_rate, device=device) if on_gpu else recipe.learning_rate
    optimizer = torch.optim.AdamW(groups, lr=rate, fused=True, capturable=on_gpu)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                "step": torch.zeros((), device=device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """The parameter groups: matrices and kernels decay; norms, biases, scales and position tables do not.

    torch's naming decides: a parameter decays if it is called ``weight``, has two dimensions or more, and
    belongs to no embedding. A table or token that a stage declares for itself has another name.
    """
    tables = {id(module.weight) for module in network.modules() if isinstance(module, nn.Embedding)}
    decaying: list[nn.Parameter] = []
    other: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = name.endswith("weight") and parameter.ndim >= 2 and id(parameter) not in tables
            (decaying if decays else other).append(parameter)
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": other, "weight_decay": 0.0}]
