"""The proxy report: by hand on small tables, then its verdicts and its sentences."""

import math

import numpy as np
import pandas as pd
import pytest

from archsearch.results.proxies import proxy_lines, proxy_report, useful
from archsearch.storage.trial_record import FIELDS

COUNT = 32
PAIRS = COUNT * (COUNT - 1) // 2  # 496
FINAL = np.arange(COUNT) / 100
# Neighbours swapped: 16 of 496 pairs are discordant with the final training.
SWAPPED = np.arange(COUNT) ^ 1
# Halves swapped: 16 * 16 pairs are discordant, so that tau is (496 - 2 * 256) / 496.
HALVES = (np.arange(COUNT) + 16) % COUNT
SIGNED = {
    **dict.fromkeys(["params", "macs", "activations", "latency_ms"], 1),
    **dict.fromkeys(["nwot", "nwot_per_image", "synflow", "trainability"], 1),
    "rung_1_top1": 1,
    "rung_1_train_loss": -1,
    "rung_2_top1": 1,
    "rung_10_train_loss": -1,
}


def trials(count=COUNT, **columns):
    """Trained candidates whose final accuracy grows with their number, and whose MACs say little."""
    frame = pd.DataFrame({"outcome": "trained", "top1": FINAL, "macs": HALVES, **columns})
    return frame.iloc[:count]


def noisy(count=60, seed=0, **noise):
    """Candidates with columns that are the final accuracy and noise of this deviation; its own is 1."""
    generator = np.random.default_rng(seed)
    final = generator.normal(size=count)
    columns = {name: final + level * generator.normal(size=count) for name, level in noise.items()}
    return pd.DataFrame({"outcome": "trained", "top1": final, **columns})


def entry(report, proxy, within="all"):
    rows = report[(report["proxy"] == proxy) & (report["within"] == within)]
    assert len(rows) == 1
    return rows.iloc[0]


def within(report, proxy):
    return list(report.loc[report["proxy"] == proxy, "within"])


def numbers(row):
    return row[["kendall", "kendall_low", "kendall_high", "spearman", "spearman_low", "spearman_high"]]


def test_tau_by_hand():
    found = entry(proxy_report(trials(nwot=SWAPPED)), "nwot")

    assert found["kendall"] == pytest.approx((PAIRS - 2 * 16) / PAIRS)
    assert found["candidates"] == COUNT


def test_rho_by_hand():
    # Every rank is off by one: 1 - 6 * 32 / (32 * (32^2 - 1)).
    found = entry(proxy_report(trials(nwot=SWAPPED)), "nwot")

    assert found["spearman"] == pytest.approx(1 - 6 / (COUNT**2 - 1))


def test_tau_at_fixed_macs_by_hand():
    # Swapped neighbours and crossed halves are discordant with MACs: 16 + 256 pairs.
    xy, xz, yz = ((PAIRS - 2 * discordant) / PAIRS for discordant in (16, 272, 256))

    found = entry(proxy_report(trials(nwot=SWAPPED)), "nwot", "given macs")

    assert found["kendall"] == pytest.approx((xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2)))


def test_the_difference_to_macs_by_hand():
    found = entry(proxy_report(trials(nwot=SWAPPED)), "nwot", "minus macs")

    assert found["kendall"] == pytest.approx(2 * (256 - 16) / PAIRS)


def test_every_value_lies_in_its_interval():
    report = proxy_report(noisy(macs=1, nwot=1, synflow=2))

    for name in ("kendall", "spearman"):
        assert (report[f"{name}_low"] < report[name]).all()
        assert (report[name] < report[f"{name}_high"]).all()


def test_the_same_trials_give_the_same_report():
    frame = noisy(macs=1, nwot=1)

    assert proxy_report(frame).equals(proxy_report(frame))


@pytest.mark.parametrize(("proxy", "sign"), SIGNED.items())
def test_a_positive_tau_says_that_the_proxy_ranks_as_it_is_meant_to(proxy, sign):
    report = proxy_report(trials(**{proxy: sign * np.arange(COUNT)}))

    assert entry(report, proxy)["kendall"] == 1


def test_proxies_come_costs_first_and_then_by_rung():
    report = proxy_report(trials(**dict.fromkeys(reversed(SIGNED), SWAPPED)))

    assert list(report["proxy"].unique()) == [
        *("macs", "params", "activations", "latency_ms"),
        *("nwot", "nwot_per_image", "synflow", "trainability"),
        *("rung_1_top1", "rung_1_train_loss", "rung_2_top1", "rung_10_train_loss"),
    ]


