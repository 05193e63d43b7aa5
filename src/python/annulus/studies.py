"""Studies: grids of experiments, as `annulus study` runs them."""

import os
from collections.abc import Callable

from annulus import _core


def run_study(config: str | os.PathLike[str], output: str | os.PathLike[str], *,
              comm: _core.Communicator | None = None, resume: bool = False,
              overwrite: bool = False,
              progress: Callable[[int, int], None] | None = None) -> None:
    """Collective. Measures what a TOML file says, each point on disk before the next begins.

    config     a file that all ranks see
    output     the results file, for annulus.open; an existing one is refused, unless
    resume     it is to be completed, or
    overwrite  replaced
    progress   called on every rank after each point with the number of finished points and of all

    Raises InputError, naming the key, for a config that makes no sense; Ctrl-C ends it between two
    points, and resume goes on from there.
    """
    _core.run_study(os.fspath(config), os.fspath(output), comm or _core.SelfCommunicator(), resume,
                    overwrite, progress)
