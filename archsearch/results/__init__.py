"""What was found: a run folder as frames, files and pictures, and winners to take away."""

from archsearch.results.compare import Comparison, compare, comparison_lines, save_comparison_plot
from archsearch.results.export import Exported, export_frontier, export_published, export_trial
from archsearch.results.proxies import proxy_lines, proxy_report, useful
from archsearch.results.run import Run, load_run, write_results

__all__ = [
    "Comparison",
    "Exported",
    "Run",
    "compare",
    "comparison_lines",
    "export_frontier",
    "export_published",
    "export_trial",
    "load_run",
    "proxy_lines",
    "proxy_report",
    "save_comparison_plot",
    "useful",
    "write_results",
]
