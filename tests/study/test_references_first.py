"""The references of a space are evaluated first, under their names."""

from dataclasses import replace

import optuna
from table_search import SHORT, blind, search, table

from archsearch.api import write_all


def with_references(space, *seeds):
    """The space, with some of its own points as references called ``known0``, ``known1``, ..."""
    points = [space.draw(seed) for seed in seeds]
    named = [point.model_copy(update={"name": f"known{i}"}) for i, point in enumerate(points)]
    return replace(space, references=tuple(named))


def told(out):
    storage = optuna.storages.RDBStorage(f"sqlite:///{out / 'study.db'}")
    trials = optuna.load_study(study_name=None, storage=storage).get_trials()
    storage.engine.dispose()
    return [(trial.user_attrs["architecture"], trial.user_attrs.get("reference")) for trial in trials]


def test_references_are_evaluated_first_in_their_order(tiny, out):
    space = with_references(tiny, 5, 2)

    search(space, blind(trials=4, recipe=SHORT), out, evaluate=table)

    first, second, *rest = told(out)
    assert [first, second] == [(r.id, r.name) for r in space.references]
    assert len(rest) == 2
    assert {name for _, name in rest} == {None}


def test_a_reference_that_is_added_later_is_evaluated_next_and_none_twice(tiny, out):
    search(with_references(tiny, 5), blind(trials=2, recipe=SHORT), out, evaluate=table)
    space = with_references(tiny, 5, 2)

    search(space, blind(trials=4, recipe=SHORT), out, evaluate=table)

    trials = told(out)
    assert trials[0][1] == "known0"
    assert trials[2] == (space.references[1].id, "known1")
    assert len({architecture for architecture, _ in trials}) == 4


def test_tables_and_frontier_know_the_names(tiny, out):
    search(with_references(tiny, 5, 2), blind(trials=4, recipe=SHORT), out, evaluate=table)

    trials = write_all(out).trials

    assert list(trials["reference"].dropna()) == ["known0", "known1"]
    assert (out / "frontier.png").is_file()


def test_a_space_without_references_is_searched_as_before(tiny, out):
    search(tiny, blind(trials=2, recipe=SHORT), out, evaluate=table)

    assert {name for _, name in told(out)} == {None}
