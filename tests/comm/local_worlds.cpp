#include "comm/transport.hpp"

namespace annulus::comm {

INSTANTIATE_TEST_SUITE_P(Local, Transport, testing::ValuesIn(local_worlds()), name_of_world);
INSTANTIATE_TEST_SUITE_P(Local, UnorderedTransport, testing::ValuesIn(local_worlds()),
                         name_of_world);

}  // namespace annulus::comm
