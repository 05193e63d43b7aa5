#pragma once
// The kernels for GPUs on a whole problem, on the model of a thread block.

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "annulus/plan/sharding.hpp"
#include "kernels/cuda/tile_list.hpp"
#include "kernels/model_launcher.hpp"
#include "support/expect_close.hpp"
#include "support/row_scale.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {

namespace gpu = kernels::gpu;

/// How to run the kernels.
struct ModelRun {
  Sharding sharding = Sharding::contiguous;
  int shards = 1;      ///< that queries come in
  int key_shards = 0;  ///< that keys come in; 0: as many
  bool statistics = true;
  bool reversed = false;  ///< from the last key shard to the first
  Schedule schedule{};
};

/// Rows as kernels take them: aligned to 16 bytes, with gaps and rows of NaN behind that nobody may
/// read.
template <class T>
class AlignedRows {
 public:
  explicit AlignedRows(const Tensor<T>& tensor)
      : head_stride_((ceil_div(tensor.dim, elements) + 1) * elements),
        row_stride_(tensor.heads * head_stride_ + elements),
        dim_(static_cast<int>(tensor.dim)),
        values_(static_cast<std::size_t>((tensor.rows + rows_behind) * row_stride_),
                T(std::numeric_limits<double>::quiet_NaN())) {
    for (Index i = 0; i < tensor.rows; ++i) {
      for (Index h = 0; h < tensor.heads; ++h) {
        for (Index c = 0; c < tensor.dim; ++c) {
          values_[static_cast<std::size_t>(i * row_stride_ + h * head_stride_ + c)] =
              tensor.at(i, h, c);
        }
      }
    }
  }
  [[nodiscard]] gpu::InputRows rows() const {
    return {values_.data(), row_stride_, head_stride_, dim_};
  }

 private:
  static constexpr Index elements = 16 / sizeof(T);
  static constexpr Index rows_behind = 128;
  Index head_stride_;
  Index row_stride_;
  int dim_;
  std::vector<T> values_;
};

/// A list of tiles where the model reads it.
[[nodiscard]] inline gpu::DeviceTileList on_device(const gpu::TileList& list) {
  return {list.work.data(), list.visits.data(), static_cast<int>(list.work.size())};
}

/// The softmax states of a pass; NaN until they are started.
class ModelState {
 public:
  ModelState(Index rows, Index heads, Index value_dim, bool statistics)
      : statistics_(statistics),
        numbers_(5, std::vector<float>(static_cast<std::size_t>(rows * heads), nan)),
        values_(static_cast<std::size_t>(rows * heads * value_dim), nan) {}

  [[nodiscard]] gpu::DeviceState view() {
    const auto with_statistics = [&](std::size_t i) {
      return statistics_ ? numbers_[i].data() : nullptr;
    };
    return {.maximum = numbers_[0].data(),
            .sum = numbers_[1].data(),
            .moment = with_statistics(2),
            .squares = with_statistics(3),
            .self_logit = with_statistics(4),
            .values = values_.data()};
  }

 private:
  static constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  bool statistics_;
  std::vector<std::vector<float>> numbers_;
  std::vector<float> values_;
};

