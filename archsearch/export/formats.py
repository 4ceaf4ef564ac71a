"""A network in each of its forms: made and checked in memory, and written only if all of them are right."""

import io
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from torch import Tensor, nn

from archsearch.architecture import Architecture, Network
from archsearch.errors import ArchsearchError
from archsearch.export.format_names import ExportedFile, Format
from archsearch.export.standalone import run_source, standalone_source
from archsearch.storage.run_folder import write_atomically

TOLERANCE = 1e-4
# One image, and a number of them that no example had.
BATCHES = (1, 3)
EXAMPLE = 2
INPUT, OUTPUT = "images", "logits"
ONNX_OPSET = 18
# A file of protocol buffers ends at 2 GiB; a part of that is for the graph.
MOST_ONNX_BYTES = 2**31 - 2**24

LEAVE_OUT = "nothing was written: leave this form out with --form"

ATTENTION = torch.ops.aten.scaled_dot_product_attention.default

Outputs = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Subject:
    """What is written.

    Attributes:
        network: with its weights, on the CPU, in evaluation mode.
        name: what the files are called.
        about: where it comes from and what was measured, line by line.
        file: the architecture file as it was written, where there is one.
    """

    network: Network
    name: str
    about: tuple[str, ...]
    file: str | None = None

    @property
    def architecture(self) -> Architecture:
        """What the network was built of, under the name of the files."""
        return self.network.architecture.model_copy(update={"name": self.name})

    @property
    def module(self) -> str:
        """The name as one that Python can import."""
        word = re.sub(r"\W", "_", self.name, flags=re.ASCII)
        return word if word.isidentifier() else f"net_{word}"

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The network as a program for batches of any size."""
        any_batch = {0: torch.export.Dim("batch")}
        return torch.export.export(self.network, (random_images(self, EXAMPLE),), dynamic_shapes=(any_batch,))


@dataclass(frozen=True)
class RenderedFile:
    """One form, ready to be written: its files by name, and how it was checked."""

    files: Mapping[str, bytes]
    checked: str


def write_formats(subject: Subject, out: Path, forms: Sequence[Format]) -> list[ExportedFile]:
    """Write the network in each of the forms, once every one of them gives its outputs.

    The files are ``NAME.yaml``, ``.safetensors``, ``.pt2`` (a torch.export program) and ``.onnx``; and
    ``MODULE.py`` beside ``MODULE.pt``, its state dict. Program and ONNX take batches of any size. Random
    images are sent through each, one and three at a time; ``TOLERANCE`` is for the largest difference of a
    logit.

    Raises:
        ArchsearchError: a form gives other outputs; nothing is written.
        OSError: the disk does not take it; each file is there whole, or not at all.
    """
    with keep_generator():
        made = {form: RENDERERS[form](subject) for form in forms}
    out.mkdir(parents=True, exist_ok=True)
    for one in made.values():
        for name, content in one.files.items():
            write_atomically(out / name, content)
    return [ExportedFile(form, out / next(iter(one.files)), one.checked) for form, one in made.items()]


@contextmanager
def keep_generator() -> Iterator[None]:
    """The global generator is afterwards as it was: building a network draws from it."""
    with torch.random.fork_rng(devices=[]):
        yield


def render_yaml(subject: Subject) -> RenderedFile:
    """The architecture file: as it was written, or written here and read again."""
    if subject.file is not None:
        return RenderedFile({f"{subject.name}.yaml": subject.file.encode()}, "the file as it was")
    text = "".join(f"# {line}\n" for line in subject.about) + subject.architecture.to_yaml()
    read = Architecture.model_validate_json(json.dumps(yaml.safe_load(text)))
    if read.id != subject.architecture.id:
        raise ArchsearchError(f"{subject.name}.yaml: reads back as another architecture; nothing was written")
    return RenderedFile({f"{subject.name}.yaml": text.encode()}, f"reads back as {read.id}")


def render_weights(subject: Subject) -> RenderedFile:
    """The state dict as safetensors, and a network that is built anew with it."""
    name = f"{subject.name}.safetensors"
    content = safetensors.torch.save(contiguous(subject.network))
    again = subject.architecture.build()
    again.load_state_dict(safetensors.torch.load(content))
    return RenderedFile({name: content}, compare_logits(name, again.eval(), subject))


def render_program(subject: Subject) -> RenderedFile:
    """What ``torch.export`` makes of it."""
    name = f"{subject.name}.pt2"
    file = io.BytesIO()
    torch.export.save(subject.program, file)
    content = file.getvalue()
    program = torch.export.load(io.BytesIO(content)).module()
    return RenderedFile({name: content}, compare_logits(name, program, subject))


def render_onnx(subject: Subject) -> RenderedFile:
    """What ``torch.onnx`` makes of the program, run by onnxruntime if that is installed."""
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
    """Attention as products and a softmax, whose result lies in memory as ONNX has it.

    Left whole, it is taken apart only after what follows it was fixed to the order of a fused kernel.
    """
    return torch.ops.aten._scaled_dot_product_attention_math.default(*arguments, scale=scale)[0]  # noqa: SLF001


def check_by_onnxruntime(name: str, content: bytes, subject: Subject) -> str:
    """How the check came out; or that there was none."""
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
    """The code and its state dict, the code run and the state dict read as its reader will."""
    code, weights = f"{subject.module}.py", f"{subject.module}.pt"
    usage = (
        "The weights lie beside this file; images are (B, C, H, W), each channel of mean 0 and deviation 1",
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


RENDERERS: Mapping[Format, Callable[[Subject], RenderedFile]] = {
    "yaml": render_yaml,
    "weights": render_weights,
    "program": render_program,
    "onnx": render_onnx,
    "standalone": render_standalone,
}


def contiguous(network: nn.Module) -> dict[str, Tensor]:
    """The state dict as it is stored."""
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
