"""Runs that are killed at random moments, and the runs after them."""

import os
import shutil
import signal
import time

from files import differing, finished_points, is_complete, points_and_faults, small_input, sound_run
from watched import Run, family_of, faults_of, left_behind, run

# Some 200 points of a few milliseconds.
STUDY = """kind = "phase"
tokens = "simplex"
n = [128]
rho = [0.25, 0.5]
gamma = {from = 0.0, to = 8.0, count = 100}
"""

SOURCES = {"study": "study.toml", "attend": "in.h5"}


def partial_files(folder):
    return [name for name in os.listdir(folder) if ".partial-" in name]


class Kills:
    """SIGKILL and SIGTERM to the program, to one rank of several, or to the launcher."""

    name = "kills"

    def __init__(self, program, scratch):
        self.program = program
        self.files = scratch / "kills"
        self.files.mkdir()
        small_input(self.files / "in.h5", rows=4000)
        (self.files / "study.toml").write_text(STUDY)
        self.seconds = {}
        for command, source in SOURCES.items():
            start = time.monotonic()
            sound_run(program, [command, source, "-o", f"{command}.h5"], self.files)
            self.seconds[command] = time.monotonic() - start
        self.points = finished_points(self.files / "study.h5")
        for command in SOURCES:
            (self.files / f"{command}.h5").unlink()

    def trial(self, chance, folder):
        shutil.copytree(self.files, folder, dirs_exist_ok=True)
        command = chance.choice(["study", "study", "attend"])
        arguments = [command, SOURCES[command], "-o", "o.h5"]
        ranks = chance.choice([None, 2, 3])
        sent = chance.choice([signal.SIGKILL, signal.SIGTERM])
        victim = "program" if ranks is None else chance.choice(["rank", "launcher"])
        started = Run(self.program, arguments, folder, ranks)
        # A launcher takes a second of its own.
        moment = chance.uniform(0, 1.2) * (self.seconds[command] + (0.0 if ranks is None else 1.0))
        time.sleep(moment)
        writes_points = command == "study" and (folder / "o.h5").exists()
        held = finished_points(folder / "o.h5") if writes_points else {}
        who = self.kill(chance, started, victim, sent)
        ended = started.wait()
        what = [*self.program.command(arguments, ranks),
                f"# {sent.name} to {who or 'nobody'} after {moment:.3f} s"]
        faults = faults_of(ended, sent if who else None)
        faults += self.faults_of_files(command, folder, ended, sent, held)
        return ended, what, faults + self.run_again(command, arguments, folder)

    def kill(self, chance, started, victim, sent):
        """Whom the signal reached: the launcher for ranks that are not there yet; None where the
        run is over."""
        ranks = [pid for pid in family_of(started.folder) if is_program(pid, self.program.path)]
        pid = chance.choice(sorted(ranks)) if victim == "rank" and ranks else started.process.pid
        if victim == "rank" and not ranks:
            victim = "launcher"
        if started.process.poll() is not None:
            return None
        try:
            os.kill(pid, sent)
        except ProcessLookupError:
            return None
        return victim

    def faults_of_files(self, command, folder, ended, sent, held):
        faults = []
        if sent == signal.SIGTERM and ended.code is not None:
            faults += [f"leaves {name} after SIGTERM" for name in partial_files(folder)]
        faults += left_behind(folder, {"in.h5", "study.toml", "o.h5", *partial_files(folder)})
        if not (folder / "o.h5").exists():
            return faults
        if command == "study":
            return faults + self.faults_of_points(folder / "o.h5", held)
        return faults + ([] if is_complete(folder / "o.h5") else ["leaves half of o.h5"])

    def faults_of_points(self, path, held):
        found, faults = points_and_faults(path)
        lost = held.keys() - found.keys()
        if lost:
            faults.append(f"loses {len(lost)} finished points")
        wrong = differing(found, self.points)
        if wrong:
            faults.append(f"has {len(wrong)} points that are wrong, such as {wrong[0]}")
        return faults

    def run_again(self, command, arguments, folder):
        """The next run finishes the work, and removes what was left."""
        again = [*arguments, "--resume" if command == "study" else "--overwrite"]
        ended = run(self.program, again, folder)
        faults = [f"then: {fault}" for fault in faults_of(ended)]
        if ended.code != 0:
            return [*faults, f"then: exit code {ended.code}: {ended.err.strip()}"]
        faults += [f"then: {fault}"
                   for fault in left_behind(folder, {"in.h5", "study.toml", "o.h5"})]
        if command == "study":
            faults += [f"then: {fault}"
                       for fault in self.faults_of_points(folder / "o.h5", self.points)]
        return faults


def is_program(pid, path):
    try:
        return os.path.samefile(f"/proc/{pid}/exe", path)
    except OSError:
        return False
