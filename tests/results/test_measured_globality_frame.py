"""The winners' measured globality as a frame, as a file, and in sentences."""

import math

import pandas as pd
import pytest
from scipy import stats

from archsearch.results import load_run
from archsearch.results.measured_globality import (
    COLUMNS,
    measured_globality_frame,
    measured_globality_lines,
    no_measured_globality,
)
from archsearch.results.run import write_tables


def entry(*values, distance=None, source="search"):
    return {
        "source": source,
        "networks": len(values),
        "images": 32,
        "realised_globality": list(values),
        "attention_distance": distance,
        "erf_side": [0.25] * len(values),
        "mixers": [],
        "seconds": 0.1,
    }


def trained(count, globality=None):
    """Trials of the search, one architecture each."""
    values = globality or [number / 10 for number in range(count)]
    return pd.DataFrame(
        {
            "architecture": [f"a{number}" for number in range(count)],
            "number": range(count),
            "layout": "P-C",
            "family": "all-local",
            "globality": values,
            "outcome": "trained",
        }
    )


def asked(realised, **settings):
    """The frame of as many winners."""
    attributes = {f"realised:a{number}": entry(value, **settings) for number, value in enumerate(realised)}
    return measured_globality_frame(attributes, trained(len(realised)))


def test_it_has_the_documented_columns_and_types_even_if_it_is_empty():
    for frame in (no_measured_globality(), measured_globality_frame({}, trained(2)), asked([0.1])):
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == COLUMNS


def test_several_seeds_come_to_their_mean_and_student_s_interval():
    values = [0.2, 0.3, 0.4]
    frame = measured_globality_frame(
        {"realised:a0": entry(*values, distance=[0.5, 0.6, 0.7], source="finals")}, trained(1)
    )

    (row,) = frame.to_dict("records")
    low, high = stats.t.interval(0.95, 2, loc=0.3, scale=stats.sem(values))
    assert row["measured_globality"] == pytest.approx(0.3)
    assert (row["measured_low"], row["measured_high"]) == pytest.approx((low, high))
    assert row["attention_distance"] == pytest.approx(0.6)
    assert (row["source"], row["images"], row["erf_side"]) == ("finals", 32, 0.25)


def test_one_seed_has_no_interval_and_a_network_without_attention_no_distance():
    (row,) = asked([0.2]).to_dict("records")

    assert all(pd.isna(row[name]) for name in ("measured_low", "measured_high", "attention_distance"))


def test_an_interval_stays_within_what_a_reach_can_be():
    (row,) = measured_globality_frame({"realised:a0": entry(0.0, 0.5)}, trained(1)).to_dict("records")

    assert (row["measured_low"], row["measured_high"]) == (0.0, 1.0)


def test_who_is_being_asked_or_broke_has_no_row():
    attributes = {
        "realised:a0": {"worker": "somebody"},
        "realised:a1": {"source": "search", "networks": 1, "images": 32, "error": "realised: broken"},
        "realised:a2": entry(0.2),
        "final:a0:0": {"top1": 0.5},
    }

    assert list(measured_globality_frame(attributes, trained(3))["architecture"]) == ["a2"]


def test_no_winners_no_sentence():
    assert measured_globality_lines(no_measured_globality()) == []


def test_fewer_than_five_winners_rank_nothing():
    said = ["Measured globality: 4 trained winners, and a rank correlation with globality needs 5."]

    assert measured_globality_lines(asked([0.1, 0.2, 0.3, 0.4])) == said
    assert measured_globality_lines(asked([0.1]))[0].startswith("Measured globality: 1 trained winner,")


def test_where_globality_ranks_as_the_networks_do_the_axis_says_so():
    (line,) = measured_globality_lines(asked([0.1, 0.2, 0.3, 0.5, 0.4, 0.6]))

    # One of the neighbouring pairs is swapped: 1 - 6 * 2 / (6 * 35).
    assert f"rho with globality {1 - 12 / 210:.2f} [" in line
    assert line.endswith("6 trained winners: the axis says what they do.")


def test_where_it_does_not_the_axis_is_nominal():
    (line,) = measured_globality_lines(asked([0.6, 0.5, 0.1, 0.2, 0.4, 0.3]))

    assert line.endswith("the axis is nominal here.")


def test_winners_of_one_globality_cannot_be_ranked_by_it():
    frame = measured_globality_frame(
        {f"realised:a{n}": entry(n / 10) for n in range(5)}, trained(5, globality=[0.5] * 5)
    )

    assert measured_globality_lines(frame)[0].endswith(
        "one and the same globality, which nothing can be ranked by."
    )


def test_the_attentions_are_said_to_look_so_far():
    lines = measured_globality_lines(asked([0.1, 0.2], distance=[0.75]))

    assert lines[1] == "Attention of 2 of them looks 0.75 to 0.75 times as far as uniform attention would."


def test_a_run_in_which_nobody_was_asked_has_an_empty_frame_and_no_file(run):
    assert run.measured_globality.empty
    assert not (run.folder / "measured_globality.csv").exists()


def test_the_frame_is_written_with_the_results(copy):
    run = load_run(copy)
    rows = run.trials[run.trials["outcome"] == "trained"]
    frame = measured_globality_frame({f"realised:{rows['architecture'].iloc[0]}": entry(0.25)}, run.trials)
    object.__setattr__(run, "measured_globality", frame)
    (copy / "realised.csv").write_text("of an older version")
    write_tables(run)

    written = pd.read_csv(copy / "measured_globality.csv")
    assert list(written["measured_globality"]) == [0.25]
    assert not (copy / "realised.csv").exists()
    assert math.isnan(written["attention_distance"][0])
