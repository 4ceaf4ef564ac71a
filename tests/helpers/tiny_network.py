"""A network for 8x8 grey images that trains in a moment."""

import torch
from torch import nn


def tiny(seed=0, dropout=0.0) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(32 * 16, 10),
        )
