// Pieces that a library computes merged and finished, on the model of a thread block.
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

/// Merges of a few pieces: the first of them starts the states, from the sinks.
template <class T>
class MergedPieces {
 public:
  MergedPieces(Index value_dim, const Schedule& schedule)
      : launcher_(schedule),
        value_dim_(value_dim),
        maximum_(table(std::numeric_limits<float>::quiet_NaN(), 1)),
        sum_(table(std::numeric_limits<double>::quiet_NaN(), 1)),
        values_(table(std::numeric_limits<double>::quiet_NaN(), value_dim)),
        expected_(identity_states(value_dim, sink_)) {}

  void merge(const Part<T>& part) {
    const auto lse = part.lse_by_head();
    launcher_.merge(data_type_of<T>,
                    {.before = before(),
                     .sink = sink_.data(),
                     .piece = piece_of(part, lse),
                     .after = state(),
                     .first = merged_ == 0 ? 0 : part.first,
                     .rows = static_cast<int>(merged_ == 0 ? all_rows : part.out.rows),
                     .heads = heads,
                     .value_dim = static_cast<int>(value_dim_)},
                    *device::cpu_stream());
    count(part);
  }

  /// out, lse and lse_low against the definition, with the last piece and those merged before.
  void expect_finished(const Part<T>& part) {
    auto out = table(std::numeric_limits<float>::quiet_NaN(), value_dim_);
    auto lse = table(std::numeric_limits<float>::quiet_NaN(), 1);
    auto lse_low = lse;
    const auto lse_of_part = part.lse_by_head();
    launcher_.finish(data_type_of<T>,
                     {.before = before(),
                      .sink = sink_.data(),
                      .piece = piece_of(part, lse_of_part),
                      .rows = all_rows,
                      .heads = heads,
                      .value_dim = static_cast<int>(value_dim_),
                      .out = out.data(),
                      .lse = lse.data(),
                      .lse_low = lse_low.data()},
                     *device::cpu_stream());
    count(part);
    for (Index at = 0; at < all_rows * heads; ++at) {
      const auto exact = exact_state(at);
      const auto i = static_cast<std::size_t>(at);
      const double share = exact.softmax.empty() ? 0 : 1 / exact.softmax.sum;
      if (exact.softmax.empty()) {
        EXPECT_EQ(lse[i], static_cast<float>(none)) << at;
        EXPECT_EQ(lse_low[i], 0) << at;
      } else {
        EXPECT_NEAR(static_cast<double>(lse[i]) + static_cast<double>(lse_low[i]),
                    exact.softmax.lse(), bound() + 0x1p-40)
            << at;
      }
      for (Index c = 0; c < value_dim_; ++c) {
        EXPECT_NEAR(out[static_cast<std::size_t>(at * value_dim_ + c)],
                    exact.values[static_cast<std::size_t>(c)] * share,
                    (bound() + 0x1p-24) * largest_)
            << at << ", " << c;
      }
    }
  }

  void expect_merged() const {
    for (Index at = 0; at < all_rows * heads; ++at) {
      const auto exact = exact_state(at);
      const auto i = static_cast<std::size_t>(at);
      if (exact.softmax.empty()) {
        EXPECT_EQ(maximum_[i], static_cast<float>(none)) << at;
        EXPECT_EQ(sum_[i], 0) << at;
      } else {
        EXPECT_EQ(static_cast<double>(maximum_[i]), exact.softmax.maximum) << at;
        EXPECT_NEAR(sum_[i], exact.softmax.sum, bound() * exact.softmax.sum) << at;
      }
      for (Index c = 0; c < value_dim_; ++c) {
        EXPECT_NEAR(values_[static_cast<std::size_t>(at * value_dim_ + c)],
                    exact.values[static_cast<std::size_t>(c)],
                    bound() * exact.softmax.sum * largest_)
            << at << ", " << c;
      }
    }
  }

 private:
  template <class Number>
  static std::vector<Number> table(Number nan, Index dim) {
    return std::vector<Number>(static_cast<std::size_t>(all_rows * heads * dim), nan);
  }

  static gpu::PieceOutput piece_of(const Part<T>& part, const std::vector<float>& lse) {
    return {part.out.values.data(), lse.data(), part.first, static_cast<int>(part.out.rows)};
  }

  [[nodiscard]] gpu::DeviceState state() {
    return {.maximum = maximum_.data(), .sum = sum_.data(), .values = values_.data()};
  }
  [[nodiscard]] gpu::DeviceState before() { return merged_ == 0 ? gpu::DeviceState{} : state(); }

  [[nodiscard]] auto exact_state(Index at) const {
    return load_state(expected_.data() + at * state_width(value_dim_), value_dim_);
  }

  void count(const Part<T>& part) {
    merge_by_definition(expected_, part);
    for (const T value : part.out.values) {
      largest_ = std::max(largest_, std::abs(static_cast<double>(value)));
    }
    ++merged_;
  }

  /// Each merge rounds a difference, an exponential, a product and a sum; differences are at most
  /// 100 where their exponential is not 0.
  [[nodiscard]] double bound() const { return merged_ * 108 * unit_roundoff(DataType::float32); }

  ModelLauncher launcher_;
  Index value_dim_;
  std::vector<float> sink_{2, static_cast<float>(none), -3};
  std::vector<float> maximum_;
  std::vector<double> sum_;
  std::vector<double> values_;
  std::vector<double> expected_;
  double largest_ = 0;
  int merged_ = 0;
};

template <class T>
void expect_merged(Index value_dim, const Schedule& schedule) {
  std::mt19937_64 random(static_cast<unsigned>(value_dim));
  const std::vector<Part<T>> parts{{random, 0, 9, value_dim},
                                   {random, 4, 7, value_dim},
                                   {random, 10, 1, value_dim},
                                   {random, 0, 9, value_dim}};
  MergedPieces<T> alone(value_dim, schedule);
  alone.expect_finished(parts[1]);
  MergedPieces<T> merged(value_dim, schedule);
  for (const auto& part : parts) {
    merged.merge(part);
    merged.expect_merged();
  }
  merged.expect_finished(parts[1]);
  MergedPieces<T> started_in_the_middle(value_dim, schedule);
  started_in_the_middle.merge(parts[1]);
  started_in_the_middle.expect_merged();
}

TEST(CudaMerge, AsTheDefinitionInEveryTypeAndOrder) {
  for (const auto& schedule :
       {Schedule{LaneOrder::forward, 0}, {LaneOrder::backward, 0}, {LaneOrder::shuffled, 3}}) {
    for (const Index value_dim : {1, 32, 45, 96}) {
      expect_merged<BFloat16>(value_dim, schedule);
      expect_merged<Float16>(value_dim, schedule);
    }
  }
}

}  // namespace
}  // namespace annulus::test
