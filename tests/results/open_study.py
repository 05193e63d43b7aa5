"""Opens the sample study with h5py, xarray and h5dump, as its readers will.

usage: open_study.py WRITE_STUDY_SAMPLE
"""

import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy
import xarray

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "study.h5"
    subprocess.run([sys.argv[1], path], check=True)

    points = numpy.arange(30.0).reshape(2, 3, 5)
    measured = numpy.where(points < 11, points, numpy.nan)
    layers = numpy.arange(1, 8)

    for group, entropy in (("depth", measured), ("depth/theory", -points)):
        with xarray.open_dataset(path, group=group, engine="h5netcdf") as study:
            assert dict(study.sizes) == {"n": 2, "rho": 3, "gamma": 5, "layer": 7}, study.sizes
            assert set(study.coords) == {"n", "rho", "gamma", "layer"}, study.coords
            assert study["n"].dtype == numpy.int64
            numpy.testing.assert_array_equal(study["n"], [1021, 4093])
            numpy.testing.assert_array_equal(study["layer"], layers)
            assert study["entropy"].dims == ("n", "rho", "gamma")
            assert study["output_cosine"].dims == ("n", "rho", "gamma", "layer")
            numpy.testing.assert_array_equal(study["entropy"], entropy)
            assert study["entropy"].attrs["units"] == "nat"
            assert study["gamma"].attrs["long_name"] == "strength of the logit scale"
            # By coordinate: where n, rho, gamma = 1021, 0.75, 0.5 the point is 10.
            chosen = study["entropy"].sel(n=1021, rho=0.75, gamma=0.5)
            assert abs(chosen.item()) == 10

    with xarray.open_dataset(path, engine="h5netcdf") as root:
        assert root.attrs["complete"] == 0
        assert root.attrs["finished_at"] == ""
        assert root.attrs["ranks"] == 3
        assert list(root.attrs["hosts"]) == ["alpha", "alpha", "beta"]

    with h5py.File(path) as study:
        expected = {
            "annulus_version", "git_commit", "command_line", "config", "started_at",
            "finished_at", "mpi_library", "transport", "job", "ranks", "threads_per_rank", "hosts",
            "cpus", "cores", "device",
            "backend", "complete", "texts_checksum",
        }  # fmt: skip
        assert set(study.attrs) == expected, set(study.attrs) ^ expected
        assert study.attrs["config"] == 'kind = "depth"\nseed = 1\n'
        finished = study["depth/finished"]
        assert finished.dtype == numpy.uint8
        numpy.testing.assert_array_equal(finished[:], points < 11)
        assert [dimension.label or dimension[0].name for dimension in finished.dims] == [
            "/depth/n", "/depth/rho", "/depth/gamma"
        ]  # fmt: skip
        numpy.testing.assert_array_equal(
            study["depth/output_cosine"][0, 2, 0], 10 + layers / 16
        )

    dump = subprocess.run(["h5dump", path], check=True, capture_output=True, text=True)
    assert "output_cosine" in dump.stdout and not dump.stderr, dump.stderr
