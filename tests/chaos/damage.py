"""Damaged files: what a disk, a cable or another program does to them."""

import h5py

from files import NEEDLE, finished_points, points_and_faults, small_input, sound_run
from watched import faults_of, left_behind, run


def damaged(chance, sound):
    """Bytes that are others, missing or twice; more often near the start, where structure is."""
    data = bytearray(sound)

    def place(size=1):
        end = len(data) - size
        return chance.randrange(max(1, min(end, 4096) if chance.random() < 0.7 else end))

    for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
        how = chance.randrange(8)
        if how <= 2:
            data[place()] ^= 1 << chance.randrange(8)
        elif how == 3:
            data[place()] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        elif how == 4:  # a number of 8 bytes that became very large, or negative
            at = place(8)
            data[at:at + 8] = chance.choice([2**63 - 1, 2**64 - 1, 2**40, 0]).to_bytes(8, "little")
        elif how == 5:
            size = chance.choice([64, 512, 4096])
            at = place(size)
            data[at:at + size] = bytes(min(size, len(data) - at))
        elif how == 6:
            size = chance.choice([8, 64, 512])
            at, source = place(size), place(size)
            data[at:at + size] = data[source:source + size]
        else:
            del data[chance.randrange(1, len(data)):]
            data += bytes(8 if len(data) < 8 else 0)
    return bytes(data)


STORAGES = [{}, {"latest": True}, {"chunks": (10, 2, 8), "compression": "gzip"},
            {"chunks": (7, 1, 8), "shuffle": True, "fletcher32": True},
            {"chunks": (10, 2, 8), "compression": "gzip", "shuffle": True},
            {"latest": True, "chunks": (9, 4, 3)}]


class Inputs:
    """attend reads them: refused in one line, or what was damaged does not count."""

    name = "damaged inputs"

    def __init__(self, program, scratch):
        self.program = program
        self.sound = []
        for storage in STORAGES:
            path = scratch / "sound-input.h5"
            small_input(path, **storage)
            self.sound.append(path.read_bytes())

    def trial(self, chance, folder):
        (folder / "in.h5").write_bytes(damaged(chance, chance.choice(self.sound)))
        arguments = ["attend", "in.h5", "-o", "out.h5", "--backward"]
        arguments += chance.choice([[], [], ["--transport", "threads:3"]])
        ranks = 3 if chance.random() < 0.1 and len(arguments) == 5 else None
        ended = run(self.program, arguments, folder, ranks)
        expected = {"in.h5"} | ({"out.h5"} if ended.code == 0 else set())
        faults = faults_of(ended) + left_behind(folder, expected)
        if ended.code == 1 and "out of memory" not in ended.err:
            faults.append("damage is not told as bad input")
        return ended, self.program.command(arguments, ranks), faults


class Results:
    """study --resume takes them up: refused as they are, or finished with no point lost."""

    name = "damaged results"

    def __init__(self, program, scratch):
        self.program = program
        (scratch / "study.toml").write_text(NEEDLE)
        path = scratch / "sound-results.h5"
        sound_run(program, ["study", "study.toml", "-o", path.name], scratch)
        self.complete = finished_points(path)
        self.sound = [path.read_bytes(), self.interrupted(path)]

    @staticmethod
    def interrupted(path):
        """As a run that was killed leaves it: marks of points that are not there yet are 0."""
        with h5py.File(path, "a") as file:
            file["needle/finished"][1, 1, 1:] = 0
            file.attrs.modify("complete", 0)
        return path.read_bytes()

    def trial(self, chance, folder):
        path = folder / "o.h5"
        before = damaged(chance, chance.choice(self.sound))
        path.write_bytes(before)
        (folder / "study.toml").write_text(NEEDLE)
        arguments = ["study", "study.toml", "-o", "o.h5", "--resume"]
        ended = run(self.program, arguments, folder)
        faults = faults_of(ended) + left_behind(folder, {"study.toml", "o.h5"})
        if ended.code == 0:
            points, unreadable = points_and_faults(path)
            missing = self.complete.keys() - points.keys()
            faults += unreadable + ([f"loses {len(missing)} points"] if missing else [])
        elif path.read_bytes() != before:
            faults.append("changes a file that it refuses")
        if ended.code == 1:
            faults.append("damage is not told as bad input")
        return ended, self.program.command(arguments), faults
