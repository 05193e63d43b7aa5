"""Annulus for Spack, built from the checkout that this file is part of:

spack repo add configs/cluster/spack
spack install annulus            # or annulus+cuda cuda_arch=90
"""

from pathlib import Path

from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Annulus(CMakePackage, CudaPackage):
    """Exact attention over one sequence that is spread across many ranks."""

    git = Path(__file__).resolve().parents[5].as_uri()
    license("Apache-2.0")
    version("main", branch="main")

    variant("mpi", default=True, description="Ranks that are processes")
    variant("hdf5", default=True, description="Files of inputs and results")
    variant("openmp", default=True, description="Threads in a rank")
    variant("nccl", default=False, when="+cuda+mpi", description="Transfers between GPUs")
    variant("report", default=True, when="+hdf5", description="The drawing program")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")

    depends_on("openblas")
    depends_on("cli11@2.1:")
    depends_on("fmt@9:")
    depends_on("highway@1.0.3:")
    depends_on("nlohmann-json@3.11:")
    depends_on("random123")
    depends_on("tomlplusplus@3.3:")
    depends_on("mpi@3:", when="+mpi")
    depends_on("hdf5@1.10: +hl", when="+hdf5")
    depends_on("hdf5 +mpi", when="+hdf5+mpi")
    depends_on("hdf5 ~mpi", when="+hdf5~mpi")
    depends_on("cuda@12:", when="+cuda")
    depends_on("nccl", when="+nccl")
    conflicts("cuda_arch=none", when="+cuda", msg="expected cuda_arch, such as 90")

    depends_on("python@3.11:", type=("build", "run"))
    for package in ("numpy", "h5py", "matplotlib", "xarray", "h5netcdf"):
        depends_on(f"py-{package}", when="+report", type="run")

    def cmake_args(self):
        switches = {
            name: self.spec.satisfies(f"+{name}")
            for name in ("mpi", "hdf5", "openmp", "cuda", "nccl")
        }
        arguments = [
            self.define(f"ANNULUS_{name.upper()}", "ON" if on else "OFF")
            for name, on in switches.items()
        ]
        arguments += [
            self.define("ANNULUS_TESTS", False),
            self.define("ANNULUS_CUDNN", "OFF"),
            self.define("ANNULUS_PYTHON", self.spec["python"].command.path),
        ]
        if self.spec.satisfies("+cuda"):
            architectures = ";".join(
                f"{arch}-real" for arch in self.spec.variants["cuda_arch"].value
            )
            arguments.append(self.define("ANNULUS_CUDA_ARCHITECTURES", architectures))
        return arguments
