"""The effective receptive field: no further than the structure lets it see, and all of what it sees."""

import pytest
import torch
from analysis_examples import ATTENTION, NOTHING, POINT, STAGES, STEMS, awake, every_part, images

from archsearch.analysis import effective_receptive_field
from archsearch.analysis.receptive_field import held_side, middle_of
from archsearch.stages import ConvStage, PatchStem

every = pytest.mark.parametrize("parts", every_part().values(), ids=every_part().keys())


def test_a_network_that_mixes_nothing_sees_one_pixel():
    """17 x 9 has one pixel in its middle; a rectangle of the image's proportions around it is a ninth as wide."""
    network = awake()
    found = effective_receptive_field(network, images(network))

    assert found.map[8, 4] == 1
    assert found.side == pytest.approx(1 / 9)


def test_a_map_of_even_sides_has_four_middles():
    network = awake(height=8, width=6)
    seen = effective_receptive_field(network, images(network)).map

    assert {tuple(place) for place in seen.nonzero().tolist()} == {(3, 2), (3, 3), (4, 2), (4, 3)}


def test_the_middle_of_an_axis_is_one_place_or_two():
    assert middle_of(torch.zeros(1, 1, 5, 8)).shape == (1, 1, 1, 2)
    assert middle_of(torch.arange(5.0).view(1, 1, 1, 5)).item() == 2


def test_a_patch_sees_itself():
    network = awake(PatchStem(channels=8, size=4), NOTHING, height=12, width=12)
    seen = effective_receptive_field(network, images(network, 8)).map

    assert float(seen[4:8, 4:8].sum()) == pytest.approx(1)
    assert bool((seen[4:8, 4:8] > 0).all())


def test_two_convolutions_see_five_pixels_and_half_of_it_further_in():
    network = awake(POINT, ConvStage(channels=8, depth=2), height=9, width=9)
    found = effective_receptive_field(network, images(network))

    assert float(found.map[2:7, 2:7].sum()) == pytest.approx(1)
    assert 1 / 9 <= found.side < 5 / 9


def test_attention_sees_everything():
    network = awake(POINT, ATTENTION, height=9, width=9)

    assert bool((effective_receptive_field(network, images(network, 8)).map > 0).all())


def test_a_uniform_map_is_half_held_by_half_of_its_area():
    assert held_side(torch.full((100, 100), 1e-4, dtype=torch.float64)) == pytest.approx(0.5**0.5, abs=0.02)
    assert held_side(torch.full((100, 40), 1 / 4000, dtype=torch.float64)) == pytest.approx(
        0.5**0.5, abs=0.03
    )


def test_a_rectangle_stands_about_the_centre_of_mass():
    """Strides lean up and left; a field is not larger for it."""
    corner, middle = torch.zeros(9, 9, dtype=torch.float64), torch.zeros(9, 9, dtype=torch.float64)
    corner[1:4, 1:4] = middle[3:6, 3:6] = 1 / 9

    assert held_side(corner) == held_side(middle) == pytest.approx(3 / 9)


@pytest.mark.parametrize(("held", "side"), [(0.1, 1 / 5), (0.5, 3 / 5), (1.0, 1.0)])
def test_more_is_held_by_more(held, side):
    """A pixel in the middle holds 0.2, the ring around it 0.4, the outer one the rest."""
    rings = torch.full((5, 5), 0.4 / 16, dtype=torch.float64)
    rings[1:4, 1:4] = 0.4 / 8
    rings[2, 2] = 0.2

    assert held_side(rings, held) == pytest.approx(side)


@every
def test_every_kind_has_a_field_on_the_image(parts):
    network = awake(*parts)
    found = effective_receptive_field(network, images(network, 2))

    assert found.map.shape == (17, 9)
    assert float(found.map.sum()) == pytest.approx(1)
    assert float(found.map.min()) >= 0
    assert 0 < found.side <= 1


def test_a_network_that_lets_nothing_through_sees_nothing():
    network = awake(STEMS["conv"])
    torch.nn.init.zeros_(network.stem[1].weight)
    found = effective_receptive_field(network, images(network))

    assert found.side == 0
    assert not found.map.any()


def test_the_same_seed_sees_the_same_and_leaves_the_network_as_it_was():
    network = awake(STEMS["conv"], STAGES["mhsa"]).train()
    fields = [effective_receptive_field(network, images(network), seed=seed).map for seed in (0, 0, 1)]

    assert torch.equal(fields[0], fields[1])
    assert not torch.equal(fields[0], fields[2])
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
