#pragma once
// The kernels for GPUs on a whole problem: on the model of a thread block, or where
// ANNULUS_TEST_ON_GPU is set, on a GPU.

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "annulus/device/buffer.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "annulus/plan/sharding.hpp"
#include "kernels/cuda/block_model.hpp"
#include "support/expect_close.hpp"
#include "support/row_scale.hpp"
#include "support/whole_problem.hpp"

#if ANNULUS_TEST_ON_GPU
#include "annulus/kernels/cuda.hpp"
#else
#include "kernels/cuda/kernel.hpp"
#include "kernels/cuda/model_launcher.hpp"
#endif

namespace annulus::test {

/// How to run the kernels.
struct GpuRun {
  Sharding sharding = Sharding::contiguous;
  int shards = 1;      ///< that queries come in
  int key_shards = 0;  ///< that keys come in; 0: as many
  bool statistics = true;
  bool reversed = false;  ///< from the last key shard to the first
  Schedule schedule{};    ///< of the model; a GPU has its own
};

/// Rows on the device as kernels take them without a copy: aligned to 16 bytes, with gaps and rows
/// of NaN behind that nobody may read.
template <class T>
class PlacedRows {
 public:
  PlacedRows(const std::shared_ptr<device::Stream>& stream, const Tensor<T>& tensor) {
    const Index head_stride = (ceil_div(tensor.dim, elements) + 1) * elements;
    const Index row_stride = tensor.heads * head_stride + elements;
    std::vector<T> values(static_cast<std::size_t>((tensor.rows + rows_behind) * row_stride),
                          T(std::numeric_limits<double>::quiet_NaN()));
    for (Index i = 0; i < tensor.rows; ++i) {
      for (Index h = 0; h < tensor.heads; ++h) {
        for (Index c = 0; c < tensor.dim; ++c) {
          values[static_cast<std::size_t>(i * row_stride + h * head_stride + c)] =
              tensor.at(i, h, c);
        }
      }
    }
    buffer_ = device::Buffer(stream, values.size() * sizeof(T));
    stream->upload(device::RowCopy::of_bytes(buffer_.data(), values.data(), buffer_.size()));
    view_ = {buffer_.data(), data_type_of<T>, tensor.rows, tensor.heads,
             tensor.dim,     row_stride,      head_stride};
  }
  [[nodiscard]] ConstTensorView view() const { return view_; }

 private:
  static constexpr Index elements = 16 / sizeof(T);
  static constexpr Index rows_behind = 128;
  device::Buffer buffer_;
  ConstTensorView view_{};
};

/// A tensor on the device, dense, as sums and outputs are.
class PlacedNumbers {
 public:
  PlacedNumbers(std::shared_ptr<device::Stream> stream, const Tensor<float>& tensor)
      : stream_(std::move(stream)), buffer_(stream_, tensor.values.size() * sizeof(float)) {
    view_ =
        dense_view(reinterpret_cast<float*>(buffer_.data()), tensor.rows, tensor.heads, tensor.dim);
    device::upload(*stream_, view_, tensor.view());
  }
  [[nodiscard]] TensorView view() const { return view_; }
  void fetch(Tensor<float>& tensor) const { device::download(*stream_, tensor.view(), view_); }

 private:
  std::shared_ptr<device::Stream> stream_;
  device::Buffer buffer_;
  TensorView view_{};
};

/// The backend under test with a stream of its device.
class GpuUnderTest {
 public:
#if ANNULUS_TEST_ON_GPU
  explicit GpuUnderTest(const Schedule&) {}
  [[nodiscard]] const kernels::Kernel& kernel() const {
    return kernels::cuda();
  }
#else
  explicit GpuUnderTest(const Schedule& schedule) : launcher_(schedule), kernel_(launcher_) {}
  ~GpuUnderTest() {
    EXPECT_EQ(launcher_.report().bank_conflicts, 0);
  }
  [[nodiscard]] const kernels::Kernel& kernel() const {
    return kernel_;
  }
#endif

