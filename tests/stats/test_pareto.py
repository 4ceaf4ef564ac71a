"""Ranks, room and places: by hand, and by what Deb et al. 2002 define."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.stats.pareto import crowding, front, is_efficient, positions, ranks

FRONT = [[0, 8], [1, 4], [4, 2], [8, 0]]


def rows():
    """Rows of 1 to 4 objectives; of few values, so that many are equal somewhere."""
    return st.integers(1, 4).flatmap(
        lambda m: st.lists(st.tuples(*[st.integers(0, 3)] * m), min_size=1, max_size=12)
    )


def beats(one, other):
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def peeled(found):
    """Ranks by definition: whoever nobody that is left beats, then again without them."""
    left, rank, level = set(range(len(found))), {}, 0
    while left:
        front = {i for i in left if not any(beats(found[j], found[i]) for j in left)}
        rank |= dict.fromkeys(front, level)
        left -= front
        level += 1
    return [rank[i] for i in range(len(found))]


def array(found):
    return np.array(found, dtype=float)


def test_ranks_are_fronts_peeled_off_one_after_the_other():
    # (2, 4) loses to (1, 4) and to (2, 2); (3, 3) to (2, 2); neither to the other; (5, 5) to both.
    found = array([[5, 5], [2, 4], [1, 4], [3, 3], [2, 2], [4, 1]])

    assert ranks(found).tolist() == [2, 1, 0, 1, 0, 0]
    assert is_efficient(found).tolist() == [False, False, True, False, True, True]


def test_equal_rows_have_one_rank():
    assert ranks(array([[1, 1], [2, 2], [1, 1], [2, 2]])).tolist() == [0, 1, 0, 1]


def test_no_row_has_no_rank_and_no_place():
    nothing = np.empty((0, 2))

    assert len(is_efficient(nothing)) == len(ranks(nothing)) == len(positions(nothing)) == 0


def test_room_is_the_sum_of_the_sides_between_the_neighbours_each_as_a_share_of_its_range():
    inner = [(4 - 0) / 8 + (8 - 2) / 8, (8 - 1) / 8 + (4 - 0) / 8]

    assert crowding(array(FRONT)).tolist() == [np.inf, *inner, np.inf]


def test_an_objective_that_is_equal_everywhere_gives_no_room():
    # The second objective: 10 wide in the first, and of no width itself.
    assert crowding(array([[0, 7], [4, 7], [10, 7]])).tolist() == [np.inf, (10 - 0) / 10, np.inf]
    assert crowding(array([[3, 7]])).tolist() == [np.inf]


def test_places_go_by_rank_then_by_room_then_by_the_first_objective():
    # Room by hand, above: (4, 2) has 1.375, (1, 4) has 1.25, both ends have no end of it.
    found = array([[9, 9], *FRONT])

    assert positions(found).tolist() == [4, 0, 3, 2, 1]


def test_places_are_those_of_the_rows_and_no_permutation_that_sorts_them():
    # The permutation that sorts is 1, 2, 0: who takes it for the places lets the last row win.
    assert positions(array([[0.3], [0.1], [0.2]])).tolist() == [2, 0, 1]


def test_room_does_not_depend_on_the_order_of_rows_that_are_equal_in_one_objective():
    # Three objectives: three of four rows are equal in the first, and no row is better than another.
    found = array([[1, 0, 9], [1, 3, 6], [1, 6, 0], [0, 9, 9]])

    assert crowding(found[::-1])[::-1].tolist() == crowding(found).tolist()


@given(rows())
def test_ranks_are_those_of_the_definition(found):
    assert ranks(array(found)).tolist() == peeled(found)


@given(rows())
def test_nobody_dominates_the_front_and_somebody_on_it_dominates_each_other_row(found):
    on = is_efficient(array(found)).tolist()
    efficient = [row for row, kept in zip(found, on, strict=True) if kept]

    assert not any(beats(one, other) for one in found for other in efficient)
    assert all(kept or any(beats(one, row) for one in efficient) for row, kept in zip(found, on, strict=True))


@given(rows())
def test_the_front_has_each_efficient_row_once_in_the_order_in_which_they_come(found):
    efficient = [row for row, kept in zip(found, is_efficient(array(found)), strict=True) if kept]

    assert [tuple(row) for row in front(array(found))] == list(dict.fromkeys(efficient))


@pytest.mark.parametrize("rows", [[[np.nan, 1]], [[0, 2], [1, np.nan], [2, 1]]])
def test_a_row_without_a_value_is_refused(rows):
    with pytest.raises(ValueError, match="without a value cannot be ranked"):
        is_efficient(array(rows))
    with pytest.raises(ValueError, match="without a value cannot be ranked"):
        ranks(array(rows))


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=9, unique=True), st.randoms())
def test_room_is_that_of_the_definition(values, chance):
    columns = [chance.sample(values, len(values)) for _ in range(3)]
    wanted = np.zeros(len(values))
    for column in columns:
        ordered = sorted(column)
        for row, value in enumerate(column):
            place = ordered.index(value)
            ends = place in (0, len(values) - 1)
            width = ordered[-1] - ordered[0]
            wanted[row] += np.inf if ends else (ordered[place + 1] - ordered[place - 1]) / width

    assert crowding(np.array(columns).T) == pytest.approx(wanted)


@given(rows(), st.randoms())
def test_the_order_of_the_rows_does_not_matter(found, chance):
    shuffled = chance.sample(found, len(found))
    one, other = ([rows[i] for i in positions(array(rows)).argsort()] for rows in (found, shuffled))

    assert one == other


@given(rows())
def test_every_place_is_taken_once_and_a_better_rank_comes_first(found):
    place = positions(array(found)).tolist()
    rank = ranks(array(found))

    assert sorted(place) == list(range(len(found)))
    assert np.all(np.diff(rank[np.argsort(place)]) >= 0)
