#include "results/attention_world.hpp"

namespace annulus::results {

INSTANTIATE_TEST_SUITE_P(Local, AttentionFiles, testing::ValuesIn(comm::local_worlds()),
                         name_of_world);

}  // namespace annulus::results
