"""The page that every picture is laid out on: panels, a title, a key and the provenance."""

import dataclasses
import textwrap

from matplotlib import rc_context
from matplotlib.figure import Figure

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-3, 5),
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "annulus",
    "pdf.fonttype": 42,
}
# Matplotlib stamps the date of drawing; the same results must give the same file.
UNDATED = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
LINE = 0.17  # inches, one line of text


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure, and the name that its file gets after the results file's own."""

    name: str
    figure: Figure

    def save(self, path, file_format):
        with rc_context(STYLE):
            self.figure.savefig(path, format=file_format, dpi=200, metadata=UNDATED[file_format])


def make_page(width, height, title, footer, key):
    """A figure with `width` x `height` inches left for panels between title and footer.

    `title` and `footer` are lists of phrases, kept whole where lines break. `key` holds
    (artist, label) pairs: they stand above the panels, so that they cover no data.
    """
    title = _fill(title, ", ", int(width * 12))
    footer = _fill(footer, " · ", int(width * 13.5))
    title_lines = title.count("\n") + 1
    footer_lines = footer.count("\n") + 1
    longest = max(len(label) for _, label in key)
    columns = min(len(key), max(1, int(width / (0.75 + 0.07 * longest))))
    key_lines = -(-len(key) // columns)
    top = 0.2 + LINE * 1.1 * title_lines + LINE * 1.05 * key_lines
    bottom = 0.12 + LINE * footer_lines
    total = height + top + bottom
    figure = Figure(figsize=(width, total))
    figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.05,
                             rect=(0, bottom / total, 1, height / total))
    figure.text(0.5, 1 - 0.08 / total, title, ha="center", va="top", fontsize=10)
    # A legend fills its columns one after the other; this key reads along its lines.
    artists, labels = zip(*(entry for column in range(columns) for entry in key[column::columns]))
    figure.legend(artists, labels, ncol=columns, loc="upper center", frameon=False,
                  bbox_to_anchor=(0.5, 1 - (0.1 + LINE * 1.1 * title_lines) / total),
                  borderaxespad=0, borderpad=0.2, labelspacing=0.35)
    figure.text(0.5, 0.07 / total, footer, ha="center", va="bottom", fontsize=8, color="0.25")
    return figure


def _fill(phrases, separator, width):
    """Phrases in lines of at most `width` characters, broken only between phrases."""
    line = separator.join(phrase.replace(" ", "\xa0") for phrase in phrases)
    return textwrap.fill(line, width, break_long_words=False,
                         break_on_hyphens=False).replace("\xa0", " ")
