"""The one grid: that of the map, and that at which a search aims."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.stats.cells import Grid


def test_candidates_of_one_cost_share_a_column():
    grid = Grid.of(pd.Series([5.0, 5.0]))

    assert grid.cells == 5
    assert grid.place(0.5, 5.0) == (2, 0)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0.01, 1e9)),
        min_size=1,
        max_size=20,
    )
)
def test_every_candidate_lies_in_the_cell_whose_edges_hold_it(points):
    grid = Grid.of(pd.Series([cost for _, cost in points]))
    for globality, cost in points:
        row, column = grid.place(globality, cost)

        assert grid.globality[row] <= globality <= grid.globality[row + 1]
        assert grid.cost[column] <= cost <= grid.cost[column + 1]


def test_cells_are_fifths_of_globality_and_of_the_logarithm_of_cost():
    grid = Grid.of([1.0, 32.0])
    found = [grid.place(*point) for point in ((0.0, 1), (0.19, 1.9), (0.2, 2.1), (1.0, 32), (0.99, 31.9))]

    assert grid.cells == 25
    assert found == [(0, 0), (0, 0), (1, 1), (4, 4), (4, 4)]


@pytest.mark.parametrize(("globality", "row"), [(0.2, 1), (0.4, 2), (0.6, 3), (0.8, 4), (1.0, 4)])
def test_a_candidate_on_an_edge_belongs_to_the_cell_above_it_and_the_last_edge_to_the_last_cell(
    globality, row
):
    assert Grid.of([1.0, 2.0]).place(globality, 1.0) == (row, 0)


def test_what_is_cheaper_or_dearer_than_the_grid_belongs_to_its_outermost_cells():
    grid = Grid.of([1.0, 32.0])

    assert grid.place(0.5, 0.01) == (2, 0)
    assert grid.place(0.5, 1e9) == (2, 4)


def test_a_grid_of_no_candidate_has_one_column():
    assert Grid.of([]).cells == 5
