// Partial results of other kernels merged into the state, on the model of a thread block.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "annulus/attention/partial_state.hpp"
#include "kernels/cuda/model_launcher.hpp"
#include "support/tensor.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

constexpr double none = -std::numeric_limits<double>::infinity();
constexpr Index all_rows = 11;
constexpr Index heads = 3;

/// Some keys of every row from `first` on: lse, -inf for a few, and what their values come to.
template <class T>
struct Part {
  Index first;
  Tensor<T> out;
  Tensor<float> lse;  ///< (rows, H, 1)

  Part(std::mt19937_64& random, Index from, Index rows, Index value_dim)
      : first(from),
        out(random_tensor<T>(random, rows, heads, value_dim)),
        lse(random_tensor<float>(random, rows, heads, 1, 20)) {
    for (auto& number : lse.values) {
      if (number > 15) number = static_cast<float>(none);
    }
  }

  /// (H, rows), as kernels read it.
  [[nodiscard]] std::vector<float> lse_by_head() const {
    std::vector<float> numbers;
    for (Index h = 0; h < heads; ++h) {
      for (Index i = 0; i < lse.rows; ++i) numbers.push_back(lse.at(i, h, 0));
    }
    return numbers;
  }
};

/// The fp64 states of all rows and heads, see store_state.
std::vector<double> identity_states(Index value_dim, const std::vector<float>& sink) {
  const auto width = static_cast<std::size_t>(state_width(value_dim));
  std::vector<double> states(static_cast<std::size_t>(all_rows * heads) * width);
  for (std::size_t at = 0; at < states.size() / width; ++at) {
    states[at * width] = states[at * width + 4] = none;
    auto state = load_state(states.data() + at * width, value_dim);
    add_sink(state, static_cast<double>(sink[at % heads]));
    store_state(states.data() + at * width, state.softmax, state.self_logit,
                std::span<const double>{});
  }
  return states;
}

/// The same merge from its definition.
template <class T>
void merge_by_definition(std::vector<double>& states, const Part<T>& part) {
  const Index value_dim = part.out.dim;
  const Index width = state_width(value_dim);
  for (Index i = 0; i < part.out.rows; ++i) {
    for (Index h = 0; h < heads; ++h) {
      const auto lse = static_cast<double>(part.lse.at(i, h, 0));
      if (std::isinf(lse)) continue;
      std::vector<double> values;
      for (Index c = 0; c < value_dim; ++c) {
        values.push_back(static_cast<double>(part.out.at(i, h, c)));
      }
      std::vector<double> more(static_cast<std::size_t>(width));
      store_state(more.data(), SoftmaxState<double>::of_key(lse), none,
                  std::span<const double>(values));
      merge_stored(states.data() + ((part.first + i) * heads + h) * width, more.data(), value_dim);
    }
  }
}

template <class T>
void expect_merged(Index value_dim, const Schedule& schedule) {
  std::mt19937_64 random(static_cast<unsigned>(value_dim));
  const std::vector<float> sink{2, static_cast<float>(none), -3};
  const ModelLauncher launcher(schedule);
  auto& stream = *device::cpu_stream();
  const auto table = [&]<class Number>(Number nan, Index dim) {
    return std::vector<Number>(static_cast<std::size_t>(all_rows * heads * dim), nan);
  };
  auto maximum = table(std::numeric_limits<float>::quiet_NaN(), 1);
  auto sum = table(std::numeric_limits<double>::quiet_NaN(), 1);
  auto values = table(std::numeric_limits<double>::quiet_NaN(), value_dim);
  const gpu::DeviceState state{
      .maximum = maximum.data(), .sum = sum.data(), .values = values.data()};
  launcher.start({.state = state,
                  .sink = sink.data(),
                  .rows = all_rows,
                  .heads = heads,
                  .value_dim = static_cast<int>(value_dim)},
                 stream);
  auto expected = identity_states(value_dim, sink);
  double largest = 0;
  const std::vector<Part<T>> parts{{random, 0, 9, value_dim},
                                   {random, 4, 7, value_dim},
                                   {random, 10, 1, value_dim},
                                   {random, 0, 9, value_dim}};
  for (const auto& part : parts) {
    const auto lse = part.lse_by_head();
    launcher.merge(data_type_of<T>,
                   {.state = state,
                    .out = part.out.values.data(),
                    .lse = lse.data(),
                    .first = part.first,
                    .rows = static_cast<int>(part.out.rows),
                    .heads = heads,
                    .value_dim = static_cast<int>(value_dim)},
                   stream);
    merge_by_definition(expected, part);
    for (const T value : part.out.values) {
      largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
  }
  // Each merge rounds a difference, an exponential, a product and a sum; differences are at most
  // 100 where their exponential is not 0.
  const double bound = static_cast<double>(parts.size()) * 108 * unit_roundoff(DataType::float32);
  const Index width = state_width(value_dim);
  for (Index at = 0; at < all_rows * heads; ++at) {
    const auto exact = load_state(expected.data() + at * width, value_dim);
    const auto i = static_cast<std::size_t>(at);
    if (exact.softmax.empty()) {
      EXPECT_EQ(maximum[i], static_cast<float>(none)) << at;
      EXPECT_EQ(sum[i], 0) << at;
    } else {
      EXPECT_EQ(static_cast<double>(maximum[i]), exact.softmax.maximum) << at;
      EXPECT_NEAR(sum[i], exact.softmax.sum, bound * exact.softmax.sum) << at;
    }
    for (Index c = 0; c < value_dim; ++c) {
      EXPECT_NEAR(values[static_cast<std::size_t>(at * value_dim + c)],
                  exact.values[static_cast<std::size_t>(c)], bound * exact.softmax.sum * largest)
          << at << ", " << c;
    }
  }
}

TEST(CudaMerge, AsTheDefinitionInEveryTypeAndOrder) {
  for (const auto& schedule :
       {Schedule{LaneOrder::forward, 0}, {LaneOrder::backward, 0}, {LaneOrder::shuffled, 3}}) {
    for (const Index value_dim : {1, 32, 45, 96}) {
      expect_merged<BFloat16>(value_dim, schedule);
      expect_merged<Float16>(value_dim, schedule);
      expect_merged<float>(value_dim, schedule);
    }
  }
}

}  // namespace
}  // namespace annulus::test
