"""Measured globality: how far the mixers of a trained network reach on images, by the structure's own formula.

``counting.globality`` takes every window, and every attention, as uniform. Here the influence is measured:
``K(u, v) = |dB(x)_u / dx_v|`` (Frobenius, over channels) of what a mixer adds to its map, its residual branch B, on
trained weights and one image x; reach is then

    mean over u of  (sum_v K(u, v) d(u, v) / sum_v K(u, v)) / (mean over v of d(u, v)),   at most 1,

and each mixer counts by its share of the sum it is a part of, ``E |B| / (|x| + |B|)``: a dead branch counts nothing.

Sources: Bamberger et al. 2025 (ICML, "On measuring long-range interactions in graph neural networks") for the range
of a Jacobian; Hutchinson 1990, doi:10.1080/03610919008812866, for its norm from random signs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from archsearch.analysis.mixer_sites import MixerSite, arrivals, evaluation_mode, mixer_sites, some_at_once
from archsearch.architecture import Network
from archsearch.counting.globality import mean_distances, reach
from archsearch.stages import Mixer
from archsearch.stages.mixer_paths import ResidualSum


@dataclass(frozen=True)
class MeasuredMixer:
    """One mixer.

    Attributes:
        place: of its part in the file: ``stem``, ``stages.0``.
        kernel: the side of its window; None reaches everywhere.
        structural: its reach in ``counting.globality``, in [0, 1].
        measured: the same of what its weights do; 0 where nothing reaches anything.
        weight: mean share of the sum it is a part of, in [0, 1]; 1 where there is no shortcut.
    """

    place: str
    kernel: int | None
    structural: float
    measured: float
    weight: float


@dataclass(frozen=True)
class MeasuredGlobality:
    """The mean of the measured reach of ``mixers`` by their weights, in [0, 1], 0 for none; in the network's order."""

    mean: float
    mixers: tuple[MeasuredMixer, ...]


@dataclass(frozen=True)
class Sampling:
    """At how many places of a map influence is measured, with how many random signs, from which generator."""

    positions: int
    probes: int
    generator: torch.Generator


