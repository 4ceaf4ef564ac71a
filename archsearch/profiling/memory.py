"""Peak memory of one forward pass on a GPU."""

import torch
from torch import nn

from archsearch.shapes import FeatureShape


def peak_memory_mib(
    network: nn.Module, image: FeatureShape, device: torch.device, *, batch_size: int = 1
) -> float | None:
    """MiB that tensors occupy at most during inference, weights included; None on a CPU."""
    if device.type != "cuda":
        return None
    network = network.eval().to(device)
    images = torch.zeros(batch_size, image.channels, image.height, image.width, device=device)
    torch.cuda.reset_peak_memory_stats(device)
    with torch.inference_mode():
        network(images)
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) / 2**20
