"""What may be built: a YAML file becomes a Space; a Space and a trial become an Architecture."""

from archsearch.space.document import Table, plain, read_document
from archsearch.space.load import load_architecture, load_space, parse_count
from archsearch.space.point import choices_for
from archsearch.space.space import Published, Space

__all__ = [
    "Published",
    "Space",
    "Table",
    "choices_for",
    "load_architecture",
    "load_space",
    "parse_count",
    "plain",
    "read_document",
]
