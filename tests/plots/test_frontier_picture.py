"""The Pareto front as a picture: every family has its mark, and every format and setting its own."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from archsearch.plots.frontier import frontier_figure
from archsearch.plots.style import save_figure


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_the_ending_of_a_picture_decides_its_format(run, tmp_path, ending):
    picture = tmp_path / f"frontier.{ending}"
    save_figure(frontier_figure(run.trials, run.frontier, "macs", "a title"), picture)

    assert picture.read_bytes().startswith({"svg": b"<?xml", "pdf": b"%PDF"}[ending])


def test_every_family_can_be_drawn(run, tmp_path):
    names = ["all-local", "mixed", "all-global", *(f"global-from-{stage}" for stage in range(12))]
    trained = run.trials[run.trials["outcome"] == "trained"].head(1)
    trials = pd.concat([trained] * len(names)).assign(family=names, macs=np.arange(1, len(names) + 1))
    picture = tmp_path / "families.svg"
    save_figure(frontier_figure(trials, trials.head(1), "macs", "all families"), picture)

    assert all(name in picture.read_text() for name in names)


def test_drawing_leaves_the_settings_of_others_alone(run, tmp_path):
    before = dict(mpl.rcParams)
    save_figure(frontier_figure(run.trials, run.frontier, "macs", "a title"), tmp_path / "a.png")

    assert dict(mpl.rcParams) == before


def test_a_cost_of_the_users_own_is_drawn_under_its_name(run):
    trials = run.trials.assign(energy_mj=run.trials["macs"] / 1e6)
    figure = frontier_figure(trials, trials[trials["on_frontier"]], "energy_mj")

    assert figure.axes[0].get_xlabel() == "energy_mj"
