"""An architecture as one file of PyTorch that needs torch alone: the source of its modules, and how they are combined.

The classes are those that train here, so the file's network has the state dict of ours, name for name.
"""

from collections.abc import Callable, Iterable
from typing import Any

from archsearch.architecture import Architecture
from archsearch.export.codegen import INDENT, Sources, write_expression
from archsearch.stages import ModuleCall

NETWORK = '''\
class Network(nn.Module):
    """Images {image} to logits (B, {classes})."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = {stem}
        self.stages = nn.ModuleList(
            [
{stages}            ]
        )
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

    Raises:
        ArchsearchError: a module of it needs more than torch.
    """
    sources = Sources()
    stem, *stages, head = calls = module_calls(architecture)
    for call in calls:
        sources.add_call(call)
    (_, _, arriving), *placed = architecture.placed()
    shapes = architecture.shapes()
    notes = [
        f"{place}, {part.kind}: {shape} to {behind}"
        for (place, part, shape), behind in zip(placed, shapes[2:], strict=True)
    ]
    depth = 4
    lines = [
        f"{INDENT * depth}# {note}\n{INDENT * depth}{write_expression(call, depth)},\n"
        for note, call in zip(notes, stages, strict=True)
    ]
    network = NETWORK.format(
        image=f"(B, {arriving.channels}, {arriving.height}, {arriving.width})",
        classes=architecture.classes,
        stem=write_expression(stem, 2),
        stages="".join(lines),
        head=write_expression(head, 2),
    )
    body = "\n\n\n".join(part.rstrip() for part in (*sources.definitions(), network)) + "\n"
    return f"{docstring(about)}\n{sources.import_lines()}\n\n\n{body}"


def module_calls(architecture: Architecture) -> list[ModuleCall]:
    """What makes the modules of stem, stages and head, in order."""
    calls = [part.module(shape) for _, part, shape in architecture.placed()]
    return [*calls, architecture.head.module(architecture.stages[-1].channels, architecture.classes)]


def docstring(about: Iterable[str]) -> str:
    """The lines between triple quotes."""
    text = "\n".join(line.encode("unicode_escape").decode("ascii") for line in about)
    return '"""' + text.replace('"""', '\\"' * 3) + '\n"""\n'


def run_source(source: str) -> Callable[[], Any]:
    """``build`` of a file that ``standalone_source`` wrote."""
    namespace: dict[str, Any] = {"__name__": "standalone"}
    # Text of ours, made of our own blocks and of numbers.
    exec(compile(source, "standalone", "exec"), namespace)  # noqa: S102
    build: Callable[[], Any] = namespace["build"]
    return build
