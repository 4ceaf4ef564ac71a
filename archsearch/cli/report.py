"""``archsearch report``."""

from pathlib import Path

from archsearch.cli.tables import console
from archsearch.files import disk_faults
from archsearch.report.page import write_report
from archsearch.results import Run, load_run


def report_command(folder: Path) -> None:
    """Read the run, finished or not, and write its report."""
    console().print(str(save_report(load_run(folder))), markup=False, soft_wrap=True)


def save_report(run: Run) -> Path:
    """The report of a run, as a file; EnvironmentFaultError if the disk does not take it."""
    with disk_faults(run.folder):
        return write_report(run)
