"""Kinds that the package does not know are measured right, or refused by name: this room has no list of kinds."""

import pytest
import torch
from analysis_examples import POINT, TOKENS, architecture, images
from torch import nn

from archsearch.analysis import effective_receptive_field, mean_attention_distance, measured_globality
from archsearch.analysis.measured_globality import everywhere
from archsearch.architecture import Network
from archsearch.stages import ConvStage, Mixer, SpatialMixer
from archsearch.stages.mixer_paths import find_mixer_paths, paths_in_sum
from archsearch.stages.residual import Residual, conv
from archsearch.stages.tokens import Attention

HEIGHT, WIDTH = 8, 6


class Neighbours(SpatialMixer):
    """Attention over the 3x3 places around each: ``(B, 8, H, W)`` to the same, in two heads."""

    window = 3

    def __init__(self):
        super().__init__()
        self.qkv = conv(8, 24, 1)

    def forward(self, x):
        value = self.heads_of(x)[2]
        return (self.attention_weights(x) @ value).transpose(2, 3).reshape(x.shape)

    def attention_weights(self, x):
        query, key, _ = self.heads_of(x)
        y, x = torch.meshgrid(torch.arange(x.shape[2]), torch.arange(x.shape[3]), indexing="ij")
        places = torch.stack([y.flatten(), x.flatten()], dim=1).float()
        far = torch.cdist(places, places, p=float("inf")) > 1
        return (query @ key.transpose(2, 3)).masked_fill(far, -torch.inf).softmax(dim=-1)

    def heads_of(self, x):
        """Queries, keys and values, ``(B, heads, N, d)`` each."""
        return self.qkv(x).reshape(len(x), 3, 2, 4, -1).transpose(3, 4).unbind(1)


def in_frame():
    branch = nn.Sequential(conv(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), Neighbours(), conv(8, 8, 1))
    return Residual(branch, nn.Identity(), nn.ReLU())


class Unsaid(nn.Module):
    """A residual sum that nobody told of."""

    def __init__(self):
        super().__init__()
        self.norm, self.mixer, self.after = nn.BatchNorm2d(8), Neighbours(), conv(8, 8, 1)

    def forward(self, x):
        return x + self.after(self.mixer(self.norm(x)))


class Said(Unsaid):
    """The same, and its sum is known."""


@find_mixer_paths.register
def paths_in_said(block: Said):
    mixed = nn.Sequential(block.norm, block.mixer, block.after)
    yield from paths_in_sum(block, mixed=mixed, kept=nn.Identity())


class AnyStage(ConvStage):
    """A stage of modules that a test gives, which promises ``promised`` mixers of window 3."""

    made: tuple = ()
    promised: tuple = ()

    def mixers(self, shape):
        return [Mixer(shape.height, shape.width, window, attention=True) for window in self.promised]

    def build(self, shape):
        return nn.Sequential(*self.made)


def network_of(*modules, promised=None):
    torch.manual_seed(0)
    promised = (3,) * len(modules) if promised is None else promised
    stage = AnyStage(channels=8, depth=1).model_copy(update={"made": modules, "promised": promised})
    described = architecture(POINT, TOKENS, height=HEIGHT, width=WIDTH)
    return Network(described.model_copy(update={"stages": (stage,)})).eval()


@pytest.fixture(autouse=True)
def _same_weights():
    torch.manual_seed(0)


@pytest.mark.parametrize("block", [in_frame, Unsaid, Said])
def test_a_window_of_attention_reaches_no_further_than_its_corners(block):
    corner = float((2**0.5 / everywhere(HEIGHT, WIDTH)).mean())
    network = network_of(block(), block())
    found = measured_globality(network, images(network))

    assert [(mixer.place, mixer.kernel) for mixer in found.mixers] == [("stages.0", 3)] * 2
    assert all(0 < mixer.measured < corner for mixer in found.mixers)
    assert all(mixer.measured == pytest.approx(mixer.structural, rel=0.3) for mixer in found.mixers)


def test_windows_without_queries_and_keys_reach_what_the_structure_says():
    block = in_frame()
    nn.init.zeros_(block.branch[3].qkv.weight[:16])
    network = network_of(block)
    (mixer,) = measured_globality(network, images(network, 16)).mixers

    assert mixer.measured == pytest.approx(mixer.structural, rel=0.1)


def test_a_frame_needs_nothing_more_from_a_kind_to_know_its_share_of_the_sum():
    network = network_of(in_frame(), Said(), Unsaid())
    framed, said, unsaid = measured_globality(network, images(network)).mixers

    assert 0 < framed.weight < 1
    assert 0 < said.weight < 1
    assert unsaid.weight == 1


