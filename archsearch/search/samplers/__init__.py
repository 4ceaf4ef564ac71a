"""How candidates are proposed: each sampler is a function of the space, of what is known, and of a seed."""

from archsearch.search.samplers.automatic import automatic
from archsearch.search.samplers.evolution import nsga2, regularized_evolution
from archsearch.search.samplers.fill_map import fill_cells
from archsearch.search.samplers.gp import gp
from archsearch.search.samplers.macs import rank_by_macs
from archsearch.search.samplers.sampler import STARTUP, Sampler
from archsearch.search.samplers.tpe import tpe

# ``random`` is none of them: chance is what every sampler begins with, and falls back on.
SAMPLERS: dict[str, Sampler] = {
    "auto": automatic,
    "gp": gp,
    "tpe": tpe,
    "nsga2": nsga2,
    "evolution": regularized_evolution,
    "macs": rank_by_macs,
    "map": fill_cells,
}
SAMPLER_NAMES = (*SAMPLERS, "random")

__all__ = ["SAMPLERS", "SAMPLER_NAMES", "STARTUP", "Sampler"]
