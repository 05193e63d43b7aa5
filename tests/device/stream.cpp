// What every stream does, on the CPU and on the model of a device, or where ANNULUS_TEST_ON_GPU is
// set, on a GPU; and that the model sees mistakes.
#include "annulus/device/stream.hpp"

#include <chrono>
#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/base/tensor.hpp"
#include "annulus/device/buffer.hpp"
#include "annulus/device/tensor_copy.hpp"
#if !ANNULUS_TEST_ON_GPU
#include "support/model_device.hpp"
#endif

namespace annulus::device {
namespace {

#if !ANNULUS_TEST_ON_GPU
using test::model_stream;
using test::Order;
#endif

struct Kind {
  const char* name;
  std::shared_ptr<Stream> (*open)();

  friend std::ostream& operator<<(std::ostream& out, const Kind& kind) { return out << kind.name; }
};

class Streams : public testing::TestWithParam<Kind> {
 protected:
  std::shared_ptr<Stream> stream = GetParam().open();
};

const Kind kinds[] = {
    {"cpu", [] { return cpu_stream(); }},
#if ANNULUS_TEST_ON_GPU
    {"cuda", [] { return open_stream(Device::cuda()); }},
#else
    {"early", []() -> std::shared_ptr<Stream> { return model_stream(Order::early); }},
    {"late", []() -> std::shared_ptr<Stream> { return model_stream(Order::late); }},
#endif
};

INSTANTIATE_TEST_SUITE_P(All, Streams, testing::ValuesIn(kinds),
                         [](const auto& kind) { return kind.param.name; });

std::vector<float> numbers(Index count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) + 0.5F;
  return values;
}

TEST_P(Streams, BringNumbersThereAndBack) {
  auto host = numbers(1009);
  const auto expected = host;
  const std::size_t bytes = host.size() * sizeof(float);
  const Buffer first(stream, bytes);
  const Buffer second(stream, bytes);
  stream->upload(RowCopy::of_bytes(first.data(), host.data(), bytes));
  std::ranges::fill(host, -1.0F);  // allowed at once
  stream->copy(RowCopy::of_bytes(second.data(), first.data(), bytes));
  stream->clear(first.data(), bytes);
  stream->download(RowCopy::of_bytes(host.data(), second.data(), bytes));
  EXPECT_EQ(host, expected);
  stream->download(RowCopy::of_bytes(host.data(), first.data(), bytes));
  EXPECT_THAT(host, testing::Each(0.0F));
}

// Memory of both kinds, and of a copy what the original is of.
TEST_P(Streams, HaveMemoryThatIsExportable) {
  const auto host = numbers(1009);
  const std::size_t bytes = host.size() * sizeof(float);
  for (int use = 0; use < 3; ++use) {
    const Buffer first(stream, bytes, Allocation::exportable);
    EXPECT_TRUE(stream->reaches(first.data()));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first.data()) % 64, 0U);
    stream->upload(RowCopy::of_bytes(first.data(), host.data(), bytes));
    const Buffer second = first;
    stream->clear(first.data(), bytes);
    std::vector<float> back(host.size());
    stream->download(RowCopy::of_bytes(back.data(), second.data(), bytes));
    EXPECT_EQ(back, host);
  }
  EXPECT_TRUE(Buffer(stream, 0, Allocation::exportable).empty());
}

TEST_P(Streams, KeepTheirOrderByEvents) {
  auto& beside = stream->transfers();
  const auto host = numbers(31);
  const std::size_t bytes = host.size() * sizeof(float);
  const Buffer memory(stream, bytes);
  const Buffer copied(stream, bytes);
  stream->upload(RowCopy::of_bytes(memory.data(), host.data(), bytes));
  beside.wait(*stream->record());
  beside.copy(RowCopy::of_bytes(copied.data(), memory.data(), bytes));
  const auto done = beside.record();
  stream->wait(*done);
  stream->clear(memory.data(), bytes);
  std::vector<float> back(host.size());
  stream->download(RowCopy::of_bytes(back.data(), copied.data(), bytes));
  EXPECT_EQ(back, host);
  EXPECT_TRUE(done->reached());
  while (!stream->idle()) {
  }
  stream->synchronize();
  EXPECT_TRUE(stream->idle());
}

TEST_P(Streams, ComeToAnEventWhileSomebodyLooks) {
  const Buffer memory(stream, 64);
  for (int i = 0; i < 5; ++i) stream->clear(memory.data(), 64);
  const auto event = stream->record();
  // The model goes on at every look; a GPU takes its time.
  const auto start = std::chrono::steady_clock::now();
  while (!event->reached()) {
    ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  }
  EXPECT_TRUE(stream->transfers().record() != nullptr);
}

TEST_P(Streams, PinnedMemoryIsReachedByCopies) {
  std::byte* const pinned = stream->allocate_pinned(1000);
  const Buffer memory(stream, 1000);
  stream->clear(memory.data(), 1000);
  stream->copy(RowCopy::of_bytes(pinned, memory.data(), 1000));
  stream->synchronize();
  EXPECT_THAT(std::span(pinned, 1000), testing::Each(std::byte{0}));
  stream->free_pinned(pinned);
  EXPECT_TRUE(stream->reaches(memory.data()));
  const int here = 0;
  EXPECT_EQ(stream->reaches(&here), stream->device().kind == DeviceKind::cpu);
}