 private:
#if !ANNULUS_TEST_ON_GPU
  ModelLauncher launcher_;
  kernels::gpu::GpuKernel kernel_;
#endif
};

/// The whole problem, one pass for each shard of queries and one call for each shard of keys.
template <class T>
[[nodiscard]] Outputs<float> attend_on_gpu(const WholeProblem<T>& whole, const GpuRun& run = {}) {
  const auto& problem = whole.problem;
  const auto& documents = problem.documents;
  const GpuUnderTest gpu(run.schedule);
  const auto stream = gpu.kernel().open_stream(0);
  const Index heads = problem.query_heads;
  Outputs<float> result(documents.queries(), heads, problem.output_dim());
  const auto query_shards = make_shards(run.sharding, documents.query_offsets(), run.shards);
  auto key_shards = make_shards(run.sharding, documents.key_offsets(),
                                run.key_shards == 0 ? run.shards : run.key_shards);
  if (run.reversed) std::reverse(key_shards.begin(), key_shards.end());
  for (const auto& query_shard : query_shards) {
    const auto rows = packed_rows(query_shard, documents.query_offsets());
    const PlacedRows<T> q(stream, take_rows(whole.q, rows));
    const auto scale = scale_of(whole, rows);
    const auto pass = gpu.kernel().forward({.q = q.view(), .scale = scale, .sink = whole.sink},
                                           {.key_heads = problem.key_heads,
                                            .value_dim = problem.output_dim(),
                                            .statistics = run.statistics,
                                            .stream = stream});
    for (const auto& key_shard : key_shards) {
      const auto key_rows = packed_rows(key_shard, documents.key_offsets());
      const PlacedRows<T> k(stream, take_rows(whole.k, key_rows));
      const PlacedRows<T> v(stream, take_rows(whole.v, key_rows));
      pass->accumulate(k.view(), v.view(), visible_blocks(problem, query_shard, key_shard), {});
    }
    Outputs<float> local(std::ssize(rows), heads, problem.output_dim());
    const PlacedNumbers out(stream, local.out);
    const PlacedNumbers lse(stream, local.lse);
    std::vector<PlacedNumbers> statistics;
    for (const auto& statistic : local.statistics) statistics.emplace_back(stream, statistic);
    pass->finish(
        {.out = out.view(),
         .lse = lse.view(),
         .statistics = run.statistics ? statistics_view_of(statistics) : StatisticsView{}});
    out.fetch(local.out);
    lse.fetch(local.lse);
    for (std::size_t s = 0; run.statistics && s < statistics.size(); ++s) {
      statistics[s].fetch(local.statistics[s]);
    }
    put_rows(result, rows, local.out.view(), local.lse.view(),
             run.statistics ? local.statistics_view() : StatisticsView{});
  }
  return result;
}

template <class T>
[[nodiscard]] kernels::Roundings roundings_of_gpu() {
  return kernels::Roundings::of(GpuUnderTest({}).kernel(), data_type_of<T>);
}

template <class T>
void expect_exact_on_gpu(WholeProblem<T> whole, const std::vector<GpuRun>& runs = {{}},
                         Sharpness sharpness = Sharpness::tenth) {
  const auto expected = direct(whole);
  const auto bounds = bounds_of(whole, roundings_of_gpu<T>());
  for (const auto& run : runs) {
    SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", d = " +
                 std::to_string(whole.problem.head_dim) + ", " + whole.problem.mask.name() + ", " +
                 std::to_string(run.shards) + " " + std::string(name_of(run.sharding)) + " shards");
    const auto got = attend_on_gpu(whole, run);
    if (run.statistics) {
      expect_close(got, expected, bounds, sharpness);
    } else {
      expect_close("out", got.out.values, expected.out.values, bounds.out.values);
      expect_close("lse", got.lse.values, expected.lse.values, bounds.lse.values);
    }
  }
}

/// In every type, with standard normal inputs and queries `size` times as large.
inline void expect_exact_on_gpu(const Problem& problem, const std::vector<GpuRun>& runs = {{}},
                                double size = 1) {
  expect_exact_on_gpu(random_problem<float>(problem, 11, size), runs);
  expect_exact_on_gpu(random_problem<BFloat16>(problem, 12, size), runs);
  expect_exact_on_gpu(random_problem<Float16>(problem, 13, size), runs);
}

}  // namespace annulus::test
