"""What the dashboard shows beyond what it finds by itself: constraints, best trials, notes, files, figures."""

import csv
import io
import json
import time
import xml.etree.ElementTree as ET

import pytest
from dashboard_client import add, serving

from archsearch.results import load_run
from archsearch.space import load_architecture
from archsearch.storage.open import close, load_for_work

STUDY = "/api/studies/1"


def detail(site):
    return json.loads(site.ask(STUDY)[2])


@pytest.fixture(scope="module")
def shown(site):
    """The study as the page gets it."""
    return detail(site)


@pytest.fixture(scope="module")
def trials(searched):
    """Optuna's own reading of the record, by trial id."""
    study = load_for_work(searched / "study.db")
    yield {trial._trial_id: trial for trial in study.trials}
    close(study)


def of_outcome(shown, outcome):
    wanted = {"key": "outcome", "value": outcome}
    return [trial for trial in shown["trials"] if wanted in trial["user_attrs"]]


def test_the_objectives_have_their_names(shown):
    assert shown["objective_names"] == ["top1", "macs"]


def test_every_trial_has_its_constraints(shown, trials):
    assert {t["trial_id"]: t["constraints"] for t in shown["trials"]} == {
        id_: list(trial.constraints.values()) for id_, trial in trials.items()
    }
    assert all(max(trial["constraints"]) > 0 for trial in of_outcome(shown, "infeasible"))


def test_an_infeasible_candidate_is_pruned_without_values(shown):
    infeasible = of_outcome(shown, "infeasible")

    assert infeasible
    assert {(trial["state"], "values" in trial) for trial in infeasible} == {("Pruned", False)}


def test_the_best_trials_respect_the_constraints(folder):
    winner = add(folder, excess=1.0, values=[1.0, 1.0])
    with serving(folder) as site:
        best = {trial["number"] for trial in detail(site)["best_trials"]}
    study = load_for_work(folder / "study.db")

    assert best == {trial.number for trial in study.best_trials}
    assert winner not in best
    close(study)


def test_a_trial_that_is_added_later_appears(folder):
    with serving(folder) as site:
        before = len(detail(site)["trials"])
        number = add(folder, values=[0.99, 1.0], top1=0.99, macs=1)
        until = time.monotonic() + 20
        while len((after := detail(site))["trials"]) == before and time.monotonic() < until:
            time.sleep(0.2)

    assert [trial["number"] for trial in after["trials"]][before:] == [number]
    assert number in {trial["number"] for trial in after["best_trials"]}
    assert f"trial {number}<" in after["plotly_graph_objects"][0]["graph_object"]


def test_looking_leaves_the_record_as_it_was(folder):
    before = (folder / "study.db").read_bytes()
    with serving(folder) as site:
        for path in ("/", "/dashboard", STUDY, f"{STUDY}/param_importances", "/csv/1"):
            assert site.ask(path)[0] in (200, 302)

    assert (folder / "study.db").read_bytes() == before


def test_a_trials_note_has_its_drawing_its_parts_and_its_limits(shown):
    trial = of_outcome(shown, "infeasible")[0]
    body = trial["note"]["body"]

    assert "**infeasible** (over a limit: never trained, no values)" in body
    assert f"](/artifacts/1/{trial['trial_id']}/" in body
    assert "| part" in body
    assert "stages.0" in body
    assert "| params" in body
    assert "over" in body.splitlines()[-1]


def test_the_note_of_a_study_counts_its_outcomes(shown):
    body = shown["note"]["body"]

    assert f"| infeasible\u2003 | {len(of_outcome(shown, 'infeasible'))}\u2003 |" in body
    assert "Read-only" in body


def test_a_note_that_somebody_wrote_is_kept(folder):
    with serving(folder, writable=True) as site:
        number = detail(site)["trials"][0]["trial_id"]
        ask(site, f"{STUDY}/{number}/note", {"version": 1, "body": "look at this one"})
        note = detail(site)["trials"][0]["note"]

    assert note == {"version": 1, "body": "look at this one"}


def ask(site, path, content):
    import urllib.request

    data = json.dumps(content).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(site.address + path, data=data, headers=headers, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 204


def test_a_trial_without_an_architecture_says_so(folder):
    study = load_for_work(folder / "study.db")
    study.ask()
    close(study)
    with serving(folder) as site:
        last = detail(site)["trials"][-1]

    assert (last["note"]["body"], last["artifacts"]) == ("no architecture is recorded", [])


def test_an_architecture_of_another_version_does_not_hide_the_study(folder):
    number = add(folder, description='{"stages": "of another kind"}')
    with serving(folder) as site:
        body = detail(site)["trials"][number]["note"]["body"]

    assert "this version cannot read the architecture" in body


def test_every_file_that_is_listed_is_there(site, shown):
    listed = [(trial["trial_id"], file) for trial in shown["trials"] for file in trial["artifacts"]]

    for trial_id, file in listed:
        status, headers, body = site.ask(f"/artifacts/1/{trial_id}/{file['artifact_id']}")
        assert (status, headers["Content-Type"]) == (200, file["mimetype"])
        assert body
    assert {file["filename"] for _, file in listed} == {
        *("drawing.svg", "architecture.yaml", "learning_curve.png", "learning_curve.csv")
    }


def test_a_file_of_no_trial_is_not_found(site, shown):
    id_ = shown["trials"][0]["artifacts"][0]["artifact_id"]

    assert site.ask(f"/artifacts/1/999/{id_}")[0] == 404
    assert site.ask(f"/artifacts/1/{shown['trials'][0]['trial_id']}/abc-d0")[0] == 404


def files_of_the_last(site, shown):
    trial = shown["trials"][-1]
    return {
        file["filename"]: site.ask(f"/artifacts/1/{trial['trial_id']}/{file['artifact_id']}")[2]
        for file in trial["artifacts"]
    }


def test_the_files_hold_what_their_names_say(site, shown, trials, tmp_path):
    files = files_of_the_last(site, shown)
    (tmp_path / "a.yaml").write_bytes(files["architecture.yaml"])
    recorded = trials[shown["trials"][-1]["trial_id"]].user_attrs

    assert load_architecture(tmp_path / "a.yaml").id == recorded["architecture"]
    assert ET.fromstring(files["drawing.svg"].decode()).tag.endswith("svg")
    assert files["learning_curve.png"].startswith(b"\x89PNG")


def test_the_curve_ends_with_the_final_reading(site, shown, trials):
    rows = list(csv.DictReader(io.StringIO(files_of_the_last(site, shown)["learning_curve.csv"].decode())))
    top1 = trials[shown["trials"][-1]["trial_id"]].user_attrs["top1"]

    assert [(float(row["samples"]), float(row["top1"])) for row in rows] == [(100, 0.2), (400, top1)]


def test_the_frontier_has_every_trained_candidate_and_the_map_every_cell(searched, shown):
    run = load_run(searched)
    frontier, cells = (json.loads(figure["graph_object"]) for figure in shown["plotly_graph_objects"])
    line, *families = frontier["data"]
    filled = [value for row in cells["data"][0]["z"] for value in row if value is not None]

    assert sum(len(trace["x"]) for trace in families) == (run.trials["outcome"] == "trained").sum()
    assert line["y"] == sorted(line["y"])
    assert sorted(filled) == sorted(run.map["top1"])
    assert all(run.map["architecture"].map(lambda id_: id_ in json.dumps(cells["data"][0]["text"])))
