"""The formats of a network, in one table: rendered and checked in memory, and written only if all of them are right.

yaml        NAME.yaml         the architecture
weights     NAME.safetensors  the state dict
program     NAME.pt2          a program of torch.export, for batches of any size
onnx        NAME.onnx         the same in ONNX's operators
standalone  MODULE.py         code that needs torch alone, beside its state dict MODULE.pt
"""

import io
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from torch import Tensor, nn

from archsearch.architecture import Architecture, Network
from archsearch.errors import ArchsearchError, InputError, Problem, one_of, shown
from archsearch.export.standalone import run_source, standalone_source
from archsearch.files import write_atomically

TOLERANCE = 1e-4
# One image, and a number of them that no example had.
BATCHES = (1, 3)
EXAMPLE = 2
INPUT, OUTPUT = "images", "logits"
ONNX_OPSET = 18
# A file of protocol buffers ends at 2 GiB; a part of that is for the graph.
MOST_ONNX_BYTES = 2**31 - 2**24

LEAVE_OUT = "nothing was written: choose other formats with --format"
EXTRA = "pip install 'archsearch[onnx]'"

ATTENTION = torch.ops.aten.scaled_dot_product_attention.default

Outputs = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
        network: with its weights, on the CPU, in evaluation mode; files bear the name of its architecture.
        about: where it comes from and what was measured, line by line.
        file: the architecture file as it was written, where there is one.
    """

    network: Network
    about: Sequence[str]
    file: str | None = None

    @property
    def architecture(self) -> Architecture:
        """What the network was built from."""
        return self.network.architecture

    @property
    def name(self) -> str:
        """The name of the files, without their ending."""
        return self.architecture.name

    @property
    def module(self) -> str:
        """The name as one that Python can import."""
        word = re.sub(r"\W", "_", self.name, flags=re.ASCII)
        return word if word.isidentifier() else f"net_{word}"

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The network as a program of ``torch.export``, for batches of any size."""
        any_batch = {0: torch.export.Dim("batch")}
        return torch.export.export(self.network, (random_images(self, EXAMPLE),), dynamic_shapes=(any_batch,))


@dataclass(frozen=True)
class RenderedFile:
    """A network in one format, ready to be written: its files by name, and how they were checked."""

    files: Mapping[str, bytes]
    checked: str


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written, of ``standalone`` the code; and how it was checked, in words."""

    path: Path
    checked: str


def write_formats(subject: Subject, out: Path, formats: Sequence[str]) -> dict[str, ExportedFile]:
    """Write the network in some formats, once every one of them gives its outputs; the files by format.

    Random images are run through each, one and three at a time; ``TOLERANCE`` is for the largest difference of
    a logit. The global random generator is left as it was.

    Raises:
        ArchsearchError: a format gives other outputs; nothing is written.
        OSError: the disk does not take it; each file is there whole, or not at all.
    """
    # Building a network draws from the generator.
    with torch.random.fork_rng(devices=[]):
        rendered = {name: FORMATS[name].render(subject) for name in formats}
    out.mkdir(parents=True, exist_ok=True)
    for one in rendered.values():
        for file, content in one.files.items():
            write_atomically(out / file, content)
    return {name: ExportedFile(out / next(iter(one.files)), one.checked) for name, one in rendered.items()}


def yaml_text(architecture: Architecture, about: Iterable[str]) -> str:
    """An architecture file that begins with the lines of ``about`` as comments."""
    return "".join(f"# {line}\n" for line in about) + architecture.to_yaml()


def render_yaml(subject: Subject) -> RenderedFile:
    """The architecture file: as it was written, or written here and read again."""
    name = f"{subject.name}.yaml"
    if subject.file is not None:
        return RenderedFile({name: subject.file.encode()}, "the file as it was")
    text = yaml_text(subject.architecture, subject.about)
    read = Architecture.model_validate_json(json.dumps(yaml.safe_load(text)))
    if read.id != subject.architecture.id:
        raise ArchsearchError(f"{name}: reads back as another architecture; nothing was written")
    return RenderedFile({name: text.encode()}, f"reads back as {read.id}")


def render_weights(subject: Subject) -> RenderedFile:
    """The state dict as safetensors, loaded into a second network."""
    name = f"{subject.name}.safetensors"
    content = safetensors.torch.save(contiguous(subject.network))
    again = subject.architecture.build()
    again.load_state_dict(safetensors.torch.load(content))
    return RenderedFile({name: content}, compare_logits(name, again.eval(), subject))


def render_program(subject: Subject) -> RenderedFile:
    """The program as a file, read back."""
    name = f"{subject.name}.pt2"
    file = io.BytesIO()
    torch.export.save(subject.program, file)
    content = file.getvalue()
    program = torch.export.load(io.BytesIO(content)).module()
    return RenderedFile({name: content}, compare_logits(name, program, subject))


def render_onnx(subject: Subject) -> RenderedFile:
    """The program in ONNX's operators, run by onnxruntime if that is installed."""
    name = f"{subject.name}.onnx"
    if sum(tensor.nbytes for tensor in subject.network.state_dict().values()) > MOST_ONNX_BYTES:
        raise ArchsearchError(f"{name}: an ONNX file holds less than 2 GiB; {LEAVE_OUT}")
    content = onnx_program(name, subject).model_proto.SerializeToString()
    return RenderedFile({name: content}, check_by_onnxruntime(name, content, subject))


