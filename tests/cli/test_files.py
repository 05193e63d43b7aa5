"""Files as people have them: links, long names, orders of axes, every way in which HDF5 stores a
dataset, and damage. One rank and several read and write the same."""

import os
import random

import h5py
import numpy as np
import pytest

from exact_attention import attend
from inputs import random_problem, write

pytestmark = pytest.mark.usefixtures("needs_hdf5")

EXACT = ["--precision", "fp64", "--mask", "causal"]


@pytest.fixture
def problem():
    return random_problem(queries=53, heads=4, key_heads=2, d=16, mask="causal")


def without_q(problem, path):
    """A file to which the caller adds /q."""
    file = h5py.File(write(problem, path), "a")
    del file["q"]
    return file


def expect_exact(path, problem):
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["out"][...], attend(problem).out, rtol=0, atol=1e-12)


def szip(file, q, _folder):
    file.create_dataset("q", data=q, compression="szip", chunks=(10, 2, 16))


def gzip(file, q, _folder):
    file.create_dataset("q", data=q, compression="gzip", chunks=(7, 4, 5), shuffle=True)


def compact(file, q, _folder):
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple(q.shape)
    h5py.h5d.create(file.id, b"q", h5py.h5t.NATIVE_DOUBLE, space, creation).write(
        h5py.h5s.ALL, h5py.h5s.ALL, q)


def external(file, q, folder):
    q[:20].tofile(folder / "a.raw")
    q[20:].tofile(folder / "b.raw")
    file.create_dataset("q", q.shape, "f8", external=[
        (str(folder / "a.raw"), 0, q[:20].nbytes), (str(folder / "b.raw"), 0, h5py.h5f.UNLIMITED)])


def virtual(file, q, folder):
    with h5py.File(folder / "part.h5", "w") as part:
        part["a"], part["b"] = q[:20], q[20:]
    layout = h5py.VirtualLayout(q.shape, "f8")
    layout[:20] = h5py.VirtualSource("part.h5", "a", q[:20].shape)
    layout[20:] = h5py.VirtualSource(folder / "part.h5", "b", q[20:].shape)
    file.create_virtual_dataset("q", layout)


@pytest.mark.parametrize("store", [szip, gzip, compact, external, virtual])
def test_every_storage(annulus, tmp_path, problem, ranks, store):
    with without_q(problem, tmp_path / "in.h5") as file:
        store(file, problem.q, tmp_path)
    annulus.ok("attend", tmp_path / "in.h5", "-o", tmp_path / "out.h5", *EXACT, ranks=ranks)
    expect_exact(tmp_path / "out.h5", problem)


def test_what_was_never_written_is_zero(annulus, tmp_path, problem, ranks):
    with without_q(problem, tmp_path / "in.h5") as file:
        file.create_dataset("q", problem.q.shape, "f8")
    annulus.ok("attend", tmp_path / "in.h5", "-o", tmp_path / "out.h5", *EXACT, ranks=ranks)
    problem.q[:] = 0
    expect_exact(tmp_path / "out.h5", problem)


@pytest.mark.parametrize("store,lost,says", [
    (external, "b.raw", ["/q", "b.raw", "No such file"]),
    (virtual, "part.h5", ["/q", "virtual", "part.h5"]),
])
def test_a_part_that_is_missing(annulus, tmp_path, problem, ranks, store, lost, says):
    with without_q(problem, tmp_path / "in.h5") as file:
        store(file, problem.q, tmp_path)
    (tmp_path / lost).unlink()
    annulus.refused("attend", tmp_path / "in.h5", "-o", tmp_path / "out.h5", says=says, ranks=ranks)
    assert sorted(os.listdir(tmp_path)) == sorted({"in.h5", "a.raw", "b.raw", "part.h5"} - {lost} &
                                                  {"in.h5", *os.listdir(tmp_path)})


def test_a_part_that_is_too_short(annulus, tmp_path, problem):
    with without_q(problem, tmp_path / "in.h5") as file:
        external(file, problem.q, tmp_path)
    os.truncate(tmp_path / "b.raw", 100)
    annulus.refused("attend", tmp_path / "in.h5", "-o", tmp_path / "out.h5",
                    says=["/q", "b.raw", "100 bytes", "expected"])


