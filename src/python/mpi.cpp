// Ranks that are MPI processes. A build without MPI says so.
#include <cstdint>
#include <string>

#include <nanobind/stl/string.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/communicator.hpp"
#include "python/bindings.hpp"

#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi.hpp"
#include "annulus/comm/mpi_alone.hpp"
#endif

namespace annulus::python {

using namespace nb::literals;

#if ANNULUS_HAVE_MPI

void bind_mpi(nb::module_& module) {
  nb::class_<comm::MpiCommunicator, comm::Communicator>(module, "MpiCommunicator")
      .def(
          "__init__",
          [](comm::MpiCommunicator* self, std::uintptr_t address) {
            new (self) comm::MpiCommunicator(*reinterpret_cast<MPI_Comm*>(address));
          },
          "address"_a, nb::call_guard<nb::gil_scoped_release>(),
          "Collective. Over the ranks of the MPI_Comm at this address, which it duplicates.");
  module.def("mpi_library", &comm::mpi_library, "The MPI that this build is linked with.");
}

#else

void bind_mpi(nb::module_& module) {
  module.def("mpi_library", []() -> std::string {
    throw InputError("comm.mpi: this build has no MPI; install annulus again where there is one");
  });
}

#endif

}  // namespace annulus::python
