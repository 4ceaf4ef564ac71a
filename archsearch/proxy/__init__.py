"""The proxy: images, the short training that stands for a long one, and scores that need none."""

from archsearch.proxy.data import ImageData, Normalisation, Split, load_data, load_test
from archsearch.proxy.evaluate import evaluate
from archsearch.proxy.recipe import Recipe
from archsearch.proxy.scores import ZeroCostScores, zero_cost_scores
from archsearch.proxy.train import ProxyScore, Training, train_proxy

__all__ = [
    "ImageData",
    "Normalisation",
    "ProxyScore",
    "Recipe",
    "Split",
    "Training",
    "ZeroCostScores",
    "evaluate",
    "load_data",
    "load_test",
    "train_proxy",
    "zero_cost_scores",
]
