#include "comm/device_transport.hpp"
#include "comm/staged_communicator.hpp"

namespace annulus::comm {
namespace {

const auto direct_worlds = device_worlds(local_worlds(), "direct");
const auto staged_worlds = device_worlds(staged(local_worlds()), "staged");

}  // namespace

INSTANTIATE_TEST_SUITE_P(Local, Transport, testing::ValuesIn(local_worlds()), name_of_world);
INSTANTIATE_TEST_SUITE_P(Local, UnorderedTransport, testing::ValuesIn(local_worlds()),
                         name_of_world);

INSTANTIATE_TEST_SUITE_P(Local, DeviceTransport, testing::ValuesIn(direct_worlds),
                         name_of_device_world);
INSTANTIATE_TEST_SUITE_P(Local, UnorderedDeviceTransport, testing::ValuesIn(direct_worlds),
                         name_of_device_world);

INSTANTIATE_TEST_SUITE_P(LocalStaged, DeviceTransport, testing::ValuesIn(staged_worlds),
                         name_of_device_world);
INSTANTIATE_TEST_SUITE_P(LocalStaged, UnorderedDeviceTransport, testing::ValuesIn(staged_worlds),
                         name_of_device_world);

}  // namespace annulus::comm