@dataclass(frozen=True)
class Stratum:
    """A rectangle of a map: first row and column, and its size."""

    row: int
    column: int
    height: int
    width: int

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows and columns of ``count`` places in it, int64 ``(count,)`` each."""
        rows = torch.randint(self.height, (count,), generator=generator)
        columns = torch.randint(self.width, (count,), generator=generator)
        return rows + self.row, columns + self.column


def measured_globality(
    network: Network, images: Tensor, *, positions: int = 16, probes: int = 1, seed: int = 0
) -> MeasuredGlobality:
    """How far the mixers of ``network`` reach on ``images`` (B, C, H, W), normalised as for training.

    Each mixer's map is cut into at most ``positions`` rectangles, and influence is measured at one random place
    of each for every image: at all places where the map has no more. ``probes`` random signs estimate each norm; one is enough, as
    places and images average its noise. Costs one pass and ``positions * probes`` backward passes, each through one
    block. The same seed gives the same places and signs; the network is left as it was.

    Raises:
        DataError: there are no images, or others than the network takes.
        TypeError: the modules mix otherwise than their parts promise, or in a way that is not registered.
    """
    found = mixer_sites(network)
    sampling = Sampling(positions, probes, torch.Generator().manual_seed(seed))
    totals = torch.zeros(len(found), 2, dtype=torch.float64)
    for part in some_at_once(network, images):
        totals += measure_sites(network, part, found, sampling)
    mixers = [
        MeasuredMixer(site.place, site.mixer.window, reach(site.mixer), min(1.0, measured), weight)
        for site, (measured, weight) in zip(found, (totals / len(images)).tolist(), strict=True)
    ]
    return MeasuredGlobality(weighted_mean(mixers), tuple(mixers))


def weighted_mean(mixers: list[MeasuredMixer]) -> float:
    """Mean measured reach by weight; 0 where nothing has any."""
    total = math.fsum(mixer.weight for mixer in mixers)
    return math.fsum(mixer.weight * mixer.measured for mixer in mixers) / total if total else 0.0


def measure_sites(network: Network, images: Tensor, found: list[MixerSite], sampling: Sampling) -> Tensor:
    """Reach and share of each site, summed over the images: float64 ``(sites, 2)``."""
    entered = [site.path.entered for site in found]
    entered += [site.path.total.entered for site in found if site.path.total is not None]
    with evaluation_mode(network):
        arriving = arrivals(network, images, entered)
        rows = []
        for site in found:
            reached = reaches(site, arriving[site.path.entered], sampling)
            total = site.path.total
            share = shares(total, arriving[total.entered]) if total is not None else torch.ones(len(images))
            rows.append([float(reached.sum()), float(share.sum())])
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)


@torch.no_grad()
def shares(total: ResidualSum, x: Tensor) -> Tensor:
    """``|mixed| / (|kept| + |mixed|)`` of each image ``(B,)``; 0 where there is neither."""
    mixed, kept = (part(x).flatten(1).norm(dim=1) for part in (total.mixed, total.kept))
    share: Tensor = mixed / (mixed + kept)
    return share.nan_to_num(0.0)


def reaches(site: MixerSite, arriving: Tensor, sampling: Sampling) -> Tensor:
    """Reach of a mixer on each image, float64 ``(B,)``; 0 where nothing reaches the drawn places."""
    mixer, axes = site.mixer, site.axes
    summed = torch.zeros(2, len(arriving), dtype=torch.float64)
    if mixer.height == mixer.width == 1:
        return summed[0]
    x = arriving.detach().requires_grad_()
    with torch.enable_grad():
        out = site.run(x)
    height, width = out.shape[2:]
    for stratum in strata(height, width, sampling.positions):
        rows, columns = stratum.draw(len(arriving), sampling.generator)
        norms = influence(out, x, rows, columns, sampling)[:, -mixer.height * mixer.width :]
        origins = (
            (axis.stride * places + axis.offset).clamp(0, size - 1)
            for axis, places, size in zip(axes, (rows, columns), (mixer.height, mixer.width), strict=True)
        )
        ratio = relative_distance(norms.cpu().double(), mixer, *origins)
        area = stratum.height * stratum.width
        summed += area * torch.stack([ratio.nan_to_num(0.0), ratio.isfinite()])
    return summed[0] / summed[1].clamp(min=1)


def influence(out: Tensor, x: Tensor, rows: Tensor, columns: Tensor, sampling: Sampling) -> Tensor:
    """``|d out_u / d x_v|`` of one place u for each image and all places v of x, its own tokens first: ``(B, N)``.

    ``E |d (eps . out_u) / d x_v|^2`` over random signs eps is the squared norm.
    """
    batch = torch.arange(len(out))
    squares = torch.zeros(())
    for _ in range(sampling.probes):
        signs = torch.randint(0, 2, (len(out), out.shape[1]), generator=sampling.generator) * 2 - 1
        weights = torch.zeros_like(out)
        weights[batch, :, rows, columns] = signs.to(out)
        (gradient,) = torch.autograd.grad(out, x, weights, retain_graph=True)
        squares = squares + gradient.square().sum(dim=1 if x.ndim == 4 else 2).flatten(1)
    return (squares / sampling.probes).sqrt()


def relative_distance(norms: Tensor, mixer: Mixer, rows: Tensor, columns: Tensor) -> Tensor:
    """Mean distance by ``norms`` (B, H * W) from one place of each image, over that to everywhere; NaN if none."""
    down = (torch.arange(mixer.height) - rows[:, None])[:, :, None]
    across = (torch.arange(mixer.width) - columns[:, None])[:, None, :]
    distances = torch.hypot(down.double(), across.double()).flatten(1)
    mean = (norms * distances).sum(dim=1) / norms.sum(dim=1)
    ratio: Tensor = mean / everywhere(mixer.height, mixer.width)[rows, columns]
    return ratio


@lru_cache(maxsize=256)
def everywhere(height: int, width: int) -> Tensor:
    """``(height, width)``: mean distance from each place to all."""
    largest = max(height, width)
    return torch.from_numpy(mean_distances(height, width, largest, largest))


def strata(height: int, width: int, positions: int) -> Iterator[Stratum]:
    """At most ``positions`` nearly equal and nearly square rectangles that tile a map; single places if they suffice."""
    rows = min(height, positions, max(1, round(math.sqrt(positions * height / width))))
    columns = min(width, positions // rows)
    rows = min(height, positions // columns)
    for top, bottom in pairwise(height * index // rows for index in range(rows + 1)):
        for left, right in pairwise(width * index // columns for index in range(columns + 1)):
            yield Stratum(top, left, bottom - top, right - left)