def test_globality_accuracies_and_other_numbers_are_no_proxies():
    frame = trials(globality=0.5, seconds=SWAPPED, val_loss=SWAPPED, train_loss=SWAPPED, number=SWAPPED)

    assert set(proxy_report(frame)["proxy"]) == {"macs"}


def test_a_rung_that_is_the_final_training_is_no_proxy():
    assert set(proxy_report(trials(rung_2_top1=FINAL))["proxy"]) == {"macs"}


def test_another_final_column_may_be_asked_for():
    frame = trials(test_top1=-FINAL, nwot=np.arange(COUNT))

    assert entry(proxy_report(frame, "test_top1"), "nwot")["kendall"] == -1


def test_a_final_column_is_no_proxy_of_itself():
    frame = trials(rung_1_top1=SWAPPED, rung_2_top1=FINAL)

    assert set(proxy_report(frame, "rung_2_top1")["proxy"]) == {"macs", "rung_1_top1"}


def test_a_final_column_that_there_is_not_is_told():
    with pytest.raises(KeyError, match="top5"):
        proxy_report(trials(), "top5")


def test_columns_have_their_types():
    report = proxy_report(trials(family="all-local", globality=0.1))

    assert report.dtypes.astype(str).to_dict() == {
        **dict.fromkeys(["proxy", "within", "status"], "string"),
        "candidates": "Int64",
        **dict.fromkeys(["kendall", "kendall_low", "kendall_high"], "Float64"),
        **dict.fromkeys(["spearman", "spearman_low", "spearman_high"], "Float64"),
        **dict.fromkeys(["globality_from", "globality_to"], "Float64"),
    }


@pytest.mark.parametrize("frame", [trials(0), trials().assign(outcome="failed"), trials().assign(top1=pd.NA)])
def test_without_final_trainings_the_report_is_empty(frame):
    report = proxy_report(frame)

    assert report.empty
    assert list(report.columns) == list(proxy_report(trials()).columns)


def test_the_frame_of_a_run_is_what_it_takes(run):
    report = proxy_report(run.trials)

    assert set(report["proxy"]) == {"macs", "params", "activations", "latency_ms"}
    assert set(report["candidates"]) <= set(range(1, 7))
    assert set(report["status"].dropna()) == {"too few"}


def test_all_static_costs_are_fields_of_the_record():
    assert {"macs", "params", "activations", "latency_ms", "globality", "family"} <= set(FIELDS)


def test_only_trained_candidates_count():
    frame = trials(nwot=np.arange(COUNT))
    frame.loc[:1, "outcome"] = ["infeasible", pd.NA]
    frame.loc[:1, "nwot"] = 99

    assert numbers(entry(proxy_report(frame), "nwot"))["kendall"] == 1
    assert entry(proxy_report(frame), "nwot")["candidates"] == COUNT - 2


@pytest.mark.parametrize("missing", [pd.NA, np.nan, -np.inf, np.inf])
@pytest.mark.parametrize("column", ["nwot", "top1"])
def test_candidates_without_a_finite_proxy_and_final_are_left_out(column, missing):
    frame = trials(nwot=np.arange(COUNT)).astype({"nwot": "Float64", "top1": "Float64"})
    frame.loc[5, column] = missing
    found = entry(proxy_report(frame), "nwot")

    assert found["candidates"] == COUNT - 1
    assert found["kendall"] == 1


def test_one_proxy_may_have_fewer_candidates_than_another():
    frame = trials(nwot=SWAPPED.astype(float), synflow=SWAPPED)
    frame.loc[20:, "nwot"] = np.nan
    report = proxy_report(frame)

    assert entry(report, "nwot")["candidates"] == entry(report, "nwot", "given macs")["candidates"] == 20
    assert entry(report, "synflow")["candidates"] == COUNT


def test_candidates_without_macs_count_where_macs_are_not_asked_for():
    frame = trials(nwot=SWAPPED).astype({"macs": "Int64"})
    frame.loc[30:, "macs"] = pd.NA
    report = proxy_report(frame)

    assert entry(report, "nwot")["candidates"] == COUNT
    assert entry(report, "nwot", "given macs")["candidates"] == 30


