"""annulus report: draws the pictures that belong to results files.

    python3 report RESULTS.h5 [MORE.h5 ...] [--output FILE_OR_FOLDER] [--format png|pdf|svg]
                   [--json]
"""

import argparse
import json
import sys

from error import ReportError


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message):
        sys.exit(fail(message, 2))


def fail(message, code):
    """Says it in one line, with control characters spelled out, and returns the exit code."""
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(message))
    print(f"annulus report: {line}", file=sys.stderr)
    return code


def parse(arguments):
    parser = OneLineParser(prog="annulus report", allow_abbrev=False, description=(
        "Draws the pictures that belong to results files, and prints their names. Files of one "
        "kind of study are drawn together: panels side by side, curves in one frame. Of scaling "
        "studies it writes pictures, sweep.csv and index.html into a folder, of launch/train index.html."))
    parser.add_argument("results", nargs="+", metavar="RESULTS.h5")
    parser.add_argument("--output", metavar="FILE_OR_FOLDER", help=(
        "a folder, or a file: where there are several pictures, each gets its own name before the "
        "suffix (default: beside the first results file); of scaling studies a folder, made where "
        "it is not there"))
    parser.add_argument("--format", metavar="png|pdf|svg", help=(
        "of the pictures (default: as the suffix of --output, else png)"))
    parser.add_argument("--json", action="store_true", help="print the names as a JSON list")
    return parser.parse_args(arguments)


def draw(options):
    """Draws and writes the pictures; returns the paths of what was written."""
    from output import write_pictures
    from results import read_results
    from scaling import write_report
    from scaling_file import is_scaling_file
    from studies import PICTURES
    from training import is_training_file, write_training_report

    if any(map(is_training_file, options.results)):
        return write_training_report(options.results, options.output, options.format)
    scaling = [is_scaling_file(path) for path in options.results]
    if all(scaling):
        return write_report(options.results, options.output, options.format)
    if any(scaling):
        raise ReportError("only files of one kind of study can be drawn together; "
                          f"{options.results[scaling.index(True)]} is of a scaling study")
    all_results = [read_results(path, PICTURES) for path in options.results]
    kinds = {results.kind for results in all_results}
    if len(kinds) > 1:
        raise ReportError("only files of one kind of study can be drawn together; got "
                          + ", ".join(f"{r.path} ({r.kind})" for r in all_results))
    pictures = PICTURES[kinds.pop()](all_results)
    return write_pictures(list(pictures), options.results, options.output, options.format)


def main(arguments):
    options = parse(arguments)
    try:
        paths = draw(options)
    except ReportError as error:
        return fail(error, 2)
    except ImportError as error:
        return fail("needs Python 3.11 or later with matplotlib, xarray and h5netcdf; "
                    f"{sys.executable} has no {error.name}", 1)
    except Exception as error:  # noqa: BLE001 - whatever a file that is not ours may lead to
        return fail(f"{', '.join(options.results)}: cannot be drawn: "
                    f"{type(error).__name__}: {error}", 2)
    try:
        # Not sys.stdout: what that cannot write, Python tries again at its end, and fails there.
        with open(1, "w", encoding="utf-8", closefd=False) as output:
            print(json.dumps(paths) if options.json else "\n".join(paths), file=output)
    except OSError:
        return fail("standard output could not be written", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
