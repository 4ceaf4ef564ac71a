"""The proxy: images, and the short training that stands for a long one."""

from archsearch.proxy.data import ImageData, Normalisation, Split, load_data, load_test
from archsearch.proxy.recipe import Recipe
from archsearch.proxy.train import ProxyScore, evaluate, train_proxy

__all__ = [
    "ImageData",
    "Normalisation",
    "ProxyScore",
    "Recipe",
    "Split",
    "evaluate",
    "load_data",
    "load_test",
    "train_proxy",
]
