#pragma once
// What the cases share of exchanges between devices.

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "annulus/device/buffer.hpp"
#include "comm/transport.hpp"
#include "support/model_device.hpp"

namespace annulus::comm {

using DeviceStream = std::shared_ptr<device::Stream>;

/// Runs a body once per rank, each with a stream of its device.
struct DeviceWorld {
  using Body = std::function<void(Communicator&, const DeviceStream&)>;

  std::string name;
  std::function<void(const Body&)> run;

  friend std::ostream& operator<<(std::ostream& out, const DeviceWorld& world) {
    return out << world.name;
  }
};

/// When devices work, in words.
inline const char* name_of(test::Order order) {
  return order == test::Order::early ? "early" : "late";
}

/// Each of the worlds with devices that work early and late. The ranks of a process share a device.
inline std::vector<DeviceWorld> device_worlds(const std::vector<World>& worlds,
                                              const std::string& way) {
  std::vector<DeviceWorld> all;
  for (const auto& world : worlds) {
    for (const auto order : {test::Order::early, test::Order::late}) {
      all.push_back({world.name + "_" + way + "_" + name_of(order),
                     [world, order](const DeviceWorld::Body& body) {
                       const auto device = std::make_shared<test::ModelDevice>(order);
                       world.run([&](Communicator& communicator) {
                         body(communicator, std::make_shared<test::ModelStream>(device));
                       });
                       EXPECT_EQ(device->bytes_in_use(), 0U);
                       EXPECT_FALSE(device->failed());
                     }});
    }
  }
  return all;
}

class DeviceTransport : public testing::TestWithParam<DeviceWorld> {
 protected:
  static void on_ranks(const DeviceWorld::Body& body) { GetParam().run(body); }
};

/// Transports of which a collective does not wait for an exchange that is under way, and which
/// compare lengths.
class UnorderedDeviceTransport : public DeviceTransport {};

inline std::string name_of_device_world(const testing::TestParamInfo<DeviceWorld>& info) {
  return info.param.name;
}

/// Memory of a device that `world` exchanges.
inline device::Buffer room(const Communicator& world, const DeviceStream& stream,
                           std::size_t bytes) {
  return {stream, bytes, world.exchanged_memory()};
}

/// A copy of `bytes` there.
inline device::Buffer on_device(const Communicator& world, const DeviceStream& stream,
                                const Bytes& bytes) {
  auto memory = room(world, stream, bytes.size());
  stream->upload(device::RowCopy::of_bytes(memory.data(), bytes.data(), bytes.size()));
  return memory;
}

/// What is there after the work that is enqueued by now.
inline Bytes on_host(const DeviceStream& stream, std::span<const std::byte> memory) {
  Bytes bytes(memory.size());
  stream->download(device::RowCopy::of_bytes(bytes.data(), memory.data(), bytes.size()));
  return bytes;
}

/// A copy of what lies in `memory` when the work that is enqueued by now is done.
inline device::Buffer copied_later(const DeviceStream& stream, std::span<const std::byte> memory) {
  device::Buffer copy(stream, memory.size());
  stream->copy(device::RowCopy::of_bytes(copy.data(), memory.data(), copy.size()));
  return copy;
}

/// The stream of the model of a device.
inline test::ModelStream& model_of(const DeviceStream& stream) {
  return dynamic_cast<test::ModelStream&>(*stream);
}

/// Waits, in every other step by looking until it is done.
inline void end(Exchange& exchange, int step) {
  while (step % 2 == 1 && !exchange.poll()) std::this_thread::yield();
  exchange.wait();
}

}  // namespace annulus::comm
