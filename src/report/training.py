"""The page about training runs: what a logit scale does at lengths that a model did not learn from."""

import html
import os

import h5py
import numpy

from curves import Curve, Panel, draw_curves
from error import ReportError
from page import Picture
from scaling_page import STYLE_SHEET, svg_data

WORDS = """<p>Small decoders without positions learned from sequences of {length} bytes with one logit scale each, whose
gains are learned, and were then given longer ones. Points are means over seeds ({seeds}); of the tables, ± is half the
distance between the smallest and the largest seed. A difference that is no larger than that is none.</p>
<ul><li><b>Loss</b>: nats a byte, at each length in the parts of a sequence from its first byte to its last.</li>
<li><b>Needles</b>: letters at random, planted somewhere and once more at the end; the part of their second halves that
is the likeliest next byte. Chance is 1/256, letters known to be letters 1/26.</li>
<li><b>Effective keys</b>: e to the entropy of attention, its mean over heads and the last eighth of the queries. A scale
that does not grow with the length lets it grow in proportion.</li></ul>"""


def is_training_file(path):
    """Whether there is a file of launch/train at `path`; what else it may be is not said."""
    try:
        with h5py.File(path, "r") as file:
            return file.attrs.get("kind") == "training"
    except OSError:
        return False


def write_training_report(paths, output=None, file_format=None):
    """Writes index.html to a folder, by default that of the file; returns what was written."""
    if len(paths) > 1:
        raise ReportError("one file of launch/train at a time; got " + ", ".join(paths))
    if file_format not in (None, "svg"):
        raise ReportError(f"--format: {file_format}: the pictures of launch/train are svg, in its page")
    path = os.path.join(output or os.path.dirname(paths[0]), "index.html")
    with h5py.File(paths[0], "r") as file:
        data = {name: file[name][...] for name in file}
        attributes = dict(file.attrs)
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8") as text:
            text.write(page(data, attributes))
    except OSError as error:
        raise ReportError(f"--output: {path} cannot be written: {error.strerror}") from error
    return [path]


def page(data, attributes):
    """One file that needs no other."""
    scales = [name.decode() for name in data["scale"]]
    lengths, title = data["length"], "Logit scales, beyond the length of training"
    footer = [f"annulus {attributes['annulus_version']}", f"commit {attributes['git_commit'][:10]}",
              f"PyTorch {attributes['torch_version']}", f"{attributes['ranks']} ranks", attributes["text"]]
    body = [f"<h1>{title}</h1>", WORDS.format(length=lengths[0], seeds=len(data["seed"]))]
    if (unfinished := int(numpy.isnan(data["training_loss"]).any(-1).sum())):
        body.append(f"<p class=\"wrong\">{unfinished} of {data['scale'].size * data['seed'].size} runs are not "
                    "finished.</p>")
    body += ["<h2>By length</h2>", _table(scales, lengths, data), "<div class=\"pictures\">"]
    for name, panels in (("training", [_training(scales, data)]), ("loss", _losses(scales, data)),
                         ("needles", [_needles(scales, data)]), ("keys", _keys(scales, data))):
        picture = Picture(name, draw_curves(panels, [title], footer))
        body.append(f"<img alt=\"{name}\" src=\"{svg_data(picture)}\">")
    body += ["</div>", "<h2>How it was made</h2><dl>"]
    body += [f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>"
             for name, value in sorted(attributes.items())]
    return ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
            f"<title>{title}</title><style>{STYLE_SHEET}</style></head>\n<body>\n"
            + "\n".join(body) + "</dl>\n</body></html>\n")


def _table(scales, lengths, data):
    """Of each scale, at each length: the loss of the last part, and needles that are found."""
    head = "".join(f"<th>{length}</th>" for length in lengths)
    rows = []
    for what, values in (("loss of the last sixteenth", data["loss"][..., -1]),
                         ("needles found", data["needle"].mean(-1)),
                         ("loss of needles", data["needle_loss"].mean(-1))):
        for at, scale in enumerate(scales):
            cells = "".join(f"<td>{_with_spread(values[at, :, index])}</td>" for index in range(len(lengths)))
            rows.append(f"<tr><td class=text>{what}</td><td class=text>{html.escape(scale)}</td>{cells}</tr>")
    return ("<div class=\"table\"><table><thead><tr><th class=text></th><th class=text>scale</th>" + head
            + "</tr></thead><tbody>" + "".join(rows) + "</tbody></table></div>")


def _with_spread(seeds):
    known = seeds[~numpy.isnan(seeds)]
    if not known.size:
        return "–"
    return f"{known.mean():.3f} ± {(known.max() - known.min()) / 2:.3f}"


def _mean(values):
    """Over seeds that are finished."""
    finished = ~numpy.isnan(values.reshape(len(values), -1)).any(1)
    return values[finished].mean(0) if finished.any() else values[0]


def _training(scales, data):
    steps = data["step"] + 1
    every = max(1, len(steps) // 60)
    return Panel("training", "step", "loss, nats a byte", [
        Curve(scale, steps[::every], _mean(data["training_loss"][at])[::every])
        for at, scale in enumerate(scales)])


def _losses(scales, data):
    panels = []
    for index, length in enumerate(data["length"]):
        parts = data["loss"].shape[-1]
        position = (numpy.arange(parts) + 0.5) / parts * length
        panels.append(Panel(f"{length} bytes", "position", "loss, nats a byte", [
            Curve(scale, position, _mean(data["loss"][at])[index]) for at, scale in enumerate(scales)]))
    return panels


def _needles(scales, data):
    return Panel("needles", "length", "found", [
        Curve(scale, data["length"], _mean(data["needle"][at]).mean(-1)) for at, scale in enumerate(scales)],
        x_scale="log")


def _keys(scales, data):
    return [Panel(f"layer {layer + 1}", "length", "effective keys", [
        Curve(scale, data["length"], numpy.exp(_mean(data["entropy"][at])[:, layer]).mean(-1))
        for at, scale in enumerate(scales)], x_scale="log", y_scale="log")
        for layer in range(data["entropy"].shape[3])]
