"""Where pictures go, and writing them there."""

import os

from error import ReportError
from page import UNDATED

FORMATS = tuple(UNDATED)
_LISTED = ", ".join(FORMATS)


def write_pictures(pictures, inputs, output=None, file_format=None):
    """Writes every picture, over an older one of the same name; returns the paths."""
    paths, file_format = picture_paths([picture.name for picture in pictures], inputs, output,
                                       file_format)
    for picture, path in zip(pictures, paths):
        try:
            picture.save(path, file_format)
        except OSError as error:
            raise ReportError(f"--output: {path} cannot be written: {error.strerror}") from error
    return paths


def picture_paths(names, inputs, output=None, file_format=None):
    """A path for each picture, and the format of all of them.

    FOLDER/STEM-NAME.FORMAT: beside the first input and with the stem of the inputs, unless
    `output` is a folder, or a file that gives the stem. A file names a single picture exactly.
    """
    if file_format is not None and file_format not in FORMATS:
        raise ReportError(f"--format: unknown format {file_format!r}; expected {_LISTED}")
    if output is None or os.path.isdir(output) or output.endswith(os.sep):
        folder = os.path.dirname(inputs[0]) if output is None else output
        stem, suffix = common_stem(inputs), ""
    else:
        folder, name = os.path.split(output)
        stem, suffix = os.path.splitext(name)
        if suffix[1:] not in FORMATS:
            raise ReportError(f"--output: {output} is neither a folder that exists nor a file "
                              f"whose suffix is one of {_LISTED}")
        if file_format not in (None, suffix[1:]):
            raise ReportError(f"--format: {file_format} contradicts --output {output}")
    if folder and not os.path.isdir(folder):
        raise ReportError(f"--output: {folder} is not a folder that exists")
    file_format = file_format or suffix[1:] or "png"
    if suffix and len(names) == 1:
        return [output], file_format
    return [os.path.join(folder, f"{stem}-{name}.{file_format}") for name in names], file_format


def common_stem(inputs):
    """The stem of one file; of several, the words that their stems begin with (or the first's)."""
    stems = [os.path.splitext(os.path.basename(path))[0] for path in inputs]
    words = [stem.split("-") for stem in stems]
    common = os.path.commonprefix(words)  # noqa: RUF071 - of words, not of letters
    return "-".join(common) or stems[0]
