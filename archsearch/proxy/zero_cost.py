"""Zero-cost scores of an untrained candidate, beside its parameters and MACs.

Each is evidence of a rank and none is a verdict: nothing here rejects a candidate. They grow with size
in one way or another, so report them beside ``count_params`` and ``count_macs``, compare them at equal
MACs, and trust none on a space before its scores were held against trainings of that space.

Blocks that start as their shortcut (the zero scale of their last norm, ``stages/residual.py``) would be
invisible. The papers' code has no such start, so every norm's scale is set to one in the copy that is
scored. All else is as the stages draw it, where AZ-NAS draws convolutions and linear layers itself.
"""

import copy
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from archsearch.architecture import Architecture, seeded_network
from archsearch.errors import DataError, FailedTrialError, Problem
from archsearch.shapes import FeatureShape
from archsearch.stages.mixer_paths import find_mixer_paths

ACTIVATIONS = (nn.ReLU, nn.SiLU, nn.GELU)
NORMS = (nn.BatchNorm2d, nn.LayerNorm)
LAYERS = (nn.Conv2d, nn.Linear)
# Layers that give query, key and value at once, the value last.
PROJECTIONS = frozenset(["qkv", "kqv"])
# Sums of this many signs are still exact in float32.
EXACT = 2**23
SMALLEST_STRETCH = 1e-6


@dataclass(frozen=True)
class ZeroCostScores:
    """Scores of an untrained candidate; more is meant to be better.

    Attributes:
        nwot: see the function of this name; nats. Grows with ``units`` and with the batch.
        nwot_per_image: the same of shares of agreement, for one image; nats, at most 0. Codes that are
            fair coins give -0.58 for 32 images and -0.66 for 128.
        units: thresholded activations for one image.
        synflow: see the function of this name; a natural logarithm. Grows with depth and width.
        trainability: see the function of this name; no unit, at most 0.
        blocks: blocks that ``trainability`` is the mean of.
    """

    nwot: float
    nwot_per_image: float
    units: int
    synflow: float
    trainability: float
    blocks: int


def zero_cost_scores(
    architecture: Architecture, images: Tensor, *, seed: int, device: torch.device
) -> ZeroCostScores:
    """The scores of a fresh network whose weights depend on ``seed`` alone.

    ``images`` (B, C, H, W) are normalised as for training, 32 to 128 of them; scores of other batches, or
    of other numbers of images, cannot be compared. The same seed and images give the same bits on a CPU
    with the same number of threads. torch's global generators are left as they were.

    Raises:
        DataError: fewer than two images, others than the architecture takes, or none that are finite floats.
    """
    refuse_unusable(images, architecture.image.shape)
    network = seeded_network(architecture, seed).to(device)
    images = images.to(device)
    kernel = agreement_kernel(network, images)
    stretches = block_stretches(network, images, seed)
    return ZeroCostScores(
        nwot=nwot(kernel),
        nwot_per_image=nwot_per_image(kernel),
        units=round(float(kernel[0, 0])),
        synflow=synflow(network, architecture.image.shape),
        trainability=trainability(stretches),
        blocks=len(stretches),
    )


def refuse_unusable(images: Tensor, shape: FeatureShape) -> None:
    """Images must be what the network takes, and two at least: one alone agrees with itself."""
    wanted = (shape.channels, shape.height, shape.width)
    problem = None
    if images.ndim != 4 or images.shape[1:] != wanted or len(images) < 2:
        what = f"a tensor {tuple(images.shape)} is not a batch of {shape} images"
        problem = Problem("shape", what, "give (B, C, H, W) with B of 32 to 128, 2 at least")
    elif not images.is_floating_point():
        problem = Problem(
            "dtype", f"{images.dtype} pixels are not normalised", "give normalisation.apply(images)"
        )
    elif not bool(images.isfinite().all()):
        problem = Problem("values", "some are not finite", "normalise by a deviation above 0")
    if problem is not None:
        raise DataError("images", [problem])


def copy_for_scoring(network: nn.Module) -> nn.Module:
    """A copy in training mode without gradients, with the scale of every norm at one."""
    copied = copy.deepcopy(network).train().requires_grad_(False)
    for module in copied.modules():
        if isinstance(module, NORMS):
            nn.init.ones_(module.weight)
    return copied


