"""The blocks of a standalone file: plain modules that need torch alone, with the names of ours in their state dicts.

``export.standalone`` copies the source of those that a network uses. They say the same as the modules of
``stages/`` in other words, and start from the same distributions; ``tests/forms`` holds the two together.
"""

from archsearch.export.blocks import heads, map_attention, residual, stems, tokens

# In the order in which their definitions stand in a file: each uses only what stands before it.
MODULES = (residual, map_attention, tokens, stems, heads)

__all__ = ["MODULES", "heads", "map_attention", "residual", "stems", "tokens"]
