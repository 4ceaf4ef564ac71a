"""The architectures that a space names: points of it which a search evaluates first."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from archsearch.architecture import Architecture
from archsearch.errors import InputError, Problem, shown
from archsearch.space.document import Items, Node, Scalar, plain
from archsearch.space.point import choices_for
from archsearch.space.space import Space

MAX_REFERENCES = 100


def read_references(
    node: Node, folder: Path, space: Space, load: Callable[[Path], Architecture]
) -> Iterator[Architecture | Problem]:
    """Each architecture named in ``node``, at the image and with the classes of ``space``; or what is wrong.

    Files are looked for from the space's own ``folder`` on.
    """
    if not isinstance(node, Items) or not 1 <= len(node.items) <= MAX_REFERENCES:
        what = f"is a list of 1 to {MAX_REFERENCES} architecture files"
        yield Problem("references", what, "write [reference/resnet50.yaml]", node.line)
        return
    seen: dict[str, str] = {}
    for index, item in enumerate(node.items):
        path = f"references.{index}"
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
            what = f"{shown(plain(item))} is no file name"
            yield Problem(path, what, "write the name of an architecture file", item.line)
            continue
        found = read_reference(folder / item.value, item.value, space, load)
        if isinstance(found, Architecture) and found.id in seen:
            what = f"{item.value} is the same network as {seen[found.id]}"
            found = Problem("", what, "write it once")
        if isinstance(found, Problem):
            yield replace(found, key=path, line=item.line)
        else:
            seen[found.id] = item.value
            yield found


def read_reference(
    path: Path, name: str, space: Space, load: Callable[[Path], Architecture]
) -> Architecture | Problem:
    """The point of ``space`` that the file describes, or why it is none."""
    try:
        published = load(path)
    except InputError as error:
        problem = error.problems[0]
        return replace(problem, what=f"{name} cannot be read: {problem.key or 'the file'}: {problem.what}")
    architecture = published.model_copy(update={"image": space.image, "classes": space.classes})
    if problems := architecture.problems():
        size = f"{space.image.height}x{space.image.width}"
        what = f"{name} cannot be built for {size} images: {problems[0].key}: {problems[0].what}"
        return Problem("", what, "leave it out")
    try:
        choices_for(space, architecture)
    except InputError as error:
        problem = error.problems[0]
        return replace(problem, what=f"{name} is no point of this space: {problem.key} {problem.what}")
    if broken := space.violations(architecture):
        return Problem("", f"{name} is beyond the limits: {', '.join(broken)}", "raise them, or leave it out")
    return architecture
