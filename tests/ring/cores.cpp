// What ranks have of the cores and the memory of their node.
#include <algorithm>

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/comm/threads.hpp"
#include "annulus/kernels/cores.hpp"
#include "annulus/ring/memory_check.hpp"
#include "annulus/ring/thread_share.hpp"

namespace annulus {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Cores, ThreadsOfOneNodeShareTheCoresThereAre) {
  const CoreShare two{.threads = 1, .cores_of_node = 2, .remedy = {}};
  EXPECT_EQ(share_of_a_core(even_topology(2, 2), 0, two), 1);
  EXPECT_EQ(share_of_a_core(even_topology(64, 64), 5, two), 1. / 32);
  EXPECT_EQ(share_of_a_core(even_topology(64, 2), 5, two), 1);
  // More threads than cores are slow by themselves.
  const CoreShare four{.threads = 4, .cores_of_node = 2, .remedy = {}};
  EXPECT_EQ(share_of_a_core(even_topology(1, 1), 0, four), 1);
  EXPECT_EQ(share_of_a_core(even_topology(8, 4), 0, four), 1. / 4);
}

TEST(Cores, RanksThatAreThreadsDivideThoseOfTheProcess) {
  const auto cores = static_cast<int>(kernels::usable_cores().size());
  ASSERT_GE(cores, 1);
  auto alone = comm::self();
  EXPECT_EQ(core_share(alone).cores_of_node, cores);
  comm::run_threads(2, [&](comm::Communicator& communicator) {
    const auto share = core_share(communicator);
    EXPECT_EQ(share.cores_of_node, cores);
    EXPECT_LE(2 * share.threads, std::max(2, cores));
    EXPECT_EQ(share.remedy, "");
  });
}

TEST(Memory, ThatIsNotThereIsToldOnEveryRankWithTheBytes) {
  EXPECT_GT(available_memory().value_or(1), 0);
  comm::run_threads(3, [](comm::Communicator& communicator) {
    check_memory(1, communicator);
    try {
      check_memory(communicator.rank() == 1 ? 0x1p60 : 1, communicator);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const InputError&) {
      ADD_FAILURE() << "no fault of the input";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(),
                  AllOf(HasSubstr("rank 1 needs 1152921504606846976 bytes (1.07e+09 GiB)"),
                        HasSubstr("are available there")));
    }
  });
}

}  // namespace
}  // namespace annulus
