"""Images with labels: sources, decoding, the cache on the disk, splits, drawn tasks."""

from archsearch.data.dataset import ImageData, Normalisation, Split, load_data, load_test
from archsearch.data.images import DataSource

__all__ = ["DataSource", "ImageData", "Normalisation", "Split", "load_data", "load_test"]
