"""The accuracy and the loss of a network on a split."""

import torch
from torch import nn
from torch.nn import functional

from archsearch.data import Normalisation, Split


@torch.no_grad()
def evaluate(
    network: nn.Module,
    split: Split,
    normalisation: Normalisation,
    device: torch.device,
    batch_size: int = 256,
) -> tuple[float, float]:
    """Top-1 in [0, 1] and mean cross-entropy in nats on ``split``; the network's mode is left as it was."""
    training = network.training
    network.to(device).eval()
    right = torch.zeros((), dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for start in range(0, len(split), batch_size):
        batch = slice(start, start + batch_size)
        images, labels = split.images[batch].to(device), split.labels[batch].to(device)
        with autocast(device):
            logits = network(normalisation.apply(images)).float()
        right += (logits.argmax(1) == labels).sum()
        loss += functional.cross_entropy(logits, labels, reduction="sum").double()
    network.train(training)
    return int(right) / len(split), float(loss) / len(split)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on CUDA; single precision everywhere else."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
