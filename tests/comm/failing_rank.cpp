// failing_rank RANK WAIT: that rank throws in the middle of an exchange while the others wait for
// it in an `exchange`, with `several` under way, or in a `barrier`, or in exchanges on devices that
// are `staged` or `direct`; with `finalized`, it throws when MPI is over. What a front end does
// then has to end the whole job.

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/comm/mpi.hpp"
#include "annulus/comm/mpi_session.hpp"
#include "annulus/device/buffer.hpp"
#include "support/model_device.hpp"

namespace {

using namespace annulus::comm;

void run_on_device(int failing, DevicePath path) {
  MpiCommunicator world(MPI_COMM_WORLD, annulus::Index{1} << 30, path);
  const auto stream = annulus::test::model_stream(annulus::test::Order::late);
  const annulus::device::Buffer sent(stream, 3000017, world.exchanged_memory());
  const annulus::device::Buffer received(stream, sent.size(), world.exchanged_memory());
  const int next = (world.rank() + 1) % world.size();
  const int previous = (world.rank() + world.size() - 1) % world.size();
  for (int step = 0; step < 2; ++step) {
    stream->clear(sent.data(), sent.size());
    const auto exchange =
        world.exchange_on(*stream, Send{next, sent.bytes()}, Receive{previous, received.bytes()});
    if (world.rank() == failing) throw annulus::InputError("--mask: rank 1 cannot go on");
    exchange->wait();
  }
}

void run(int failing, const std::string& wait) {
  if (wait == "staged") return run_on_device(failing, DevicePath::staged);
  if (wait == "direct") return run_on_device(failing, DevicePath::direct);
  MpiCommunicator world(MPI_COMM_WORLD);
  if (wait == "finalized") {
    MPI_Finalize();
    if (world.rank() == failing) throw annulus::InputError("--mask: rank 1 cannot go on");
    return;  // the communicator outlives MPI
  }
  std::vector<std::byte> sent(3000017);
  std::vector<std::byte> received(sent.size());
  const int next = (world.rank() + 1) % world.size();
  const int previous = (world.rank() + world.size() - 1) % world.size();
  const auto exchange = world.exchange(Send{next, sent}, Receive{previous, received});
  std::vector<std::byte> received_back(wait == "several" ? sent.size() : 0);
  const auto back = wait == "several"
                        ? world.exchange(Send{previous, sent}, Receive{next, received_back})
                        : nullptr;
  if (world.rank() == failing) throw annulus::InputError("--mask: rank 1 cannot go on");
  if (wait == "barrier") {
    world.barrier();
  } else {
    exchange->wait();
    world.exchange(Send{next, sent}, Receive{previous, received})->wait();
  }
  world.barrier();
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession session(&argc, &argv);
  try {
    run(std::atoi(argv[1]), argv[2]);
  } catch (const annulus::InputError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    MpiSession::abort(2);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    MpiSession::abort(1);
  }
}
