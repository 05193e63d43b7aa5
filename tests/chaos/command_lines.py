"""Random command lines: what --help lists, with values that are allowed, and others."""

import json
import os
import re
import shutil

from files import NEEDLE, small_input, sound_run
from watched import faults_of, left_behind, run

# Small, so that what is allowed is soon done. Options that are not here get wild values alone.
ALLOWED = {
    "--length": ["0", "1", "7", "64", "131"],
    "--queries": ["0", "1", "5", "70"],
    "--batch": ["1", "2", "3"],
    "--documents": ["5,0,17", "31", "1,1,1,1", "64,7"],
    "--heads": ["1", "2", "4", "6"],
    "--key-heads": ["1", "2", "4"],
    "--head-dim": ["1", "8", "16", "65"],
    "--value-dim": ["1", "8", "33"],
    "--mask": ["full", "causal", "window:3", "window:0,0", "window:5,2", "window:99999999999"],
    "--logit-scale": ["none", "critical:gamma=2", "ssmax:s=0.43", "su:base_length=64", "yarn",
                      "llama4:floor=8,coefficient=0.1", "grok", "infoscale:length=visible", "table",
                      "critical:gamma=1e308", "qwen:base=-3"],
    "--layout": ["nhd", "bnhd", "bhnd"],
    "--sharding": ["auto", "contiguous", "zigzag", "striped", "balanced"],
    "--key-sharding": ["contiguous", "zigzag", "striped", "balanced"],
    "--schedule": ["auto", "ring", "node-ring", "bidirectional", "double-ring:1", "tiles",
                   "tiles:1x2", "heads:2", "heads:3+tiles", "heads:2+double-ring"],
    "--precision": ["fp32", "fp64", "bf16", "fp16"],
    "--device": ["auto", "cpu", "cuda"],
    "--backend": ["auto", "cpu", "reference", "cuda", "cudnn"],
    "--threads": ["1", "2", "3"],
    "--transport": ["auto", "self", "threads:2", "threads:3", "mpi", "nccl"],
    "--ranks": ["1", "2", "3", "17"],
    "--ranks-per-node": ["1", "2"],
    "--repetitions": ["1"],
    "--row-seconds": ["0.1"],
    "--seconds": ["1"],
    "--tokens": ["1", "2"],
    "--seed": ["0", "18446744073709551615"],
    "--progress": ["auto", "always", "never"],
    "--statistics": ["off", "on", "off,on"],
    "--pass": ["forward", "backward", "forward,backward"],
    "--format": ["png", "svg"],
}
# Without these, what an option is by default takes its time.
ALWAYS = {"--length", "--repetitions", "--seconds", "--tokens", "--head-dim", "--heads", "--key-heads"}
WILD = ["", " ", "0", "-1", "+3", "1.5", "1e3", "0x10", " 7", "7 ", "7,", ",7", "7,,7", "nan",
        "-inf", "1e999", "99999999999999999999", "-9223372036854775809", "abc", "AUTO", "auto ",
        "深", "\udcff", "a\nb", "\x1b[2J", "%s%n", "=", ":", "--", "-", "--help",
        "window:", "window:-1", "window:1,2,3",
        "threads:", "threads:0", "threads:99999", "critical:", "critical:gamma", "critical:gamma=,",
        "x" * 5000, ".", "/dev/null", "/dev/full", "/proc/self/mem", "no/such/folder/file"]


def options_in(help_text):
    """Long names of options, and whether each takes a value."""
    found = re.findall(r"^  (?:-\w,)?(--[\w-]+)( [A-Z]+)?\b", help_text, re.MULTILINE)
    return {name: bool(value) and value.strip() != "E" for name, value in found if name != "--help"}


def subcommands_in(help_text):
    _, _, listed = help_text.partition("Subcommands:\n")
    return re.findall(r"^  (\w+)  ", listed, re.MULTILINE)


def grammar_of(program, folder, path=()):
    """The options of every subcommand, as --help lists them."""
    text = run(program, [*path, "--help"], folder).out
    inner = subcommands_in(text)
    if not inner:
        return {path: options_in(text)}
    grammar = {}
    for name in inner:
        grammar.update(grammar_of(program, folder, (*path, name)))
    return grammar


def arguments_of(chance, grammar):
    """A random command line; file names are those that `trial` has made."""
    path = chance.choice(list(grammar))
    options = grammar[path]
    chosen = [name for name in options
              if name in ALWAYS or chance.random() < 3 / max(len(options), 1)]
    wild = chance.random() < 0.6  # one value at least, that is
    target = chance.choice(chosen) if wild and chosen else None
    arguments = []
    for name in chosen:
        if not options[name]:
            arguments.append([name])
            continue
        values = ALLOWED.get(name, WILD)
        if name == "--output":
            values = ["out.h5"] if path != ("report",) else ["pictures.png", "."]
        value = chance.choice(WILD if name == target or chance.random() < 0.03 else values)
        arguments.append([name, value] if chance.random() < 0.7 else [f"{name}={value}"])
    files = {("attend",): "in.h5", ("study",): "study.toml", ("report",): "results.h5"}
    if path in files:
        arguments.append([files[path] if chance.random() < 0.9 else chance.choice(WILD)])
        if "--output" not in chosen and path != ("report",) and chance.random() < 0.95:
            arguments.append(["-o", "out.h5"])
    if chance.random() < 0.3:
        chance.shuffle(arguments)
    flat = [*path, *(part for group in arguments for part in group)]
    if chance.random() < 0.15:
        spoil(chance, flat)
    return flat


def spoil(chance, arguments):
    """An argument too few, too many, or twice."""
    at = chance.randrange(len(arguments) + 1)
    if arguments and chance.random() < 0.5:
        del arguments[min(at, len(arguments) - 1)]
    elif arguments and chance.random() < 0.5:
        arguments.insert(at, chance.choice(arguments))
    else:
        arguments.insert(at, chance.choice([*WILD, "--no-such-option", "-x", "--json=x"]))


class CommandLines:
    """Trials of this kind; a trial is a function of its chance and an empty folder."""

    name = "command lines"

    def __init__(self, program, scratch):
        self.program = program
        self.files = scratch / "command-lines"
        self.files.mkdir()
        self.grammar = grammar_of(program, self.files)
        small_input(self.files / "in.h5")
        (self.files / "study.toml").write_text(NEEDLE)
        sound_run(program, ["study", "study.toml", "-o", "results.h5"], self.files)

    def trial(self, chance, folder):
        shutil.copytree(self.files, folder, dirs_exist_ok=True)
        arguments = arguments_of(chance, self.grammar)
        ranks = chance.choice([2, 3]) if chance.random() < 0.1 else None
        if ":" in arguments:  # to mpirun the end of a command
            ranks = None
        ended = run(self.program, arguments, folder, ranks)
        faults = faults_of(ended)
        if ended.code == 0 and "--json" in arguments and "--help" not in arguments:
            faults += not_json(ended.out)
        if ended.code != 0:
            faults += left_behind(folder, os.listdir(self.files))
        faults += [f"leaves {name}" for name in os.listdir(folder) if ".partial-" in name]
        return ended, self.program.command(arguments, ranks), faults


def not_json(text):
    try:
        json.loads(text)
        return []
    except ValueError:
        return ["--json prints no JSON"]
