"""An architecture as one file of PyTorch that needs torch alone: the blocks that it uses, and how they stand.

The file's network has the state dict of ours, name for name and shape for shape.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from archsearch.architecture import Architecture
from archsearch.export.blocks import MODULES
from archsearch.export.codegen import Call, written
from archsearch.export.words import head_call, stage_call, stem_call

NETWORK = '''\
class Network(nn.Module):
    """Images {image} to logits (B, {classes})."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = {stem}
        self.stages = {stages}
        self.head = {head}

    def forward(self, images: Tensor) -> Tensor:
        """Stem, stages, head."""
        features = self.stem(images)
        for stage in self.stages:
            features = stage(features)
        return self.head(features)


def build(weights: str | None = None) -> Network:
    """The network in evaluation mode, with the weights in the file ``weights`` if one is given."""
    network = Network()
    if weights is not None:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()
'''


def standalone_source(architecture: Architecture, about: Iterable[str]) -> str:
    """The file's text; ``about`` are the lines of its docstring.

    Nothing in ``about`` can end the docstring, whatever it says.
    """
    network = network_source(architecture)
    parts = [*needed_definitions(network), network]
    body = "\n\n\n".join(part.rstrip() for part in parts) + "\n"
    return f"{docstring(about)}\n{imports(body)}\n\n\n{body}"


def network_source(architecture: Architecture) -> str:
    """The class of the network, and the function that builds it."""
    (_, _, arriving), *placed = architecture.placed()
    shapes = architecture.shapes()
    stages = [
        noted(stage_call(part, shape), f"{place}, {part.kind}: {shape} to {behind}")
        for (place, part, shape), behind in zip(placed, shapes[2:], strict=True)
    ]
    return NETWORK.format(
        image=f"(B, {arriving.channels}, {arriving.height}, {arriving.width})",
        classes=architecture.classes,
        stem=written(stem_call(architecture.stem, arriving), 2),
        stages=written(Call("nn.ModuleList", [stages]), 2),
        head=written(head_call(architecture.head, shapes[-1].channels, architecture.classes), 2),
    )


def noted(call: Call, note: str) -> Call:
    """The same call with a comment."""
    return Call(call.name, call.positional, call.named, note)


def docstring(about: Iterable[str]) -> str:
    """The lines between triple quotes."""
    text = "\n".join(line.encode("unicode_escape").decode("ascii") for line in about)
    return '"""' + text.replace('"""', '\\"' * 3) + '\n"""\n'


def imports(body: str) -> str:
    """What the definitions need of others."""
    used = names_in(ast.parse(body))
    lines = ["from collections.abc import Sequence", ""] if "Sequence" in used else []
    lines += ["import torch"]
    lines += ["import torch.nn.functional as F"] if "F" in used else []
    return "\n".join([*lines, "from torch import Tensor, nn"])


def needed_definitions(source: str) -> list[str]:
    """The blocks that ``source`` names, and those that they name in turn, in the order of their modules."""
    known = definitions()
    needed: set[str] = set()
    found = names_in(ast.parse(source)) & known.keys()
    while found - needed:
        needed |= found
        found = {name for block in needed for name in names_in(ast.parse(known[block])) & known.keys()}
    return [known[name] for name in known if name in needed]


@cache
def definitions() -> Mapping[str, str]:
    """The source of every class and function among the blocks, by its name."""
    return {node.name: text for module in MODULES for node, text in defined_in(inspect.getsource(module))}


def defined_in(source: str) -> Iterable[tuple[ast.ClassDef | ast.FunctionDef, str]]:
    """The classes and functions that a module defines, with their text."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node, ast.get_source_segment(source, node) or ""


def names_in(tree: ast.AST) -> set[str]:
    """Every bare name in it."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def run_source(source: str) -> Callable[[], Any]:
    """``build`` of a file that ``standalone_source`` wrote."""
    namespace: dict[str, Any] = {"__name__": "standalone"}
    # Text of ours, made of our own blocks and of numbers.
    exec(compile(source, "standalone", "exec"), namespace)  # noqa: S102
    build: Callable[[], Any] = namespace["build"]
    return build
