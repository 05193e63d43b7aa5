#pragma once
// What the cases share of exchanges between devices.

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "annulus/device/buffer.hpp"
#include "comm/transport.hpp"
#include "support/model_device.hpp"

namespace annulus::comm {

using DeviceStream = std::shared_ptr<test::ModelStream>;

/// Ranks, when their devices work, and the way that bytes take.
struct DeviceWorld {
  using Start = std::unique_ptr<Exchange> (*)(Communicator&, device::Stream&, std::optional<Send>,
                                              std::optional<Receive>);
  World world;
  test::Order order;
  Start start;
  std::string name;

  friend std::ostream& operator<<(std::ostream& out, const DeviceWorld& world) {
    return out << world.name;
  }
};

/// The way that the transport chooses.
inline std::unique_ptr<Exchange> start_its_way(Communicator& world, device::Stream& stream,
                                               std::optional<Send> send,
                                               std::optional<Receive> receive) {
  return world.exchange_on(stream, send, receive);
}

/// Through pinned memory, as in a transport that knows no other way.
inline std::unique_ptr<Exchange> start_staged(Communicator& world, device::Stream& stream,
                                              std::optional<Send> send,
                                              std::optional<Receive> receive) {
  return world.Communicator::exchange_on(stream, send, receive);
}

/// Each of the worlds with devices that work early and late.
inline std::vector<DeviceWorld> device_worlds(const std::vector<World>& worlds,
                                              DeviceWorld::Start start, const std::string& way) {
  std::vector<DeviceWorld> all;
  for (const auto& world : worlds) {
    all.push_back({world, test::Order::early, start, world.name + "_" + way + "_early"});
    all.push_back({world, test::Order::late, start, world.name + "_" + way + "_late"});
  }
  return all;
}

class DeviceTransport : public testing::TestWithParam<DeviceWorld> {
 protected:
  using Body = std::function<void(Communicator&, const DeviceStream&)>;

  /// The ranks of a process share a device, on which each has a stream of its own.
  static void on_ranks(const Body& body) {
    const auto device = std::make_shared<test::ModelDevice>(GetParam().order);
    GetParam().world.run(
        [&](Communicator& world) { body(world, std::make_shared<test::ModelStream>(device)); });
    EXPECT_EQ(device->bytes_in_use(), 0U);
    EXPECT_FALSE(device->failed());
  }
};

inline std::string name_of_device_world(const testing::TestParamInfo<DeviceWorld>& info) {
  return info.param.name;
}

/// A copy of `bytes` in the memory of a device.
inline device::Buffer on_device(const DeviceStream& stream, const Bytes& bytes) {
  device::Buffer memory(stream, bytes.size());
  stream->upload(device::RowCopy::of_bytes(memory.data(), bytes.data(), bytes.size()));
  return memory;
}

/// What is there after the work that is enqueued by now.
inline Bytes on_host(const DeviceStream& stream, std::span<const std::byte> memory) {
  Bytes bytes(memory.size());
  stream->download(device::RowCopy::of_bytes(bytes.data(), memory.data(), bytes.size()));
  return bytes;
}

/// Calls poll() until the exchange is done, or wait().
inline void end(Exchange& exchange, int step) {
  if (step % 2 == 0) {
    exchange.wait();
  } else {
    while (!exchange.poll()) std::this_thread::yield();
  }
}

}  // namespace annulus::comm
