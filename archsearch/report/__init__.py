"""What was found, as a page to read: words, figures, tables and drawings in one HTML file."""

from archsearch.report.page import write_report

__all__ = ["write_report"]
