"""What this build is and has."""

from annulus import _core

git_commit: str = _core.git_commit
"""The commit that was built; "unknown" outside a git checkout."""


def features() -> dict[str, bool]:
    """Which optional dependencies the build has: mpi, hdf5, cuda and so on."""
    return dict(_core.features())


def backends() -> list[str]:
    """The names of what can compute."""
    return _core.backends()


def statistics() -> list[str]:
    """The names of the statistics of rows that forward passes can give."""
    return _core.statistics()