@pytest.mark.parametrize("nothing", [pd.NA, None, np.nan])
def test_a_column_of_nothing_has_no_rows(nothing):
    frame = trials(nwot=pd.Series([nothing] * COUNT, dtype=object), globality=np.nan, family=pd.NA)
    report = proxy_report(frame)

    assert set(report["proxy"]) == {"macs"}
    assert set(report["within"]) == {"all"}


def test_row_labels_that_come_twice_do_no_harm():
    frame = trials(nwot=SWAPPED, family=["all-local"] * 16 + ["all-global"] * 16)
    twice = frame.set_index(np.arange(COUNT) % 16)

    assert proxy_report(twice).equals(proxy_report(frame))


def test_macs_have_no_rows_beside_themselves():
    assert within(proxy_report(trials()), "macs") == ["all"]


def test_families_come_from_local_to_global():
    names = ["all-global", "mixed", "global-from-1", "all-local"]
    report = proxy_report(trials(nwot=SWAPPED, family=np.resize(names, COUNT)))

    assert within(report, "nwot") == [
        *("all", "given macs", "minus macs"),
        *("family all-local", "family global-from-1", "family mixed", "family all-global"),
    ]


def test_a_family_is_ranked_within_itself():
    # Convolutions in order, token networks in reverse.
    proxy = np.concatenate([np.arange(16), -np.arange(16)])
    report = proxy_report(trials(nwot=proxy, family=["all-local"] * 16 + ["all-global"] * 16))

    assert entry(report, "nwot", "family all-local")["kendall"] == 1
    assert entry(report, "nwot", "family all-global")["kendall"] == -1
    assert entry(report, "nwot", "family all-global")["candidates"] == 16


def test_a_single_family_ranks_as_all_do():
    report = proxy_report(trials(nwot=SWAPPED, family="all-local"))

    assert numbers(entry(report, "nwot", "family all-local")).equals(numbers(entry(report, "nwot")))


def test_a_family_of_four_is_counted_but_not_ranked():
    report = proxy_report(trials(nwot=SWAPPED, family=["mixed"] * 4 + ["all-local"] * 28))
    found = entry(report, "nwot", "family mixed")

    assert found["candidates"] == 4
    assert numbers(found).isna().all()


def test_a_family_that_lacks_a_proxy_has_no_row_of_it():
    frame = trials(nwot=[np.nan] * 16 + [*range(16)], family=["all-local"] * 16 + ["all-global"] * 16)

    assert "family all-local" not in within(proxy_report(frame), "nwot")


def test_thirds_by_globality_state_what_they_hold():
    frame = trials(30, globality=np.arange(COUNT) / 29)
    report = proxy_report(frame)
    third = {name: entry(report, "macs", f"globality {name}") for name in ("low", "middle", "high")}

    assert {name: row["candidates"] for name, row in third.items()} == {"low": 10, "middle": 10, "high": 10}
    assert [row["globality_from"] for row in third.values()] == pytest.approx([0, 10 / 29, 20 / 29])
    assert [row["globality_to"] for row in third.values()] == pytest.approx([9 / 29, 19 / 29, 1])


def test_candidates_of_one_globality_stay_together():
    report = proxy_report(trials(globality=[0.1] * 20 + [0.9] * 12))

    assert within(report, "macs") == ["all", "globality low", "globality middle"]
    assert entry(report, "macs", "globality middle")["globality_from"] == 0.9


def test_without_globality_its_range_is_missing():
    assert pd.isna(entry(proxy_report(trials()), "macs")["globality_from"])


def test_a_constant_proxy_has_no_numbers_and_is_off():
    report = proxy_report(trials(nwot=1.0))

    assert numbers(entry(report, "nwot")).isna().all()
    assert entry(report, "nwot")["status"] == "off"


def test_a_proxy_that_ranks_exactly_as_macs_is_off():
    report = proxy_report(trials(params=HALVES))

    assert numbers(entry(report, "params", "given macs")).isna().all()
    assert entry(report, "params")["status"] == "off"
    assert entry(report, "params", "minus macs")["kendall"] == 0


@pytest.mark.parametrize(("count", "status"), [(29, "too few"), (30, "on")])
def test_thirty_final_trainings_are_enough_and_29_are_not(count, status):
    report = proxy_report(trials(count, nwot=SWAPPED))

    assert entry(report, "nwot")["status"] == status