[[nodiscard]] inline std::vector<float> narrowed(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

/// The whole problem, one state for each shard of queries and one call for each shard of keys.
template <class T>
[[nodiscard]] Outputs<float> attend_on_model(const WholeProblem<T>& whole,
                                             const ModelRun& run = {}) {
  const auto& problem = whole.problem;
  const auto& documents = problem.documents;
  const ModelLauncher launcher(run.schedule);
  auto choice = gpu::choose_kernel(data_type_of<T>, problem.head_dim, problem.output_dim());
  choice.statistics = run.statistics;
  const int heads = static_cast<int>(problem.query_heads);
  const int value_dim = static_cast<int>(problem.output_dim());
  Outputs<float> result(documents.queries(), heads, value_dim);
  const auto sink = narrowed(whole.sink);
  const auto query_shards = make_shards(run.sharding, documents.query_offsets(), run.shards);
  auto key_shards = make_shards(run.sharding, documents.key_offsets(),
                                run.key_shards == 0 ? run.shards : run.key_shards);
  if (run.reversed) std::reverse(key_shards.begin(), key_shards.end());
  for (const auto& query_shard : query_shards) {
    const auto rows = packed_rows(query_shard, documents.query_offsets());
    const auto row_count = static_cast<int>(rows.size());
    const AlignedRows<T> q(take_rows(whole.q, rows));
    const auto scale = narrowed(scale_of(whole, rows));
    ModelState state(row_count, heads, value_dim, run.statistics);
    launcher.start({.state = state.view(),
                    .sink = sink.empty() ? nullptr : sink.data(),
                    .rows = row_count,
                    .heads = heads,
                    .value_dim = value_dim},
                   *device::cpu_stream());
    for (const auto& key_shard : key_shards) {
      const auto key_rows = packed_rows(key_shard, documents.key_offsets());
      const AlignedRows<T> k(take_rows(whole.k, key_rows));
      const AlignedRows<T> v(take_rows(whole.v, key_rows));
      const auto tiles = gpu::query_tiles(visible_blocks(problem, query_shard, key_shard),
                                          gpu::forward_tile_rows(choice));
      launcher.forward(choice,
                       {.q = q.rows(),
                        .k = k.rows(),
                        .v = v.rows(),
                        .scale = scale.data(),
                        .heads = heads,
                        .group = static_cast<int>(problem.group()),
                        .state = state.view(),
                        .tiles = on_device(tiles)},
                       *device::cpu_stream());
    }
    Outputs<float> local(row_count, heads, value_dim);
    const auto number = [&](std::size_t i) {
      return run.statistics ? local.statistics[i].values.data() : nullptr;
    };
    launcher.finish({.state = state.view(),
                     .rows = row_count,
                     .heads = heads,
                     .value_dim = value_dim,
                     .out = local.out.values.data(),
                     .lse = local.lse.values.data(),
                     .entropy = number(0),
                     .effective_keys = number(1),
                     .participation = number(2),
                     .max_probability = number(3),
                     .max_logit = number(4),
                     .self_probability = number(5)},
                    *device::cpu_stream());
    put_rows(result.out, rows, local.out);
    put_rows(result.lse, rows, local.lse);
    for (std::size_t s = 0; run.statistics && s < result.statistics.size(); ++s) {
      put_rows(result.statistics[s], rows, local.statistics[s]);
    }
  }
  EXPECT_EQ(launcher.report().bank_conflicts, 0);
  return result;
}

/// The relative error of a weight that is rounded to T for a product with T, and its absolute error
/// where it is too small to be a normal number.
template <class T>
[[nodiscard]] double rounding_of_weights(Index keys) {
  if constexpr (std::is_same_v<T, float>) return 0;
  const double subnormal = std::is_same_v<T, Float16> ? 0x1p-25 : 0.0;
  return unit_roundoff(data_type_of<T>) + static_cast<double>(keys) * subnormal;
}

/// Within the bounds of fp32 sums, and for `out` also of weights of 16 bits.
template <class T>
void expect_exact_on_model(WholeProblem<T> whole, const std::vector<ModelRun>& runs = {{}}) {
  const auto expected = direct(whole);
  auto bound = bound_of(whole, kernels::reference());
  bound.factor = rounding_of_weights<T>(whole.problem.documents.keys());
  const double largest = largest_element(whole.v);
  for (const auto& run : runs) {
    SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", d = " +
                 std::to_string(whole.problem.head_dim) + ", " + whole.problem.mask.name() + ", " +
                 std::to_string(run.shards) + " " + std::string(name_of(run.sharding)) + " shards");
    const auto got = attend_on_model(whole, run);
    if (run.statistics) {
      expect_close(got, expected, bound, largest);
    } else {
      EXPECT_TRUE(
          all_close("out", got.out, expected.out, [&](double) { return bound.out(largest); }));
      EXPECT_TRUE(all_close("lse", got.lse, expected.lse, [&](double z) { return bound.lse(z); }));
    }
  }
}

/// In every type, with standard normal inputs and queries `size` times as large.
inline void expect_exact_on_model(const Problem& problem, const std::vector<ModelRun>& runs = {{}},
                                  double size = 1) {
  expect_exact_on_model(random_problem<float>(problem, 11, size), runs);
  expect_exact_on_model(random_problem<BFloat16>(problem, 12, size), runs);
  expect_exact_on_model(random_problem<Float16>(problem, 13, size), runs);
}

}  // namespace annulus::test
