"""The arithmetic of maps and windows."""

import dataclasses

import pytest

from archsearch.shapes import FeatureShape, split_padding, windows


def test_a_map_flattens_to_height_times_width_tokens():
    assert FeatureShape(channels=64, height=3, width=5).tokens == 3 * 5


def test_a_map_reads_channels_height_width():
    assert str(FeatureShape(64, 3, 5)) == "64x3x5"


def test_a_map_never_changes():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FeatureShape(64, 3, 5).height = 4


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "starts"),
    [
        (5, 5, 1, 0, [0]),
        (5, 2, 2, 0, [0, 2]),  # the fifth place starts no window
        (5, 3, 2, 1, [-1, 1, 3]),
        (6, 3, 2, 1, [-1, 1, 3]),
        (7, 3, 1, 1, [-1, 0, 1, 2, 3, 4, 5]),
        (16, 7, 4, 2, [-2, 2, 6, 10]),
    ],
)
def test_windows_are_those_that_start_and_end_within_the_padded_axis(size, kernel, stride, padding, starts):
    assert windows(size, kernel, stride, padding) == len(starts)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(7, 4, 2), (3, 2, 1), (3, 1, 1), (2, 1, 1), (4, 4, 0), (16, 16, 0)]
)
def test_a_split_is_padded_by_half_of_its_overlap_rounded_up(kernel, stride, padding):
    assert split_padding(kernel, stride) == padding
