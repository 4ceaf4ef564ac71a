"""How the tests of this room write images as files."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from archsearch.shapes import FeatureShape

GREY = FeatureShape(1, 8, 8)


def png(pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def write_parquet(path: Path, images, **columns) -> Path:
    cells = [{"bytes": image, "path": None} for image in images]
    pq.write_table(pa.table({"image": cells, **columns}), path)
    return path


def write_folder(path: Path, images, labels) -> Path:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (path / f"digit{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / f"digit{label}" / f"{number}.png")
    return path
