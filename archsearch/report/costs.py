"""Where the costs of the winners go: by part, and by group of operators."""

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from archsearch.counting import part_counts
from archsearch.results.parts import described, part_rows


def cost_frames(descriptions: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parts (``label``, ``place``, ``kind``, ``mixing``, ``params``, ``macs``) and groups (``label``, ``group``, ``macs``).

    ``descriptions`` are architectures as JSON, by the label that their rows have. MACs are for one image.
    """
    parts: list[dict[str, object]] = []
    groups: list[dict[str, object]] = []
    for label, text in descriptions.items():
        architecture = described(text)
        for row in part_rows(architecture):
            kind = {"label": label, "place": row.place, "kind": row.kind, "mixing": row.mixing}
            parts.append({**kind, "params": row.params, "macs": row.macs})
        total: Counter[str] = Counter()
        for _, count in part_counts(architecture):
            total.update(count.by_family)
        groups += [{"label": label, "group": group, "macs": macs} for group, macs in total.items() if macs]
    names = ["label", "place", "kind", "mixing", "params", "macs"]
    return pd.DataFrame(parts, columns=names), pd.DataFrame(groups, columns=["label", "group", "macs"])