def test_links_are_followed(annulus, tmp_path, problem, ranks):
    (tmp_path / "disk").mkdir()
    source = write(problem, tmp_path / "disk" / "in.h5")
    (tmp_path / "in.h5").symlink_to(source)
    (tmp_path / "out.h5").symlink_to("disk/out.h5")  # not there yet
    for more in [], ["--overwrite"]:
        annulus.ok("attend", tmp_path / "in.h5", "-o", tmp_path / "out.h5", *EXACT, *more,
                   ranks=ranks)
        assert (tmp_path / "out.h5").is_symlink()
        assert sorted(os.listdir(tmp_path / "disk")) == ["in.h5", "out.h5"]
        expect_exact(tmp_path / "disk" / "out.h5", problem)


def test_names_of_255_bytes(annulus, tmp_path, problem, ranks):
    name = "深" * 84 + ".h5"
    assert len(name.encode()) == 255
    source = write(problem, tmp_path / "in.h5")
    annulus.ok("attend", source, "-o", tmp_path / name, *EXACT, ranks=ranks)
    expect_exact(tmp_path / name, problem)


def test_longer_names_are_refused_before_work_begins(annulus, tmp_path, problem, ranks):
    source = write(problem, tmp_path / "in.h5")
    too_long = tmp_path / ("x" * 256)
    says = ["a name of 256 bytes", "at most 255"]
    annulus.refused("attend", source, "-o", too_long, *EXACT, says=["--output", *says], ranks=ranks)
    annulus.refused("attend", source, "-o", tmp_path / "out.h5", "--trace", too_long, *EXACT,
                    says=["--trace", *says], ranks=ranks)
    assert os.listdir(tmp_path) == ["in.h5"]


def heads_first(values, batch):
    """(batch · n, heads, ...) as (batch, heads, n, ...)."""
    return np.moveaxis(values.reshape(batch, -1, *values.shape[1:]), 2, 1)


def write_heads_first(problem, path, batch, attribute=None, **more):
    arrays = {"q": problem.q, "k": problem.k, "v": problem.v, **more}
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = heads_first(values, batch)
            if attribute:
                file[name].attrs["layout"] = attribute
    return path


@pytest.mark.parametrize("said_by", ["option", "attribute"])
@pytest.mark.parametrize("sharding", ["zigzag", "striped"])
def test_heads_before_rows(annulus, tmp_path, ranks, said_by, sharding):
    problem = random_problem(documents=[31, 31, 31], heads=4, key_heads=2, d=5, mask="causal")
    dout = np.random.default_rng(3).standard_normal(problem.q.shape)
    plain = write(problem, tmp_path / "plain.h5", batch=3, dout=dout.reshape(3, 31, 4, 5))
    options = [*EXACT, "--statistics", "--backward", "--sharding", sharding]
    annulus.ok("attend", plain, "-o", tmp_path / "expected.h5", *options)
    source = write_heads_first(problem, tmp_path / "in.h5", 3, dout=dout,
                               attribute="bhnd" if said_by == "attribute" else None)
    more = ["--layout", "bhnd"] if said_by == "option" else []
    quiet = annulus.ok("attend", source, "-o", tmp_path / "out.h5", *options, *more, ranks=ranks)
    assert "warning" not in quiet.err
    with h5py.File(tmp_path / "expected.h5") as expected, h5py.File(tmp_path / "out.h5") as found:
        for name in ("out", "lse", "statistics/entropy", "dq", "dk", "dv"):
            assert found[name].attrs["layout"] == "bhnd"
            np.testing.assert_allclose(found[name][...], np.moveaxis(expected[name][...], 2, 1),
                                       rtol=0, atol=1e-11, err_msg=name)
        np.testing.assert_allclose(found["dgain"][...], expected["dgain"][...], atol=1e-10)


@pytest.mark.parametrize("per_head", [False, True])
def test_logit_scales_before_rows(annulus, tmp_path, per_head):
    scales = np.random.default_rng(5).uniform(0.5, 2, (31, 4) if per_head else 31)
    problem = random_problem(documents=[31], scale="table", table=scales)
    source = write_heads_first(problem, tmp_path / "in.h5", 1)
    with h5py.File(source, "a") as file:
        file["logit_scale"] = (scales.T if per_head else scales)[None]
    annulus.ok("attend", source, "-o", tmp_path / "out.h5", "--precision", "fp64", "--logit-scale",
               "table", "--layout", "bhnd", "--transport", "threads:3")
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_allclose(file["out"][...], heads_first(attend(problem).out, 1), atol=1e-12)


