"""Runs the program under watch, and says what is wrong with how a run ended."""

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Program:
    """What is run, and how long a run may take."""

    path: str
    seconds: float = 20.0

    def command(self, arguments, ranks=None):
        launcher = [] if ranks is None else [str(ROOT / "launch" / "mpirun"), str(ranks)]
        return [*launcher, self.path, *map(str, arguments)]


# OpenPMIX releases a rank once too often where one is killed between asking its server for a
# connection and the answer (4.2 and 5.0; mended in 80dd4e37c): mpirun, whose ranks are all gone,
# takes down what is freed, and waits for its lock.
BROKEN_CONNECTION = re.compile(r"PMIX ERROR: UNREACHABLE in file \S*/ptl_base_connection_hdlr\.c ")


@dataclasses.dataclass(frozen=True)
class Ended:
    """A run that is over. `code` is negative for a signal, None where it had to be ended, and
    `alone` says whether nothing but the launcher, a script and its mpirun, was left then."""

    code: int | None
    out: str
    err: str
    launched: bool = False
    alone: bool = False

    @property
    def launcher_hangs(self):
        """By the fault of PMIx above, and no other."""
        return self.alone and BROKEN_CONNECTION.search(self.err) is not None

    @property
    def end(self):
        """As a report says it."""
        if self.launcher_hangs:
            return "no end of mpirun itself (PMIx)"
        return "no end" if self.code is None else str(self.code)


def family_of(folder):
    """The processes that work in a folder, which is how those of a run are known, orphans too."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(folder):
                found.append(int(entry))
        except OSError:  # it is gone, or a zombie
            continue
    return found


def parent_of(pid):
    """Its parent, or 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Run:
    """A run under way in a folder of its own, in which nothing else runs. What it writes goes to
    files: a pipe would be held open by whoever is left."""

    def __init__(self, program, arguments, folder, ranks=None):
        self.launched = ranks is not None
        self.folder = folder
        self.deadline = time.monotonic() + program.seconds
        self._out, self._err = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115 - while it runs
        self.process = subprocess.Popen(
            program.command(arguments, ranks), stdin=subprocess.DEVNULL, stdout=self._out,
            stderr=self._err, cwd=folder, env=dict(os.environ, OMP_NUM_THREADS="1"))

    def _ends(self, condition):
        while not condition():
            if time.monotonic() > self.deadline:
                return False
            time.sleep(0.005)
        return True

    def wait(self):
        """Waits for the end of the run and of all its processes; ends what is left of it."""
        in_time = (self._ends(lambda: self.process.poll() is not None) and
                   self._ends(lambda: not family_of(self.folder)))
        alone = not in_time and self.launched and all(
            self.process.pid in (pid, parent_of(pid)) for pid in family_of(self.folder))
        while left := family_of(self.folder):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        code = self.process.wait()
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.close()
        return Ended(code if in_time else None, *texts, self.launched, alone)


def run(program, arguments, folder, ranks=None):
    return Run(program, arguments, folder, ranks).wait()


def faults_of(ended, killed_by=None):
    """What is wrong with an end: each a line. `killed_by` is the signal that was sent, if any."""
    if ended.code is None:
        return [] if killed_by is not None and ended.launcher_hangs else ["hangs"]
    if killed_by is not None:
        # The launcher has a code of its own for ranks that were killed.
        if ended.launched and ended.code != 0:
            return []
        if ended.code in (-killed_by, 128 + killed_by):
            return []
    if ended.code < 0:
        return [f"crashes: {signal.Signals(-ended.code).name}"]
    if ended.code not in (0, 1, 2):
        return [f"exit code {ended.code}"]
    faults = []
    if "Traceback" in ended.err:
        faults.append("a traceback")
    said = [line for line in ended.err.splitlines() if line.startswith("annulus")]
    lines = said if ended.launched else ended.err.splitlines()
    if ended.code == 2 and (len(lines) != 1 or len(said) != 1):
        faults.append(f"exit code 2 with {len(lines)} lines on standard error")
    return faults


def left_behind(folder, expected):
    """Names in the folder that no finished run may leave."""
    return [f"leaves {name}" for name in sorted(set(os.listdir(folder)) - set(expected))]