def test_what_stands_in_a_frame_shares_its_sum_whatever_it_is_wrapped_in():
    branch = nn.Sequential(conv(8, 8, 1), Unsaid())
    network = network_of(Residual(branch, nn.Identity(), nn.ReLU()))

    assert 0 < measured_globality(network, images(network)).mixers[0].weight < 1


def test_a_module_that_stands_twice_in_a_chain_is_run_twice():
    shared, act = [conv(8, 8, 1), Neighbours(), conv(8, 8, 1), nn.BatchNorm2d(8)], nn.Softplus(beta=0.1)
    once = nn.Sequential(shared[0], nn.Softplus(beta=0.1), *shared[1:3], nn.Softplus(beta=0.1), shared[3])
    twice = nn.Sequential(shared[0], act, *shared[1:3], act, shared[3])
    found = [
        measured_globality(network, images(network)).mixers
        for network in (network_of(once, promised=(3,)), network_of(twice, promised=(3,)))
    ]

    assert found[0] == found[1]


@pytest.mark.parametrize("block", [in_frame, Unsaid, Said])
def test_a_window_of_attention_looks_one_place_far(block):
    network = network_of(block(), block())
    found = mean_attention_distance(network, images(network))

    assert [(layer.height, layer.width) for layer in found.layers] == [(HEIGHT, WIDTH)] * 2
    assert all(len(layer.heads) == 2 and 0 < max(layer.heads) <= 2**0.5 for layer in found.layers)


@pytest.mark.parametrize("block", [in_frame, Unsaid, Said])
def test_two_windows_see_two_places_far(block):
    """From the middle of 8 x 6, which is rows 3 and 4 and columns 2 and 3, rows 1 to 6 and every column."""
    network = network_of(block(), block())
    seen = effective_receptive_field(network, images(network)).map

    assert float(seen[1:7].sum()) == pytest.approx(1)
    assert bool((seen[1:7] > 0).all())


# --- refusals --------------------------------------------------------------------------------------


class Partitioned(nn.Module):
    """Attention that is handed one window after the other."""

    def __init__(self):
        super().__init__()
        self.attention = Attention(8, 2, qkv_bias=False)
        self.attention.window = 2

    def forward(self, x):
        batch, channels, height, width = x.shape
        windows = x.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 3, 5, 1)
        mixed = self.attention(windows.reshape(-1, 4, channels))
        return mixed.reshape(windows.shape).permute(0, 5, 1, 3, 2, 4).reshape(x.shape)


class Halving(Neighbours):
    """A stride that it does not declare."""

    def forward(self, x):
        return super().forward(x)[:, :, ::2, ::2]


class Declared(Halving):
    """A stride that it does."""

    stride = 2


class ByKeyword(Unsaid):
    """Hands its map over by name."""

    def forward(self, x):
        return x + self.mixer(x=x)


class Twice(Unsaid):
    """Mixes twice by the same weights."""

    def forward(self, x):
        return self.mixer(self.mixer(x))


class Pair(Neighbours):
    """Returns more than a map."""

    def forward(self, x):
        return super().forward(x), x


class First(nn.Module):
    """Goes on with the first of two."""

    def __init__(self):
        super().__init__()
        self.mixer = Pair()

    def forward(self, x):
        return self.mixer(x)[0]


REFUSED = {
    "a promise": (
        Unsaid,
        (3, 3),
        r"stages.0: a Sequential has mixers of .* \[\(3, True\)\], and a conv promises",
    ),
    "another window": (Unsaid, (5,), r"promises \[\(5, True\)\]"),
    "windows": (Partitioned, (2,), r"stages.0: a Attention takes \(48, 4, 8\), not the 8x6 map"),
    "a stride": (Halving, (3,), r"stages.0: a Halving returns \(4, 8, 4, 3\), not a map at the stride"),
    "a pair": (First, (3,), "stages.0: a Pair returns a tuple, not a map or tokens"),
    "two calls": (Twice, (3,), "a Neighbours is called twice; make a module for each call"),
    "a keyword": (ByKeyword, (3,), "nothing arrives at a Neighbours; call it with its map"),
}


@pytest.mark.parametrize(("block", "promised", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_measured_is_refused_by_name(block, promised, why):
    network = network_of(block(), promised=promised)

    with pytest.raises(TypeError, match=why):
        measured_globality(network, images(network))


def test_a_stride_that_is_declared_is_measured():
    network = network_of(Declared())
    (mixer,) = measured_globality(network, images(network)).mixers

    assert 0 < mixer.measured < 0.3


def test_weights_that_are_not_of_the_whole_map_are_refused():
    network = network_of(Partitioned(), promised=(2,))

    with pytest.raises(TypeError, match="a Attention gives weights"):
        mean_attention_distance(network, images(network))
