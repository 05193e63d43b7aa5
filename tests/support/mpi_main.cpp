// Runs the tests on every rank. Rank 0 reports; the others speak only of what fails on them. All
// ranks return the same verdict.

#include <cstdio>
#include <cstdlib>
#include <exception>

#include <gtest/gtest.h>

#include "annulus/comm/mpi.hpp"
#include "annulus/comm/mpi_session.hpp"

namespace annulus::comm {
namespace {

class FailurePrinter final : public testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}

 private:
  void OnTestStart(const testing::TestInfo& test) override { test_ = &test; }

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "rank %d: %s.%s: %s:%d: %s\n", rank_,
                 test_ == nullptr ? "" : test_->test_suite_name(),
                 test_ == nullptr ? "" : test_->name(),
                 result.file_name() == nullptr ? "" : result.file_name(), result.line_number(),
                 result.message());
  }

  int rank_;
  const testing::TestInfo* test_ = nullptr;
};

bool run_on_all_ranks() {
  MpiCommunicator world(MPI_COMM_WORLD);
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (world.rank() != 0) {
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter(world.rank()));  // GoogleTest owns it
  }
  Index failed_ranks = RUN_ALL_TESTS() == 0 ? 0 : 1;
  world.all_reduce(std::span(&failed_ranks, 1), Reduction::sum);
  if (world.rank() == 0 && failed_ranks > 0) {
    std::fprintf(stderr, "failed on %d of %d ranks\n", static_cast<int>(failed_ranks),
                 world.size());
  }
  return failed_ranks == 0;
}

}  // namespace
}  // namespace annulus::comm

int main(int argc, char** argv) {
  annulus::comm::MpiSession session(&argc, &argv);
  try {
    testing::InitGoogleTest(&argc, argv);
    // A test that throws on one rank leaves the others waiting: end them all.
    GTEST_FLAG_SET(catch_exceptions, false);
    return annulus::comm::run_on_all_ranks() ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "a test throws: %s\n", error.what());
  }
  annulus::comm::MpiSession::abort(EXIT_FAILURE);
}
