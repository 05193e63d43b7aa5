// Payloads that an int cannot count. Two ranks, about 2.2 GB each.

#include <cstring>

#include <gtest/gtest.h>

#include "annulus/comm/mpi.hpp"

namespace annulus::comm {
namespace {

constexpr std::size_t words = (std::size_t{1} << 28) + 1009;  // of 8 bytes: more than 2^31 of them

std::uint64_t word(std::size_t i, std::uint64_t salt) {
  return (i + salt) * 0x9e3779b97f4a7c15u;
}

void fill(std::vector<std::uint64_t>& data, std::uint64_t salt) {
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = word(i, salt);
}

/// The first word that is wrong, or the number of words.
std::size_t first_wrong(const std::vector<std::uint64_t>& data, std::uint64_t salt) {
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (data[i] != word(i, salt)) return i;
  }
  return data.size();
}

class LargeMessage : public testing::TestWithParam<Index> {};

TEST_P(LargeMessage, ArrivesWhole) {
  MpiCommunicator world(MPI_COMM_WORLD, GetParam());
  std::vector<std::uint64_t> data(words);
  if (world.rank() == 0) fill(data, 1);
  const auto bytes = std::as_writable_bytes(std::span(data));
  ASSERT_GT(bytes.size(), std::size_t{1} << 31);  // on all ranks alike
  if (world.rank() == 0) world.exchange(Send{1, bytes}, std::nullopt)->wait();
  if (world.rank() == 1) world.exchange(std::nullopt, Receive{0, bytes})->wait();
  EXPECT_EQ(first_wrong(data, 1), words);

  if (world.rank() == 1) fill(data, 2);
  world.broadcast(bytes, 1);
  EXPECT_EQ(first_wrong(data, 2), words);
}

INSTANTIATE_TEST_SUITE_P(Pieces, LargeMessage,
                         testing::Values(Index{1} << 30, (Index{1} << 31) - 1));

}  // namespace
}  // namespace annulus::comm
