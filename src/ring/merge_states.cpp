#include "ring/merge_states.hpp"

#include <cstring>
#include <vector>

#include "annulus/attention/partial_state.hpp"
#include "annulus/base/error.hpp"

namespace annulus::ring {
namespace {

/// The owners whose rows `rank` passes on over `distance`: those from which it is an odd multiple
/// of the distance away.
std::vector<int> passed_on(int rank, int distance, int ranks) {
  std::vector<int> owners;
  for (int owner = 0; owner < ranks; ++owner) {
    const int away = (rank - owner + ranks) % ranks;
    if (away % (2 * distance) == distance) owners.push_back(owner);
  }
  return owners;
}

}  // namespace

void merge_states(comm::Communicator& communicator, TensorView states,
                  std::span<const Index> offsets, PassReport& report) {
  ensure(states.row_stride == states.heads * states.dim && states.head_stride == states.dim,
         "states are dense");
  const int ranks = communicator.size();
  const int rank = communicator.rank();
  const auto row_bytes = static_cast<std::size_t>(states.row_stride) * size_of(states.type);
  const auto rows_of = [&](int owner) {
    const auto at = static_cast<std::size_t>(owner);
    return offsets[at + 1] - offsets[at];
  };
  const auto bytes_of = [&](const std::vector<int>& owners) {
    std::size_t rows = 0;
    for (const int owner : owners) rows += static_cast<std::size_t>(rows_of(owner));
    return rows * row_bytes;
  };
  auto* const data = static_cast<std::byte*>(states.data);
  std::vector<std::byte> out;
  std::vector<std::byte> in;
  for (int distance = 1; distance < ranks; distance *= 2) {
    const int to = (rank - distance + ranks) % ranks;
    const int from = (rank + distance) % ranks;
    const auto leaving = passed_on(rank, distance, ranks);
    const auto arriving = passed_on(from, distance, ranks);
    out.resize(bytes_of(leaving));
    in.resize(bytes_of(arriving));
    std::byte* next = out.data();
    for (const int owner : leaving) {
      const auto bytes = static_cast<std::size_t>(rows_of(owner)) * row_bytes;
      const auto first = static_cast<std::size_t>(offsets[static_cast<std::size_t>(owner)]);
      if (bytes > 0) std::memcpy(next, data + first * row_bytes, bytes);
      next += bytes;
    }
    std::optional<comm::Send> send;
    std::optional<comm::Receive> receive;
    if (!out.empty()) send = {to, out};
    if (!in.empty()) receive = {from, in};
    if (send || receive) communicator.exchange(send, receive)->wait();
    report.bytes_sent += static_cast<Index>(out.size());

    const std::byte* arrived = in.data();
    for (const int owner : arriving) {
      const Index first = offsets[static_cast<std::size_t>(owner)];
      with_accumulator(states.type, [&]<class T>() {
        std::vector<T> other(static_cast<std::size_t>(states.dim));
        for (Index i = first; i < first + rows_of(owner); ++i) {
          for (Index h = 0; h < states.heads; ++h, arrived += other.size() * sizeof(T)) {
            std::memcpy(other.data(), arrived, other.size() * sizeof(T));
            merge_stored(states.row<T>(i, h), other.data(), states.dim - state_width(0));
          }
        }
      });
    }
  }
}

}  // namespace annulus::ring
