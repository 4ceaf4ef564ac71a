"""Standalone files and programs where nothing but torch can be imported.

    python run_standalone.py FOLDER

FOLDER holds ``MODULE.py``, ``MODULE.pt`` and ``NAME.pt2`` of each network, and ``expected.pt``: for each
network the names of its files, images, and the logits that it gives. Prints the largest difference of each.
"""

import importlib.util
import sys
from pathlib import Path

FORBIDDEN = {"archsearch", "einops", "pydantic", "optuna", "safetensors"}


class Refuse:
    """Nothing of ours can be found."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(name)


sys.meta_path.insert(0, Refuse())

import torch  # noqa: E402


def built(file):
    """What ``build`` of a file gives, with the weights beside it."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build(str(file.with_suffix(".pt")))


def main(folder):
    torch.set_num_threads(1)
    for name, case in torch.load(folder / "expected.pt", weights_only=True).items():
        networks = {"standalone": built(folder / case["code"])}
        if "program" in case:
            networks["program"] = torch.export.load(folder / case["program"]).module()
        for form, network in networks.items():
            with torch.no_grad():
                differences = [
                    float((network(pixels) - logits).abs().max())
                    for pixels, logits in zip(case["images"], case["logits"], strict=True)
                ]
            print(name, form, max(differences), sep="|")
    print(sorted(FORBIDDEN & sys.modules.keys()))


main(Path(sys.argv[1]))
