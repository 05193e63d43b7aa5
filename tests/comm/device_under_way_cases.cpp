// Several exchanges between devices under way at once.

#include <deque>

#include "comm/device_transport.hpp"
#include "comm/traffic.hpp"

namespace annulus::comm {
namespace {

using device::Buffer;

/// Work after which a host that looks has looked many times.
void take_time(device::Stream& stream) {
  if (auto* model = dynamic_cast<test::ModelStream*>(&stream)) {
    return model->enqueue_until([looks = 0]() mutable { return ++looks > 20; });
  }
  constexpr std::size_t bytes = std::size_t{256} << 20;
  std::byte* const memory = stream.allocate(bytes);
  for (int i = 0; i < 20; ++i) stream.clear(memory, bytes);
  stream.free(memory);
}

// What a letter is sent from changes as soon as the stream may change it.
TEST_P(DeviceTransport, PassesRandomTraffic) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    on_ranks([seed](Communicator& world, const DeviceStream& stream) {
      const auto traffic = random_traffic(world.size(), 20, seed);
      UnderWay under_way(1000 * seed + static_cast<std::uint64_t>(world.rank()));
      std::deque<Buffer> memory;
      std::vector<std::pair<const Letter*, std::span<const std::byte>>> received;
      for (const auto& letters : traffic) {
        std::vector<Send> sends;
        std::vector<Receive> receives;
        for (const auto& letter : letters) {
          if (letter.from == world.rank()) {
            sends.push_back(
                {letter.to, memory.emplace_back(on_device(world, stream, letter.bytes)).bytes()});
          }
          if (letter.to != world.rank()) continue;
          const auto place = memory.emplace_back(room(world, stream, letter.bytes.size())).bytes();
          receives.push_back({letter.from, place});
          received.emplace_back(&letter, place);
        }
        if (!sends.empty() || !receives.empty()) {
          under_way.add(world.exchange_on(*stream, sends, receives));
        }
      }
      under_way.end_all();
      for (const auto& [letter, place] : received) {
        EXPECT_TRUE(on_host(stream, place) == letter->bytes)
            << "seed " << seed << ", from rank " << letter->from;
      }
    });
  }
}

// Two messages from memory of a device and then one from memory of the host, waited for the other
// way round; the device of one rank takes its time.
TEST_P(DeviceTransport, KeepsTheOrderOfDevicesAndHosts) {
  on_ranks([](Communicator& world, const DeviceStream& stream) {
    const auto message_of = [](int rank, int i) {
      return random_bytes(1009, static_cast<std::uint64_t>(10 * rank + i));
    };
    const int to = next_of(world);
    const int from = previous_of(world);
    const Buffer sent[] = {on_device(world, stream, message_of(world.rank(), 0)),
                           on_device(world, stream, message_of(world.rank(), 1))};
    const Buffer received[] = {room(world, stream, 1009), room(world, stream, 1009)};
    const Bytes host_sent = message_of(world.rank(), 2);
    Bytes host_received(1009);
    if (world.rank() == 0) take_time(*stream);
    const auto one =
        world.exchange_on(*stream, Send{to, sent[0].bytes()}, Receive{from, received[0].bytes()});
    const auto two =
        world.exchange_on(*stream, Send{to, sent[1].bytes()}, Receive{from, received[1].bytes()});
    const auto three = world.exchange(Send{to, host_sent}, Receive{from, host_received});
    three->wait();
    EXPECT_EQ(host_received, message_of(from, 2));
    end(*two, 1);
    EXPECT_TRUE(on_host(stream, received[1].bytes()) == message_of(from, 1));
    one->wait();
    EXPECT_TRUE(on_host(stream, received[0].bytes()) == message_of(from, 0));
  });
}

}  // namespace
}  // namespace annulus::comm
