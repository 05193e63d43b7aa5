#include "simulate/phantom_stream.hpp"

#include <simgrid/s4u.hpp>

namespace annulus::simulate {
namespace {

/// A moment: there is nothing to wait for.
class Now final : public device::Event {
 public:
  [[nodiscard]] bool reached() const override { return true; }
};

}  // namespace

std::shared_ptr<const device::Event> PhantomStream::record() {
  return std::make_shared<Now>();
}

double PhantomStream::now() const {
  return simgrid::s4u::Engine::get_clock();
}

}  // namespace annulus::simulate
