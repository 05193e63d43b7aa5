#pragma once
// What rank 0 knows goes to all, whatever its length.

#include <span>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Collective. Makes `values`, a vector or string of plain numbers or characters, that of rank 0.
template <class Container>
void broadcast(comm::Communicator& communicator, Container& values) {
  auto length = static_cast<Index>(values.size());
  communicator.broadcast(std::as_writable_bytes(std::span(&length, 1)), 0);
  values.resize(static_cast<std::size_t>(length));
  communicator.broadcast(std::as_writable_bytes(std::span(values)), 0);
}

}  // namespace annulus::comm
