#include "comm/device_transport.hpp"

namespace annulus::comm {

INSTANTIATE_TEST_SUITE_P(Local, Transport, testing::ValuesIn(local_worlds()), name_of_world);
INSTANTIATE_TEST_SUITE_P(Local, UnorderedTransport, testing::ValuesIn(local_worlds()),
                         name_of_world);

INSTANTIATE_TEST_SUITE_P(Local, DeviceTransport,
                         testing::ValuesIn(device_worlds(local_worlds(), start_its_way, "direct")),
                         name_of_device_world);

INSTANTIATE_TEST_SUITE_P(LocalStaged, DeviceTransport,
                         testing::ValuesIn(device_worlds(local_worlds(), start_staged, "staged")),
                         name_of_device_world);

}  // namespace annulus::comm
