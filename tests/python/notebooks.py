"""Notebooks of the documents: what their cells print and draw, as they are committed and as they run.

    python tests/python/notebooks.py docs/pretrained.ipynb    runs it, and writes it anew, with the pictures

A page beside a notebook shows its pictures as images/NOTEBOOK-CELL.png, CELL being the id of the cell that draws.
"""

import base64
import io
import pathlib
import re
import sys

import nbclient
import nbformat
from PIL import Image

NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:\.\d+)?(?![\w.])")


def read(path):
    return nbformat.read(path, as_version=4)


def execute(notebook, folder):
    """The notebook after all of its cells ran in a new kernel, in `folder`; raises CellExecutionError where one
    fails. Times are not kept, so that the same outputs are the same file."""
    done = nbformat.from_dict(notebook)
    nbclient.NotebookClient(done, timeout=300, kernel_name="python3", record_timing=False,
                            resources={"metadata": {"path": str(folder)}}).execute()
    return done


def outputs(notebook, kind):
    """By cell, its outputs of one kind: the text of 'stdout', 'stderr', 'error' and 'text/plain', or the bytes of
    'image/png'."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == kind:
                found[cell.id] = found.get(cell.id, "") + output.text
            elif output.output_type == kind == "error":
                found[cell.id] = f"{output.ename}: {output.evalue}"
            elif kind in output.get("data", {}):
                data = output.data[kind]
                found[cell.id] = base64.b64decode(data) if kind.startswith("image/") else data
    return found


def difference(expected, printed):
    """The first line that is another one, or empty. Words are the same; a number is at most one unit of its last
    digit away: what a processor rounds differently is smaller than that, and shows where it rounds up or down."""
    lines, others = expected.splitlines(), printed.splitlines()
    for line, other in zip(lines, others):
        numbers = list(zip(NUMBER.findall(line), NUMBER.findall(other)))
        if NUMBER.sub("#", line).split() != NUMBER.sub("#", other).split() or any(map(far, numbers)):
            return f"expected {line}\nprinted  {other}"
    return "" if len(lines) == len(others) else f"expected {len(lines)} lines, printed {len(others)}"


def far(numbers):
    expected, printed = (float(number.replace("−", "-")) for number in numbers)
    unit = 10.0 ** -len(numbers[0].partition(".")[2])
    return abs(expected - printed) > 1.01 * unit


def shown(page):
    """The cells whose pictures a page shows, or none where there is no page."""
    text = page.read_text() if page.exists() else ""
    return re.findall(rf"images/{page.stem}-([\w-]+)\.png", text)


def picture(page, cell):
    return page.parent / "images" / f"{page.stem}-{cell}.png"


def shrink(notebook):
    """Its pictures with 256 colours, which takes a third of the bytes."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                image = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
                small = io.BytesIO()
                image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "png", optimize=True)
                output.data["image/png"] = base64.b64encode(small.getvalue()).decode()


def main():
    path = pathlib.Path(sys.argv[1])
    notebook = execute(read(path), path.parent)
    notebook.metadata["language_info"] = {"name": "python"}   # without the version of this interpreter
    shrink(notebook)
    nbformat.write(notebook, path)
    pictures = outputs(notebook, "image/png")
    for cell in shown(path.with_suffix(".md")):
        picture(path.with_suffix(".md"), cell).write_bytes(pictures[cell])


if __name__ == "__main__":
    main()