def test_the_status_is_that_of_the_proxy_and_stands_in_its_first_row():
    report = proxy_report(trials(nwot=SWAPPED, family="all-local"))

    assert (report["status"].notna() == (report["within"] == "all")).all()


def test_noise_is_off():
    assert entry(proxy_report(noisy(macs=1, nwot=30)), "nwot")["status"] == "off"


def test_what_ranks_backwards_is_off():
    report = proxy_report(trials(nwot=-SWAPPED))

    assert entry(report, "nwot", "given macs")["kendall_high"] < 0
    assert entry(report, "nwot")["status"] == "off"


def test_what_is_size_in_disguise_is_off_and_macs_are_on():
    frame = noisy(120, macs=0.5)
    frame["synflow"] = frame["macs"] + np.random.default_rng(9).normal(size=120) / 4
    report = proxy_report(frame)

    assert entry(report, "synflow")["kendall_low"] > 0.3
    assert entry(report, "synflow")["status"] == "off"
    assert entry(report, "macs")["status"] == "on"


def test_tau_at_fixed_macs_alone_would_take_size_in_disguise_for_more():
    frame = noisy(120, macs=0.5)
    frame["synflow"] = frame["macs"] + np.random.default_rng(9).normal(size=120) / 4
    given = entry(proxy_report(frame), "synflow", "given macs")

    assert given["kendall_low"] > 0
    assert given["spearman_low"] < 0
    assert told(frame)[-1] == (
        "Switched off, as tau and rho at fixed MACs are not both surely above 0:"
        f" synflow rho {text(given, 'spearman')}."
    )


def test_macs_that_do_not_rank_are_off_too():
    assert entry(proxy_report(trials()), "macs")["status"] == "off"


@pytest.mark.parametrize("nothing", [{}, {"macs": pd.NA}])
def test_without_macs_no_proxy_is_on(nothing):
    frame = trials(nwot=SWAPPED).drop(columns="macs").assign(**nothing)

    assert entry(proxy_report(frame), "nwot")["status"] == "off"
    assert entry(proxy_report(frame.iloc[:29]), "nwot")["status"] == "too few"


def test_useful_are_those_that_are_on():
    report = proxy_report(trials(nwot=SWAPPED, synflow=-SWAPPED, trainability=1.0))

    assert useful(report) == {"nwot"}
    assert useful(proxy_report(trials(29, nwot=SWAPPED))) == frozenset()
    assert useful(proxy_report(trials(0))) == frozenset()


def test_a_report_that_was_a_file_is_as_good(tmp_path):
    report = proxy_report(noisy(macs=1, nwot=1).assign(synflow=1.0, family="all-local"))
    report.to_csv(tmp_path / "proxies.csv", index=False)
    report.to_parquet(tmp_path / "proxies.parquet")

    for read in (pd.read_csv(tmp_path / "proxies.csv"), pd.read_parquet(tmp_path / "proxies.parquet")):
        assert useful(read) == useful(report)
        assert proxy_lines(read) == proxy_lines(report)


def text(row, method="kendall"):
    return f"{row[method]:.2f} ({row[f'{method}_low']:.2f} to {row[f'{method}_high']:.2f})"


def told(frame):
    return proxy_lines(proxy_report(frame))


def test_below_thirty_nothing_is_claimed():
    assert told(trials(29, nwot=SWAPPED)) == [
        "29 final trainings are too few to judge a proxy by: 30 are needed.",
        "So no candidate may be rejected by a proxy.",
    ]


def test_without_trainings_there_are_none_to_judge_by():
    assert told(trials(0))[0] == "0 final trainings are too few to judge a proxy by: 30 are needed."


def test_below_thirty_nothing_is_claimed_without_macs_either():
    assert len(told(trials(29, nwot=SWAPPED).drop(columns="macs"))) == 2


def test_trainings_that_are_all_alike_judge_nothing():
    assert told(trials(nwot=SWAPPED).assign(top1=0.5))[0] == (
        "No proxy can be judged by 32 final trainings: they, or the proxies, are all alike."
    )


def test_the_best_proxy_is_told_with_its_interval_and_number():
    report = proxy_report(noisy(macs=1, nwot=0.3))
    found = entry(report, "nwot")

    assert proxy_lines(report)[0] == (
        f"Best of 2: nwot ranks as the final training does, with tau {text(found)}, 95 % interval, 60 candidates."
    )


