// Ranks as GPUs that NCCL joins. A build without NCCL says so.
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <nanobind/stl/unique_ptr.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/communicator.hpp"
#include "python/bindings.hpp"

#if ANNULUS_HAVE_NCCL
#include "annulus/comm/nccl.hpp"
#endif

namespace annulus::python {
namespace {

using namespace nb::literals;
using comm::Communicator;

#if ANNULUS_HAVE_NCCL

std::unique_ptr<Communicator> over(Communicator& host) {
  const nb::gil_scoped_release unlocked;
  return comm::nccl(host, device::open_stream(comm::nccl_device(host)));
}

nb::bytes make_id() {
  const auto id = comm::make_nccl_id();
  return nb::bytes(id.bytes.data(), id.bytes.size());
}

std::unique_ptr<Communicator> with_id(const nb::bytes& bytes, int ranks, int rank, int gpu) {
  comm::NcclId id;
  if (bytes.size() != id.bytes.size()) {
    throw InputError(fmt::format("an id of {} bytes; expected {}", bytes.size(), id.bytes.size()));
  }
  std::memcpy(id.bytes.data(), bytes.data(), id.bytes.size());
  const nb::gil_scoped_release unlocked;
  return comm::nccl(id, ranks, rank, device::open_stream(Device::cuda(gpu)));
}

#else

[[noreturn]] void refuse() {
  throw InputError("comm.nccl: this build has no NCCL; install annulus again where there is one");
}
std::unique_ptr<Communicator> over(Communicator& /*host*/) {
  refuse();
}
nb::bytes make_id() {
  refuse();
}
std::unique_ptr<Communicator> with_id(const nb::bytes& /*bytes*/, int /*ranks*/, int /*rank*/,
                                      int /*gpu*/) {
  refuse();
}

#endif

}  // namespace

void bind_nccl(nb::module_& module) {
  module.def("nccl_over", &over, "host"_a,
             "Collective. The GPUs of the ranks of `host`, by which they find each other.");
  module.def("nccl_id", &make_id, "What one rank makes and hands to the others.");
  module.def("nccl_with_id", &with_id, "id"_a, "ranks"_a, "rank"_a, "gpu"_a,
             "Collective. The GPUs of all ranks that have the same id.");
}

}  // namespace annulus::python
