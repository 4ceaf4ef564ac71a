"""Networks that others published, as points of our space: their files, and their weights under our names."""

from archsearch.published.load import load_published, read_weights
from archsearch.published.reference import load_reference, reference_file, reference_names

__all__ = ["load_published", "load_reference", "read_weights", "reference_file", "reference_names"]
