#include "ring/finish_work.hpp"

#include <thread>

namespace annulus::ring {

void finish_work(device::Stream& stream, comm::Communicator& communicator) {
  while (!stream.idle()) {
    communicator.check();
    std::this_thread::yield();
  }
}

}  // namespace annulus::ring
