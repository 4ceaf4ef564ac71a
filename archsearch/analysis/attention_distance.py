"""Mean attention distance: how far attention looks, weight by weight.

Source: Raghu et al. 2021, "Do Vision Transformers See Like Convolutional Neural Networks?",
https://arxiv.org/abs/2108.08810, section 4 and figure 3; after Dosovitskiy et al. 2021,
https://arxiv.org/abs/2010.11929, appendix D.7.
"""

from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from archsearch.analysis.mixer_sites import MixerSite, arrivals, evaluation_mode, mixer_sites, some_at_once
from archsearch.architecture import Network
from archsearch.shapes import FeatureShape
from archsearch.stages import SpatialMixer

# Attention weights that are held at once, if they are not of one image: 16 MiB.
WEIGHTS = 2**22


@dataclass(frozen=True)
class AttentionLayer:
    """One attention.

    Attributes:
        place: of its part in the file: ``stem``, ``stages.0``.
        height, width: of the grid it attends over.
        heads: mean distance of each head, in pixels of the image.
        pixels: mean over the heads.
        share: of the mean distance between any two places of the grid; 1 for uniform attention.
    """

    place: str
    height: int
    width: int
    heads: tuple[float, ...]
    pixels: float
    share: float


@dataclass(frozen=True)
class AttentionDistance:
    """Means over the layers of their distance in pixels of the image and of its share; the layers in order."""

    pixels: float
    share: float
    layers: tuple[AttentionLayer, ...]


def mean_attention_distance(network: Network, images: Tensor) -> AttentionDistance | None:
    """How far the attentions of ``network`` look on ``images`` (B, C, H, W), normalised as for training.

    For each query the distances to all places are averaged by its attention weights, then over queries, images and
    heads. Tokens of a stage's own are left out, and the remaining weights add up to 1 again. A performer's weights
    are its kernel ``phi(q) . phi(k)``, normalised. None for a network without attention; an attention over a single
    place has share 0. The network is left as it was.

    Raises:
        DataError: there are no images, or others than the network takes.
        TypeError: the modules mix otherwise than their parts promise, or in a way that is not registered.
    """
    found = [(site, site.attention) for site in mixer_sites(network) if site.attention is not None]
    summed: list[Tensor] = [torch.zeros(()) for _ in found]
    for part in some_at_once(network, images):
        with evaluation_mode(network), torch.no_grad():
            arriving = arrivals(network, part, [attention for _, attention in found])
            for index, (site, attention) in enumerate(found):
                distances = pixel_distances(site, network.architecture.image.shape)
                summed[index] = summed[index] + head_distances(attention, arriving[attention], distances)
    layers = tuple(
        layer(site, total / len(images), network.architecture.image.shape)
        for (site, _), total in zip(found, summed, strict=True)
    )
    if not layers:
        return None
    pixels, share = fmean(one.pixels for one in layers), fmean(one.share for one in layers)
    return AttentionDistance(pixels, share, layers)


def layer(site: MixerSite, heads: Tensor, image: FeatureShape) -> AttentionLayer:
    """One attention, from the mean distances (heads,) of its heads."""
    pixels = float(heads.mean())
    everywhere = float(pixel_distances(site, image).mean())
    share = pixels / everywhere if everywhere else 0.0
    return AttentionLayer(
        site.place, site.mixer.height, site.mixer.width, tuple(heads.tolist()), pixels, share
    )


def pixel_distances(site: MixerSite, image: FeatureShape) -> Tensor:
    """``(N, N)``: distance between any two places of the grid, in pixels of the image."""
    down = torch.arange(site.mixer.height) * (image.height / site.mixer.height)
    across = torch.arange(site.mixer.width) * (image.width / site.mixer.width)
    places = torch.cartesian_prod(down, across)
    return torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")


def head_distances(attention: SpatialMixer, x: Tensor, distances: Tensor) -> Tensor:
    """Mean distance of each head, summed over the images of ``x``: float64 ``(heads,)``."""
    heads = int(getattr(attention, "heads", 1))  # only to bound the memory
    at_once = max(1, WEIGHTS // (heads * distances.numel()))
    summed = torch.zeros((), dtype=torch.float64)
    for part in torch.split(x, at_once):
        given = attention.attention_weights(part)
        if given is None or given.ndim != 4 or min(given.shape[2:]) < len(distances):
            what = "no weights" if given is None else f"weights {tuple(given.shape)}"
            raise TypeError(
                f"a {type(attention).__name__} gives {what}; its attention_weights must return (B, heads, N, N) "
                f"with N at least the {len(distances)} places of its map"
            )
        weights = given[..., -len(distances) :, -len(distances) :]
        looked = (weights * distances.to(weights)).sum(dim=-1) / weights.sum(dim=-1)
        summed = summed + looked.mean(dim=-1).sum(dim=0).cpu().double()
    return summed