def test_the_best_of_noise_is_not_called_good():
    assert told(noisy(macs=30, nwot=40, seed=4))[0].startswith(
        "None of 2 surely ranks as the final training does"
    )


AGAINST = {
    "nwot ranks better than MACs: ": {"macs": 3, "nwot": 0.3},
    "Whether nwot ranks better than MACs is open: ": {"macs": 0.6, "nwot": 0.55},
    "MACs rank better than nwot, the next: ": {"macs": 0.3, "nwot": 3},
}


@pytest.mark.parametrize(("beginning", "noise"), AGAINST.items())
def test_the_best_proxy_is_compared_with_macs(beginning, noise):
    report = proxy_report(noisy(**noise))
    minus, given = (entry(report, "nwot", name) for name in ("minus macs", "given macs"))

    assert proxy_lines(report)[1] == (
        f"{beginning}tau differs by {text(minus)}, and at fixed MACs rho is {text(given, 'spearman')}."
    )


def test_macs_are_not_compared_with_what_too_few_candidates_have():
    frame = noisy(macs=0.3, nwot=3, rung_1_top1=0.1)
    frame.loc[12:, "rung_1_top1"] = np.nan

    assert told(frame)[1].startswith("MACs rank better than nwot, the next: ")


def test_a_copy_of_macs_is_compared_without_a_number_that_is_none():
    frame = noisy(macs=0.3).eval("params = 2 * macs")

    assert told(frame)[1] == (
        "Whether params ranks better than MACs is open:"
        " tau differs by 0.00 (0.00 to 0.00), and at fixed MACs rho is undefined."
    )


def test_without_macs_the_switched_off_are_told_why():
    assert told(trials(nwot=SWAPPED).drop(columns="macs"))[-1].endswith(": nwot not asked, without MACs.")


def test_without_another_proxy_macs_are_compared_with_none():
    lines = told(noisy(macs=1))

    assert len(lines) == 2
    assert lines[0].startswith("Best of 1: macs ")
    assert lines[1] == "No proxy is switched off."


def families_of(frame, worse):
    """Half of the candidates are token networks, in which the proxy is noisier."""
    noise = np.where(np.arange(len(frame)) % 2, worse, 0.0)
    drawn = np.random.default_rng(7).normal(size=len(frame))
    return frame.assign(
        family=np.resize(["all-local", "all-global"], len(frame)), nwot=frame["nwot"] + noise * drawn
    )


def test_the_family_in_which_the_best_proxy_ranks_worst_is_told():
    lines = told(families_of(noisy(120, macs=9, nwot=0.1), 3))

    assert "nwot ranks worst in family all-global, " in lines[2]
    assert " of 60 candidates, and best in family all-local, " in lines[2]
    assert "do not separate" not in lines[2]


def test_families_that_the_intervals_do_not_separate_are_told_so():
    lines = told(families_of(noisy(60, macs=9, nwot=0.5), 0))

    assert lines[2].endswith("; the intervals do not separate the two.")


def test_a_single_family_is_not_the_worst_one():
    assert not any("worst" in line for line in told(noisy(macs=9, nwot=1).assign(family="all-local")))


def test_what_is_switched_off_is_told_with_its_figure():
    report = proxy_report(trials(nwot=SWAPPED, synflow=-SWAPPED, trainability=1.0))
    macs, synflow = entry(report, "macs"), entry(report, "synflow", "given macs")

    assert proxy_lines(report)[-1] == (
        "Switched off, as tau and rho at fixed MACs are not both surely above 0:"
        f" macs tau {text(macs)}, synflow tau {text(synflow)}, trainability tau undefined."
    )


def test_what_too_few_candidates_have_is_told():
    frame = noisy(macs=9, nwot=1, rung_1_top1=1)
    frame.loc[12:, "rung_1_top1"] = np.nan

    assert told(frame)[-1] == "Not judged, for fewer than 30 final trainings: rung_1_top1 (12)."


def test_there_are_never_more_than_six_sentences():
    frame = families_of(noisy(120, macs=9, nwot=0.5, synflow=50, rung_1_top1=1), 1)
    frame.loc[12:, "rung_1_top1"] = np.nan

    assert 2 <= len(told(frame)) <= 6
