"""``archsearch report``, and the report that ``archsearch results`` writes with the rest."""

import pytest

from archsearch.cli.report import report_command
from archsearch.cli.results import results_command
from archsearch.errors import InputError


def test_results_write_the_report_and_say_where_it_is(small, capsys):
    (small.folder / "report.html").unlink(missing_ok=True)
    results_command(small.folder, as_json=False)

    assert f"report: {small.folder / 'report.html'}" in capsys.readouterr().out
    assert (small.folder / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_where_no_run_lies_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match=r"no run lies here \(there is no study.db\)"):
        report_command(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_report_is_named_as_the_run_was(small, capsys, monkeypatch):
    monkeypatch.setattr("archsearch.cli.report.write_report", lambda run: run.folder / "report.html")
    report_command(small.folder)

    assert capsys.readouterr().out == f"{small.folder / 'report.html'}\n"