def test_layouts_that_contradict_each_other(annulus, tmp_path):
    problem = random_problem(documents=[31, 31], heads=4, key_heads=2)
    output = ["-o", tmp_path / "out.h5"]
    source = write_heads_first(problem, tmp_path / "in.h5", 2, attribute="bhnd")
    annulus.refused("attend", source, *output, "--layout", "bnhd", says=["/q", "bhnd", "bnhd"])
    annulus.refused("attend", source, *output, "--layout", "hnd", says=["--layout", "hnd", "bhnd"])
    with h5py.File(source, "a") as file:
        file["v"].attrs["layout"] = "bnhd"
    annulus.refused("attend", source, *output, says=["/v", "layout = bnhd", "bhnd as for /q"])
    plain = write(random_problem(), tmp_path / "plain.h5")
    annulus.refused("attend", plain, *output, "--layout", "bhnd",
                    says=["/q", r"\(29, 4, 16\)", r"\(batch, heads, n, d\)"])
    assert not (tmp_path / "out.h5").exists()


def test_more_heads_than_rows_look_like_a_mistake(annulus, tmp_path):
    """(batch, heads, n, d) without a word is read as (batch, n, heads, d), where shapes allow it."""
    problem = random_problem(documents=[31], heads=4, key_heads=4)
    source = write_heads_first(problem, tmp_path / "in.h5", 1)
    said = annulus.ok("attend", source, "-o", tmp_path / "out.h5").err
    assert "warning: " in said and "/q" in said and "31 heads" in said and "--layout" in said
    said = annulus.ok("attend", source, "-o", tmp_path / "out.h5", "--overwrite", "--layout", "bnhd")
    assert said.err == ""
    one_query = write(random_problem(queries=1, keys=29, heads=4), tmp_path / "one.h5")
    assert annulus.ok("attend", one_query, "-o", tmp_path / "one_out.h5").err == ""


def test_a_table_that_nobody_reads(annulus, tmp_path):
    source = write(random_problem(), tmp_path / "in.h5", logit_scale=np.ones(29))
    for scale in [], ["--logit-scale", "critical"]:
        annulus.refused("attend", source, "-o", tmp_path / "out.h5", *scale,
                        says=["/logit_scale", "--logit-scale table"])


@pytest.mark.parametrize("chunks", [None, (10, 2, 8)])
def test_damaged_inputs(annulus, tmp_path, chunks):
    """Damage is bad input, whatever HDF5 says of it, unless it hit nothing that counts."""
    chance = random.Random(17)
    source = tmp_path / "in.h5"
    with h5py.File(source, "w") as file:
        for name, heads in {"q": 4, "k": 2, "v": 2}.items():
            file.create_dataset(name, data=np.ones((40, heads, 8)), chunks=chunks,
                                compression=chunks and "gzip")
        file["gain"], file["cu_seqlens"] = np.ones(4), np.array([0, 10, 40])
    sound = source.read_bytes()
    refused = 0
    for trial in range(60):
        damaged = bytearray(sound)
        if trial % 3 == 0:
            del damaged[chance.randrange(len(sound)):]
        else:
            for _ in range(1 if trial % 3 == 1 else 16):
                damaged[chance.randrange(min(4096, len(sound)))] = chance.randrange(256)
        source.write_bytes(damaged)
        run = annulus("attend", source, "-o", tmp_path / "out.h5", "--overwrite", timeout=20)
        assert run.code in (0, 2), (trial, run.code, run.err)
        refused += run.code == 2
    assert refused > 20


def test_more_offsets_than_the_file_holds(annulus, tmp_path):
    """As damage to the length of a dataset has it: nothing of that size is waited for."""
    source = write(random_problem(), tmp_path / "in.h5")
    with h5py.File(source, "a") as file:
        file.create_dataset("cu_seqlens", (2**36,), "i8", chunks=(1024,))  # nothing is written
    annulus.refused("attend", source, "-o", tmp_path / "out.h5", says=["/cu_seqlens", str(2**36)],
                    timeout=20)
