"""The proxy: the short training that stands for a long one, and scores that need none."""

from archsearch.proxy.evaluate import evaluate
from archsearch.proxy.recipe import Recipe
from archsearch.proxy.train import ProxyScore, Training
from archsearch.proxy.zero_cost import zero_cost_scores

__all__ = ["ProxyScore", "Recipe", "Training", "evaluate", "zero_cost_scores"]