@torch.no_grad()
def agreement_kernel(network: nn.Module, images: Tensor) -> Tensor:
    """The kernel ``K_ij = N_A - hamming(c_i, c_j)`` of binary codes: images (B, C, H, W) to (B, B), float64.

    The code of an image has one bit for every input of a ReLU, SiLU or GELU: whether it is above 0. A ReLU
    has no other states; for the smooth ones it is the sign of what they return, from which the code of
    AZ-NAS (Lee and Ham 2024, https://arxiv.org/abs/2403.19232) takes the codes of its transformers.
    Batch norms take the statistics of the batch. A softmax and a value have no code: attention is
    seen through the activations behind it.

    Source: Mellor et al. 2021, https://arxiv.org/abs/2006.04647, section 3.

    Raises:
        FailedTrialError: the network has no such activation.
    """
    copied = copy_for_scoring(network)
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)

    def add(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        for part in arguments[0].flatten(1).split(EXACT, dim=1):
            # Signs of +1 and -1 multiply to agreements less disagreements.
            signs = torch.where(part > 0, 1.0, -1.0)
            kernel.add_((signs.shape[1] + signs @ signs.T).double() / 2)

    for module in copied.modules():
        if isinstance(module, ACTIVATIONS):
            module.register_forward_pre_hook(add)
    copied(images)
    if not float(kernel[0, 0]):
        raise FailedTrialError("score", "the network has no ReLU, SiLU or GELU to take codes from")
    return kernel


def nwot(kernel: Tensor) -> float:
    """``ln det(K + 1)`` of an agreement kernel (B, B): how well a network tells images apart untrained; nats.

    The unit matrix is our addition: a bit of its own for every image. Without it the determinant is 0 as
    soon as two images share a code, and always where ``N_A < B - 1``; with it the value is at least
    0, and moves by less than ``B / smallest eigenvalue of K``.

    Traps: near ``B (ln N_A - 0.7)``, so it ranks by the number of units first; grows with the batch; units that
    never change sign raise all of K alike.

    Source: Mellor et al. 2021, https://arxiv.org/abs/2006.04647, section 3.
    """
    return float(torch.linalg.slogdet(kernel + torch.eye(len(kernel)).to(kernel)).logabsdet)


def nwot_per_image(kernel: Tensor) -> float:
    """``ln det((K + 1) / (N_A + 1)) / B``: nwot without the number of units; nats for an image, at most 0.

    The matrix has shares of agreeing bits, and 1 on its diagonal, so its determinant is at most 1
    (Hadamard). For N_A fair coins it nears ``(ln((B + 1) / 2) - (B - 1) ln 2) / B`` as N_A grows.

    Traps: still depends on the batch, so compare equal batches only; units on a map are many and alike, and
    shares forget how many were independent.
    """
    return nwot(kernel) / len(kernel) - math.log(float(kernel[0, 0]) + 1)


def synflow(network: nn.Module, shape: FeatureShape) -> float:
    """``ln sum |theta dR / dtheta|``, R the sum of the logits of one image of ones, theta made positive; nats.

    Summed over the weights of convolutions and linear layers, in float64. R sums the products of weights
    along all paths from a pixel to a logit, and so every layer that all paths cross adds R once. To
    keep this true behind every kind of part, the copy that is scored is linear and has no other sources:

    - norms are left out: a batch norm would rescale the flow, and a layer norm of an image of ones
      would subtract all of it;
    - activations are left out, as a ReLU is where nothing is negative;
    - queries and keys are 0, so that every softmax, and the performer, is the plain mean over tokens: the
      flow takes every way that attention could give it, and only values and projections carry it;
    - biases, position tables and tokens of a stage's own are 0.

    The flow is divided by its maximum behind every block and the logarithm of that added at the end, so that
    no depth overflows. A network that lets nothing through scores minus infinity.

    Traps: knows no data; grows with depth, width and kernel; follows how weights are drawn (token
    layers with deviation 0.02, convolutions by their fan), and so compares families badly.

    Source: Tanaka et al. 2020, https://arxiv.org/abs/2006.05467, section 6.
    """
    flow, logarithms = linear_flow(network), []

    def rescale(_module: nn.Module, _arguments: tuple[Any, ...], out: Tensor) -> Tensor:
        largest = out.detach().amax().clamp(min=torch.finfo(out.dtype).tiny)
        logarithms.append(float(largest.log()))
        return out / largest

    for block in residual_blocks(flow):
        block.register_forward_hook(rescale)
    weights = [weight for weight in flow.parameters() if weight.requires_grad]
    ones = torch.ones(1, shape.channels, shape.height, shape.width).to(weights[0])
    with torch.enable_grad():
        gradients = torch.autograd.grad(flow(ones).sum(), weights, materialize_grads=True)
    total = sum(
        float((weight.detach() * slope).abs().sum()) for weight, slope in zip(weights, gradients, strict=True)
    )
    return math.log(total) + sum(logarithms) if total else -math.inf


@torch.no_grad()
def linear_flow(network: nn.Module) -> nn.Module:
    """The copy of ``synflow``, float64: positive weights, which alone want gradients, and nothing between them."""
    copied = copy.deepcopy(network).double().eval().requires_grad_(False)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if isinstance(child, (*NORMS, *ACTIVATIONS)):
                setattr(module, name, nn.Identity())
    layers = {name: module for name, module in copied.named_modules() if isinstance(module, LAYERS)}
    weights = {id(layer.weight) for layer in layers.values()}
    for parameter in copied.parameters():
        if id(parameter) in weights:
            parameter.abs_().requires_grad_()
        else:
            parameter.zero_()
    for name, layer in layers.items():
        if name.rpartition(".")[2] in PROJECTIONS:
            layer.weight[: 2 * len(layer.weight) // 3] = 0
    return copied


def trainability(stretches: Sequence[float]) -> float:
    """Mean over blocks of ``2 - s - 1 / s``: 0 where each block keeps the length of gradients, else less.

    ``s`` as ``block_stretches`` gives it; 1e-6 is added to it below the line, as the authors' code does.

    A network without residual blocks has none: not a number.

    Traps: noise in s, see there; residual blocks whose branch is small have s near 1 and score well whatever
    the branch is, as token blocks do that are drawn with deviation 0.02; where a map of small values arrives
    (behind a T2T stem, which no norm closes), the batch norms of the first block enlarge gradients by as
    much, so compare candidates of one kind of stem; a mean, so that depth is free.

    Source: AZ-NAS, Lee and Ham 2024, https://arxiv.org/abs/2403.19232, section 3.
    """
    scores = [2 - s - 1 / (s + SMALLEST_STRETCH) for s in stretches]
    return statistics.fmean(scores) if scores else math.nan


def residual_blocks(network: nn.Module) -> list[nn.Module]:
    """The modules of the stages that keep what arrives beside what they make of it; the stem's are none of them.

    Their kinds say which they are, to ``find_mixer_paths``: a sum that is not registered there is not found.
    """
    return list(blocks_in(getattr(network, "stages", network)))


def blocks_in(module: nn.Module) -> Iterator[nn.Module]:
    """``module`` if it is a residual block, else the blocks inside of it."""
    is_known = find_mixer_paths.dispatch(type(module)) is not find_mixer_paths.dispatch(nn.Module)
    totals = [path.total for path in find_mixer_paths(module)] if is_known else []
    if is_known and all(total is not None and total.entered is module for total in totals):
        yield module
    else:
        for child in module.children():
            yield from blocks_in(child)


def block_stretches(network: nn.Module, images: Tensor, seed: int) -> list[float]:
    """Top singular value s of every block's gradient map, in the order in which they run; no unit.

    Behind a block stands a gradient g of random signs, whose covariance is the unit matrix; the block makes
    ``J^T g`` of it. Then ``A = mean (J^T g)_p g_p^T`` over images and places p estimates the part of J^T
    between the channels of one place, and ``s = ||A||_2``. Blocks are the residual and the transformer
    blocks of the stages, each with its shortcut; as in the authors' code the stem is none of them. Nor are
    the soft splits between stages. The signs depend on ``seed`` alone.

    A block that strides, or is narrower behind than before, has a wide A: the places that one place behind
    stands for are stacked as channels (the authors' pixel-unshuffle), filled up with zeros at the border where
    the stride does not divide the map. Ours beside theirs: each block has a graph of its own, so that
    memory is that of one block; an identity has its s and is neither left out nor refused; maps that
    are not square.

    Traps: A is a mean over B H W samples, so s is too large by about the square root of channels over
    samples, more for wide blocks on small maps; keep the batch.

    Source: AZ-NAS, Lee and Ham 2024, https://arxiv.org/abs/2403.19232, section 3 and its code.
    """
    copied, found = copy_for_scoring(network), []
    generator = torch.Generator().manual_seed(seed)

    def begin(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Tensor]:
        return (arguments[0].detach().requires_grad_(),)

    def end(_module: nn.Module, arguments: tuple[Any, ...], out: Tensor) -> Tensor:
        signs = torch.randint(0, 2, out.shape, generator=generator, dtype=out.dtype).to(out.device) * 2 - 1
        (arriving,) = torch.autograd.grad(out, arguments[0], signs)
        found.append(stretch(arriving, signs))
        return out.detach()

    for block in residual_blocks(copied):
        block.register_forward_pre_hook(begin)
        block.register_forward_hook(end)
    with torch.enable_grad():
        copied(images)
    return found


def stretch(arriving: Tensor, leaving: Tensor) -> float:
    """``||mean a_p l_p^T||_2`` of gradients before (arriving) and behind (leaving) a block, by places p.

    Both are tokens (B, N, D), or maps (B, C, H, W) of which the one behind may be smaller.
    """
    grid = leaving.shape[2:]
    before, behind = by_place(arriving, grid), by_place(leaving, grid)
    matrix = (before.T @ behind / len(behind)).double()
    gram = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    return float(torch.linalg.eigvalsh(gram)[-1].clamp(min=0).sqrt())


def by_place(gradient: Tensor, grid: torch.Size) -> Tensor:
    """Tokens (B, N, D) to (B N, D); a map (B, C, H, W) to (B H' W', C u v), u x v places in each of the grid's."""
    if gradient.ndim == 3:
        return gradient.flatten(0, 1)
    height, width = gradient.shape[2:]
    u, v = -(-height // grid[0]), -(-width // grid[1])
    filled = F.pad(gradient, (0, v * grid[1] - width, 0, u * grid[0] - height))
    return rearrange(filled, "b c (y u) (x v) -> (b y x) (c u v)", u=u, v=v)