def onnx_program(name: str, subject: Subject) -> torch.onnx.ONNXProgram:
    """The program in ONNX's operators; ArchsearchError if torch cannot translate it."""
    try:
        with warnings.catch_warnings():
            # torch 2.13 copies its own program in a way that it has deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            program = torch.onnx.export(
                subject.program.run_decompositions({ATTENTION: attention_in_parts}),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=ONNX_OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).splitlines()[0]
        raise ArchsearchError(f"{name}: torch.onnx cannot write it: {reason}; {LEAVE_OUT}") from error
    assert program is not None  # noqa: S101 - it is None only where a file is named
    return program


def attention_in_parts(*arguments: Any, scale: float | None = None) -> Any:
    """Attention as products and a softmax, whose result has the memory layout that ONNX expects.

    Left whole, it is taken apart only after what follows it was fixed to the order of a fused kernel.
    """
    return torch.ops.aten._scaled_dot_product_attention_math.default(*arguments, scale=scale)[0]  # noqa: SLF001


def check_by_onnxruntime(name: str, content: bytes, subject: Subject) -> str:
    """How the file was checked; or that it was not."""
    try:
        import onnxruntime  # noqa: PLC0415 - it need not be there
    except ImportError:
        return "not run: onnxruntime is not installed"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def outputs(images: Tensor) -> Tensor:
        (logits,) = session.run([OUTPUT], {INPUT: images.numpy()})
        return torch.from_numpy(logits)

    return compare_logits(name, outputs, subject)


def render_standalone(subject: Subject) -> RenderedFile:
    """The code and its state dict, run and read as a user will."""
    code, weights = f"{subject.module}.py", f"{subject.module}.pt"
    usage = (
        "The weights are beside this file; images are (B, C, H, W), each channel of mean 0 and deviation 1",
        "over the training images:",
        "",
        f'    network = build("{weights}")',
    )
    source = standalone_source(subject.architecture, (subject.name, "", *subject.about, "", *usage))
    file = io.BytesIO()
    torch.save(contiguous(subject.network), file)
    content = file.getvalue()
    network = run_source(source)()
    network.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
    return RenderedFile({code: source.encode(), weights: content}, compare_logits(code, network, subject))


@dataclass(frozen=True)
class Format:
    """How a format is rendered and checked, and the packages that it needs beside our own."""

    render: Callable[[Subject], RenderedFile]
    packages: tuple[str, ...] = ()

    def missing(self) -> str:
        """Which of the packages cannot be imported, in words; empty if all can."""
        lacking = [package for package in self.packages if find_spec(package) is None]
        return f"{' and '.join(lacking)} cannot be imported" if lacking else ""


FORMATS: Mapping[str, Format] = {
    "yaml": Format(render_yaml),
    "weights": Format(render_weights),
    "program": Format(render_program),
    "onnx": Format(render_onnx, ("onnx", "onnxscript")),
    "standalone": Format(render_standalone),
}


def choose_formats(asked: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The formats to write, all that the installed packages allow if none is asked for; and why others are not.

    Raises:
        InputError: there is no such format, or a package of one that is asked for is not installed.
    """
    missing = {name: why for name, one in FORMATS.items() if (why := one.missing())}
    if asked is None:
        able = [name for name in FORMATS if name not in missing]
        return able, [f"no {name}: {why}; {EXTRA}" for name, why in missing.items()]
    known = tuple(FORMATS)
    problems = [
        Problem("--format", f"{shown(name)} is not a format", one_of(known, name))
        for name in asked
        if name not in known
    ]
    problems += [
        Problem("--format", f"{name}: {why}", EXTRA) for name, why in missing.items() if name in asked
    ]
    if problems:
        raise InputError("archsearch export", problems)
    return [name for name in known if name in asked], []


def contiguous(network: nn.Module) -> dict[str, Tensor]:
    """The state dict with every tensor contiguous, as files store it."""
    return {name: tensor.contiguous() for name, tensor in network.state_dict().items()}


def random_images(subject: Subject, batch: int) -> Tensor:
    """Standard normal images, always the same."""
    shape = subject.architecture.image.shape
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, shape.channels, shape.height, shape.width, generator=generator)


def compare_logits(name: str, outputs: Outputs, subject: Subject) -> str:
    """The largest difference to the network's own logits, in words.

    Raises:
        ArchsearchError: it is beyond the tolerance, or no number.
    """
    largest = 0.0
    for batch in BATCHES:
        images = random_images(subject, batch)
        with torch.no_grad():
            difference = (outputs(images) - subject.network(images)).abs().max().item()
        if not difference <= TOLERANCE:
            raise ArchsearchError(
                f"{name}: its logits differ from the network's by up to {difference:.2g} on {batch} random "
                f"images, and {TOLERANCE:g} is the most; {LEAVE_OUT}"
            )
        largest = max(largest, difference)
    batches = " and ".join(map(str, BATCHES))
    return f"run on batches of {batches}: logits differ by {largest:.1g} at most"