// Heads with gaps, rows with gaps, both and neither.
TEST_P(Streams, CopyTensorsOfAnyLayout) {
  constexpr Index rows = 7;
  constexpr Index heads = 3;
  constexpr Index dim = 5;
  for (const Index head_gap : {0, 2}) {
    for (const Index row_gap : {0, 4}) {
      auto source = numbers(1000);
      const Index head_stride = dim + head_gap;
      const Index row_stride = heads * head_stride + row_gap;
      const ConstTensorView from{source.data(), DataType::float32, rows,       heads,
                                 dim,           row_stride,        head_stride};
      const Buffer dense(stream, rows * heads * dim * sizeof(float));
      auto there = dense_view(reinterpret_cast<float*>(dense.data()), rows, heads, dim);
      upload(*stream, there, from);
      std::vector<float> result(1000, -1.0F);
      const TensorView back{result.data(), DataType::float32, rows,       heads,
                            dim,           row_stride,        head_stride};
      download(*stream, back, there);
      std::size_t written = 0;
      for (Index i = 0; i < rows; ++i) {
        for (Index h = 0; h < heads; ++h) {
          for (Index c = 0; c < dim; ++c, ++written) {
            ASSERT_EQ(back.row<float>(i, h)[c], from.row<float>(i, h)[c]);
          }
        }
      }
      EXPECT_EQ(std::ranges::count(result, -1.0F), static_cast<std::ptrdiff_t>(1000 - written))
          << "gaps are left alone";
    }
  }
  const Buffer dense(stream, 64);
  EXPECT_THROW(copy(*stream, dense_view(reinterpret_cast<float*>(dense.data()), 2, 1, 1),
                    dense_view(reinterpret_cast<const float*>(dense.data()), 3, 1, 1)),
               Error);
}

TEST_P(Streams, BuffersCopyAndMove) {
  const auto host = numbers(10);
  const std::size_t bytes = host.size() * sizeof(float);
  Buffer original(stream, bytes);
  stream->upload(RowCopy::of_bytes(original.data(), host.data(), bytes));
  const Buffer same = original;
  const std::byte* const place = original.data();
  const Buffer moved = std::move(original);
  EXPECT_EQ(moved.data(), place);
  EXPECT_NE(same.data(), place);
  std::vector<float> back(host.size());
  stream->download(RowCopy::of_bytes(back.data(), same.data(), bytes));
  EXPECT_EQ(back, host);
  EXPECT_TRUE(Buffer().empty());
  EXPECT_TRUE(Buffer(Buffer()).empty());
}

TEST(Gpu, WhereThereIsNoneTheReasonIsSaid) {
  if (gpu_problem().empty()) {
    EXPECT_EQ(open_stream(Device::cuda(0))->device().kind, DeviceKind::cuda);
    EXPECT_THROW(static_cast<void>(open_stream(Device::cuda(10000))), InputError);
  } else {
    EXPECT_TRUE(visible_gpus().empty());
    try {
      static_cast<void>(open_stream(Device::cuda(0)));
      FAIL();
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("device cuda"),
                                               testing::HasSubstr(gpu_problem())));
    }
  }
  EXPECT_EQ(open_stream(Device::cpu()), cpu_stream());
}

#if !ANNULUS_TEST_ON_GPU
// Without an event, a stream that works late reads what is not there yet.
TEST(ModelDevice, SeesAMissingEvent) {
  for (const bool ordered : {true, false}) {
    const auto stream = model_stream(Order::late);
    auto& beside = stream->transfers();
    const auto host = numbers(8);
    const std::size_t bytes = host.size() * sizeof(float);
    const Buffer memory(stream, bytes);
    const Buffer copied(stream, bytes);
    stream->upload(RowCopy::of_bytes(memory.data(), host.data(), bytes));
    if (ordered) beside.wait(*stream->record());
    beside.copy(RowCopy::of_bytes(copied.data(), memory.data(), bytes));
    std::vector<float> back(host.size());
    beside.download(RowCopy::of_bytes(back.data(), copied.data(), bytes));
    EXPECT_EQ(back == host, ordered);
  }
}

// Work that needs others holds up its own stream and those that wait for it, but not the host.
TEST(ModelDevice, WorkWaitsForOthers) {
  for (const auto order : {Order::early, Order::late}) {
    const auto stream = model_stream(order);
    auto& beside = dynamic_cast<test::ModelStream&>(stream->transfers());
    bool possible = false;
    int done = 0;
    beside.enqueue_until([&] { return possible; });
    beside.enqueue([&] { ++done; });
    stream->wait(*beside.record());
    stream->enqueue([&] { ++done; });
    const auto event = stream->record();
    for (int look = 0; look < 10; ++look) EXPECT_FALSE(event->reached());
    EXPECT_FALSE(stream->idle());
    EXPECT_EQ(done, 0);
    possible = true;
    stream->synchronize();
    EXPECT_EQ(done, 2);
    EXPECT_TRUE(event->reached());
  }
}

TEST(ModelDevice, TellsKindsOfMemoryApart) {
  const auto stream = model_stream(Order::early);
  const Buffer pooled(stream, 64);
  const Buffer exportable(stream, 64, Allocation::exportable);
  const Buffer copied = exportable;
  EXPECT_TRUE(test::ModelDevice::any_has_stream_ordered(pooled.data() + 63));
  EXPECT_FALSE(test::ModelDevice::any_has_stream_ordered(exportable.data()));
  EXPECT_FALSE(test::ModelDevice::any_has_stream_ordered(copied.data()));
}

TEST(ModelDevice, RefusesMemoryThatIsNotThere) {
  const auto stream = model_stream(Order::early);
  std::vector<std::byte> host(64);
  Buffer memory(stream, 64);
  EXPECT_THROW(stream->copy(RowCopy::of_bytes(memory.data(), host.data(), 64)), Error)
      << "not pinned";
  EXPECT_THROW(stream->clear(memory.data() + 8, 64), Error) << "past the end";
  std::byte* const place = memory.data();
  memory = Buffer();
  EXPECT_THROW(stream->clear(place, 64), Error) << "freed";
}
#endif

}  // namespace
}  // namespace annulus::device
