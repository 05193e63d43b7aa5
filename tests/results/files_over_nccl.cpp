// Processes that nccl joins would each write the file on their own.

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "annulus/results/attention_input.hpp"

namespace annulus::results {
namespace {

/// Says that it is of NCCL, and does nothing.
class NamedNccl final : public comm::Communicator {
 public:
  explicit NamedNccl(int ranks) : topology_{.ranks = ranks} {}

  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] const Topology& topology() const override { return topology_; }
  [[nodiscard]] std::string_view name() const override { return "nccl"; }
  [[nodiscard]] bool joins_devices() const override { return true; }
  [[nodiscard]] std::unique_ptr<comm::Exchange> exchange(std::span<const comm::Send>,
                                                         std::span<const comm::Receive>) override {
    return nullptr;
  }
  [[nodiscard]] std::unique_ptr<comm::Exchange> exchange_on(
      device::Stream&, std::span<const comm::Send>, std::span<const comm::Receive>) override {
    return nullptr;
  }
  void barrier() override {}
  void broadcast(std::span<std::byte>, int) override {}
  void all_reduce(std::span<double>, comm::Reduction) override {}
  void all_reduce(std::span<Index>, comm::Reduction) override {}
  [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(
      std::span<const std::byte> data) override {
    return {{data.begin(), data.end()}};
  }
  [[nodiscard]] comm::SharedMemory& shared_memory(Index) override { throw Error("none"); }
  [[nodiscard]] std::unique_ptr<comm::Communicator> first(int) override { return nullptr; }

 private:
  Topology topology_;
};

std::string refusal_of(int ranks) {
  NamedNccl communicator(ranks);
  try {
    const AttentionInput input("no such file.h5", communicator);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(FilesOverNccl, AreRefusedWithWhatWouldDo) {
  EXPECT_THAT(refusal_of(2), testing::AllOf(testing::HasSubstr("nccl"), testing::HasSubstr("mpi")));
  EXPECT_THAT(refusal_of(1), testing::HasSubstr("no such file.h5")) << "one may read it";
}

}  // namespace
}  // namespace annulus::results
