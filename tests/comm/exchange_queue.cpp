// In which order exchanges start that wait for devices.

#include "comm/exchange_queue.hpp"

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "comm/completed_exchange.hpp"
#include "support/model_device.hpp"

namespace annulus::comm {
namespace {

/// A queue whose exchanges send one message each, to a rank by which they are told apart, and are
/// done once they have started.
class ExchangeQueueTest : public testing::Test {
 protected:
  std::unique_ptr<Exchange> add(int to, std::shared_ptr<const device::Event> ready) {
    const Send send{to, {}};
    return queue_.add(std::move(ready), std::span(&send, 1), {});
  }

  int failing_ = -1;
  std::vector<int> started_;
  ExchangeQueue queue_{[this](std::span<const Send> sends, std::span<const Receive>) {
    const int to = sends.front().to;
    if (to == failing_) throw Error("cannot start");
    started_.push_back(to);
    return std::make_unique<CompletedExchange>();
  }};
};

TEST_F(ExchangeQueueTest, StartsAtOnceWhereItMay) {
  const auto exchange = add(1, nullptr);
  EXPECT_EQ(started_, std::vector{1});
  EXPECT_TRUE(exchange->poll());
}

TEST_F(ExchangeQueueTest, KeepsTheOrderOfStreamsThatGetThereInAnother) {
  const auto slow = test::model_stream(test::Order::late);
  const auto fast = test::model_stream(test::Order::late);
  bool may_go = false;
  slow->enqueue_until([&] { return may_go; });
  const auto one = add(1, slow->record());
  const auto two = add(2, fast->record());
  const auto three = add(3, nullptr);
  for (int look = 0; look < 5; ++look) {
    EXPECT_FALSE(three->poll());
    EXPECT_FALSE(two->poll());
  }
  EXPECT_EQ(started_, std::vector<int>{});
  may_go = true;
  three->wait();
  EXPECT_EQ(started_, (std::vector{1, 2, 3}));
}

TEST_F(ExchangeQueueTest, WhatCannotStartSaysSoItself) {
  const auto stream = test::model_stream(test::Order::late);
  bool may_go = false;
  stream->enqueue_until([&] { return may_go; });
  failing_ = 1;
  const auto one = add(1, stream->record());
  const auto two = add(2, nullptr);
  may_go = true;
  two->wait();
  EXPECT_THROW(one->poll(), Error);
  EXPECT_THROW(one->wait(), Error);
}

TEST_F(ExchangeQueueTest, ForgetsWhatAnExceptionDestroys) {
  const auto stream = test::model_stream(test::Order::late);
  bool may_go = false;
  stream->enqueue_until([&] { return may_go; });
  const auto fail = [&] {
    const auto one = add(1, stream->record());
    throw Error("in the middle");
  };
  EXPECT_THROW(fail(), Error);
  may_go = true;
  add(2, nullptr)->wait();
  EXPECT_EQ(started_, std::vector{2});
}

}  // namespace
}  // namespace annulus::comm
