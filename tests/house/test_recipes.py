"""The recipes for clusters and containers, as far as they can be checked without these."""

import os
import pathlib
import re
import runpy
import subprocess
import sys
import types

import pytest

SOURCE = pathlib.Path(os.environ["ANNULUS_SOURCE"])
RECIPES = SOURCE / "configs" / "cluster"


def test_mpijob():
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((RECIPES / "mpijob.yaml").read_text())
    assert job["apiVersion"] == "kubeflow.org/v2beta1" and job["kind"] == "MPIJob"
    replicas = job["spec"]["mpiReplicaSpecs"]
    [launcher] = replicas["Launcher"]["template"]["spec"]["containers"]
    workers = replicas["Worker"]["template"]["spec"]
    [worker] = workers["containers"]
    words = launcher["command"]
    per_node = job["spec"]["slotsPerWorker"]
    assert int(words[words.index("-n") + 1]) == per_node * replicas["Worker"]["replicas"]
    assert f"ppr:{per_node}:node" in words
    threads = int(re.search(r"OMP_NUM_THREADS=(\d+)", " ".join(words)).group(1))
    assert threads * per_node == int(worker["resources"]["limits"]["cpu"])
    mounts = {mount["name"]: mount["mountPath"] for mount in worker["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in workers["volumes"]}
    output = pathlib.PurePath(words[words.index("--output") + 1])
    assert str(output.parent) in mounts.values()


def test_pbs_script_runs_as_pbs_would_run_it(tmp_path):
    """Its directives are comments to a shell; what it starts is shown here in place of mpirun."""
    (tmp_path / "launch").symlink_to(SOURCE / "launch")
    (tmp_path / "hosts").write_text("n1\nn1\nn2\nn2\n")
    shown = tmp_path / "mpirun"
    shown.write_text("#!/bin/sh\n[ $1 = --version ] && exec echo Open MPI\nprintf '%s\\n' \"$*\"\n")
    shown.chmod(0o755)
    done = subprocess.run(
        ["bash", RECIPES / "strong.pbs"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "RANKS": "3",
            "PBS_O_WORKDIR": str(tmp_path),
            "PBS_NODEFILE": str(tmp_path / "hosts"),
        },
    )
    assert f"--hostfile {tmp_path}/hosts --map-by ppr:2:node" in done.stdout
    assert done.stdout.endswith(
        "-n 3 build/bin/annulus bench strong --length 65536 --mask causal "
        "--ranks 3 --output results/strong-3.h5 --resume\n"
    )


def test_images_are_built_alike():
    """Docker and Apptainer build with the same commands."""
    found = [
        sorted(
            set(
                re.findall(
                    r"cmake -S .*?(?=\n| \\| &&)|cmake --\w+ .*?(?=\n| &&)|/src/launch/setup --run",
                    (RECIPES / name).read_text(),
                )
            )
        )
        for name in ("Dockerfile", "annulus.def")
    ]
    assert len(found[0]) == 4 and found[0] == found[1]


class Recorder(types.ModuleType):
    """Takes the place of Spack's modules: keeps what a recipe says."""

    def __init__(self, name):
        super().__init__(name)
        self.said = []
        self.CMakePackage = type("CMakePackage", (), {})
        self.CudaPackage = type("CudaPackage", (), {})
        self.__all__ = ["license", "version", "variant", "depends_on", "conflicts"]
        for word in self.__all__:
            setattr(
                self,
                word,
                lambda *words, word=word, **options: self.said.append((word, words, options)),
            )


class Spec:
    """A build with some variants."""

    def __init__(self, *on):
        self.on = on
        self.variants = {"cuda_arch": types.SimpleNamespace(value=("80", "90"))}

    def satisfies(self, variant):
        return variant in self.on

    def __getitem__(self, _):
        return types.SimpleNamespace(command=types.SimpleNamespace(path="/spack/bin/python3"))


def test_spack_recipe_names_options_that_there_are(monkeypatch):
    recorder = Recorder("spack.package")
    for name in (
        "spack",
        "spack.package",
        "spack_repo",
        "spack_repo.builtin",
        "spack_repo.builtin.build_systems",
        "spack_repo.builtin.build_systems.cmake",
        "spack_repo.builtin.build_systems.cuda",
    ):
        monkeypatch.setitem(sys.modules, name, recorder)
    path = RECIPES / "spack" / "packages" / "annulus" / "package.py"
    package = runpy.run_path(str(path))["Annulus"]()
    package.define = lambda name, value: (name, value)
    assert package.git == SOURCE.resolve().as_uri()
    known = set(re.findall(r"ANNULUS_\w+", (SOURCE / "src/cmake/AnnulusOptions.cmake").read_text()))
    known |= {
        f"ANNULUS_{name}"
        for name in (
            "MPI",
            "HDF5",
            "CUDA",
            "NCCL",
            "CUDNN",
            "OPENMP",
            "PYTHON",
            "CUDA_ARCHITECTURES",
        )
    }
    package.spec = Spec("+mpi", "+cuda")
    arguments = dict(package.cmake_args())
    assert set(arguments) <= known
    assert arguments["ANNULUS_MPI"] == "ON" and arguments["ANNULUS_HDF5"] == "OFF"
    assert arguments["ANNULUS_CUDA_ARCHITECTURES"] == "80-real;90-real"
    variants = {words[0] for word, words, _ in recorder.said if word == "variant"}
    assert {"mpi", "hdf5", "openmp", "nccl", "report"} == variants
