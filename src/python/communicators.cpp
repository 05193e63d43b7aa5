// Ranks: alone, as threads, or joined by a Python object.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/comm/threads.hpp"
#include "comm/sum_by_parts.hpp"
#include "python/peer_communicator.hpp"

namespace annulus::python {
namespace {

using namespace nb::literals;
using Bytes = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::span<std::byte> span_of(const Bytes& bytes) {
  return {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()};
}

template <class T>
using Summands = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void sum(comm::Communicator& communicator, const Summands<double>& numbers) {
  const std::span<double> all(numbers.data(), numbers.size());
  const nb::gil_scoped_release unlocked;
  communicator.all_reduce(all, comm::Reduction::sum);
}

void sum_narrow(comm::Communicator& communicator, const Summands<float>& numbers) {
  const std::span<float> all(numbers.data(), numbers.size());
  const nb::gil_scoped_release unlocked;
  comm::sum(communicator, all);
}

/// Sends this rank's bytes to all others and receives theirs, each where it says.
void exchange_all(comm::Communicator& communicator, const std::vector<Bytes>& all) {
  if (static_cast<int>(all.size()) != communicator.size()) {
    throw InputError(
        fmt::format("memory for {} ranks; there are {}", all.size(), communicator.size()));
  }
  std::vector<comm::Send> sends;
  std::vector<comm::Receive> receives;
  const int own = communicator.rank();
  for (int peer = 0; peer < communicator.size(); ++peer) {
    if (peer == own) continue;
    sends.push_back({peer, span_of(all[static_cast<std::size_t>(own)])});
    receives.push_back({peer, span_of(all[static_cast<std::size_t>(peer)])});
  }
  const nb::gil_scoped_release unlocked;
  communicator.exchange(sends, receives)->wait();
}

}  // namespace

void bind_communicators(nb::module_& module) {
  using comm::Communicator;
  nb::class_<Communicator>(module, "Communicator",
                           "A group of ranks, of which this process, or this thread, is one.")
      .def_prop_ro("rank", &Communicator::rank)
      .def_prop_ro("size", &Communicator::size, "how many ranks there are")
      .def_prop_ro("transport", &Communicator::name, "'self', 'threads', 'mpi' or 'torch'")
      .def_prop_ro("library", &Communicator::library, "what is behind it, and its version")
      .def_prop_ro(
          "nodes", [](const Communicator& self) { return self.topology().node_of; },
          "the node of each rank: those of one node share memory; empty where nothing is known")
      .def("barrier", &Communicator::barrier, nb::call_guard<nb::gil_scoped_release>(),
           "Returns when all ranks have come here.")
      .def("sum", &sum, nb::arg("numbers").noconvert(),
           "Collective. Replaces numbers, fp64 or fp32, by their sums over ranks, the same bits on "
           "all: made in fp64, in the order of ranks.")
      .def("sum", &sum_narrow, nb::arg("numbers").noconvert())
      .def("exchange_all", &exchange_all, "memory"_a,
           "Collective. One array of bytes for each rank: sends all others this rank's, and "
           "fills in theirs.");
  nb::class_<comm::SelfCommunicator, Communicator>(module, "SelfCommunicator").def(nb::init<>());
  nb::class_<PeerCommunicator, Communicator>(module, "PeerCommunicator")
      .def(nb::init<nb::object, int, int, std::string, std::string>(), "peers"_a, "rank"_a,
           "ranks"_a, "transport"_a, "library"_a);
  nb::class_<comm::ThreadRanks>(module, "ThreadRanks")
      .def(nb::init<int>(), "ranks"_a)
      .def("communicator", &comm::ThreadRanks::communicator, "rank"_a,
           nb::rv_policy::reference_internal)
      .def("leave", &comm::ThreadRanks::leave, "rank"_a)
      .def("give_up", &comm::ThreadRanks::give_up, "rank"_a)
      .def_prop_ro("first_to_fail", &comm::ThreadRanks::first_to_fail);
}

}  // namespace annulus::python
