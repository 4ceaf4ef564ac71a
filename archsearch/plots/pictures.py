"""The pictures that lie beside a run's tables."""

from archsearch.plots.frontier import frontier_figure
from archsearch.plots.fronts import swaps_figure
from archsearch.plots.style import save_figure
from archsearch.results.run import Run


def write_pictures(run: Run) -> None:
    """Write ``frontier.png``, and ``swaps.png`` if a swap was trained, each replaced whole."""
    title = f"{run.manifest['identity']['space']} on {run.manifest['identity']['data']}"
    figure = frontier_figure(run.trials, run.frontier, run.cost, title)
    save_figure(figure, run.folder / "frontier.png")
    trained = run.swaps[run.swaps["difference"].notna()]
    if len(trained):
        title = f"One stage of another kind at equal cost: {title}"
        save_figure(swaps_figure(trained, title), run.folder / "swaps.png")
