#pragma once
// The cpu kernel on a whole problem, with every instruction set that this machine has.

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "kernels/cpu/simd_targets.hpp"

#include <hwy/highway.h>

#include <gtest/gtest.h>

#include "annulus/kernels/cpu.hpp"
#include "annulus/plan/sharding.hpp"
#include "support/expect_close.hpp"
#include "support/row_scale.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {

/// The instruction sets that this machine can run, the scalar fallback among them.
[[nodiscard]] inline std::vector<std::int64_t> runnable_targets() {
  auto targets = hwy::SupportedAndGeneratedTargets();
  if (targets.back() != HWY_STATIC_TARGET) targets.push_back(HWY_STATIC_TARGET);
  return targets;
}

/// Runs a test with one instruction set.
class CpuTest : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override {
    hwy::SetSupportedTargetsForTest(GetParam());
    ASSERT_EQ(kernels::simd_target(), hwy::TargetName(GetParam()));
  }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

[[nodiscard]] inline std::string target_of(const testing::TestParamInfo<std::int64_t>& test) {
  return hwy::TargetName(test.param);
}

/// How to run the kernel.
struct CpuRun {
  Sharding sharding = Sharding::contiguous;
  int shards = 1;  ///< queries and keys come in this many shards
  int threads = 1;
  bool statistics = true;
  bool reversed = false;  ///< from the last key shard to the first
  kernels::Poll poll{};
};

/// A tensor with gaps between heads and rows, full of NaN that no kernel may read.
template <class T>
class GappedTensor {
 public:
  explicit GappedTensor(const Tensor<T>& tensor)
      : head_stride_(tensor.dim + 3),
        row_stride_(tensor.heads * head_stride_ + 5),
        tensor_(tensor),
        values_(static_cast<std::size_t>(tensor.rows * row_stride_),
                static_cast<T>(std::numeric_limits<double>::quiet_NaN())) {
    for (Index i = 0; i < tensor.rows; ++i) {
      for (Index h = 0; h < tensor.heads; ++h) {
        for (Index c = 0; c < tensor.dim; ++c) {
          values_[static_cast<std::size_t>(i * row_stride_ + h * head_stride_ + c)] =
              tensor.at(i, h, c);
        }
      }
    }
  }
  [[nodiscard]] ConstTensorView view() const {
    return {values_.data(), data_type_of<T>, tensor_.rows, tensor_.heads,
            tensor_.dim,    row_stride_,     head_stride_};
  }

 private:
  Index head_stride_;
  Index row_stride_;
  const Tensor<T>& tensor_;
  std::vector<T> values_;
};

/// The whole problem, one pass for each shard of queries and one call for each shard of keys.
template <class T>
[[nodiscard]] Outputs<Accumulator<T>> attend_on_cpu(const WholeProblem<T>& whole,
                                                    const CpuRun& run = {}) {
  const auto& problem = whole.problem;
  const auto& documents = problem.documents;
  Outputs<Accumulator<T>> result(documents.queries(), problem.query_heads, problem.output_dim());
  const auto query_shards = make_shards(run.sharding, documents.query_offsets(), run.shards);
  auto key_shards = make_shards(run.sharding, documents.key_offsets(), run.shards);
  if (run.reversed) std::reverse(key_shards.begin(), key_shards.end());
  for (const auto& query_shard : query_shards) {
    const auto rows = packed_rows(query_shard, documents.query_offsets());
    const auto q = take_rows(whole.q, rows);
    const GappedTensor gapped_q(q);
    const auto scale = scale_of(whole, rows);
    const auto pass =
        kernels::cpu().forward({.q = gapped_q.view(), .scale = scale, .sink = whole.sink},
                               {.key_heads = problem.key_heads,
                                .value_dim = problem.output_dim(),
                                .statistics = run.statistics,
                                .threads = run.threads});
    for (const auto& key_shard : key_shards) {
      const auto key_rows = packed_rows(key_shard, documents.key_offsets());
      const auto k = take_rows(whole.k, key_rows);
      const auto v = take_rows(whole.v, key_rows);
      const auto blocks = visible_blocks(problem, query_shard, key_shard);
      pass->accumulate(GappedTensor(k).view(), GappedTensor(v).view(), blocks, run.poll);
    }
    Outputs<Accumulator<T>> local(static_cast<Index>(rows.size()), problem.query_heads,
                                  problem.output_dim());
    const auto statistics = run.statistics ? local.statistics_view() : StatisticsView{};
    pass->finish({local.out.view(), local.lse.view(), statistics});
    put_rows(result, rows, local.out.view(), local.lse.view(), statistics);
  }
  return result;
}

template <class T>
void expect_exact_on_cpu(WholeProblem<T> whole, const std::vector<CpuRun>& runs = {{}},
                         Sharpness sharpness = Sharpness::tenth) {
  const auto expected = direct(whole);
  const auto bounds = bounds_of(whole, kernels::cpu());
  for (const auto& run : runs) {
    SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", d = " +
                 std::to_string(whole.problem.head_dim) + ", " + whole.problem.mask.name() + ", " +
                 std::to_string(run.shards) + " " + std::string(name_of(run.sharding)) + " shards");
    expect_close(attend_on_cpu(whole, run), expected, bounds, sharpness);
  }
}

/// In fp32, fp64 and bf16, with standard normal inputs and queries `size` times as large.
inline void expect_exact_on_cpu(const Problem& problem, const std::vector<CpuRun>& runs = {{}},
                                double size = 1, Sharpness sharpness = Sharpness::tenth) {
  expect_exact_on_cpu(random_problem<float>(problem, 11, size), runs, sharpness);
  expect_exact_on_cpu(random_problem<double>(problem, 12, size), runs, sharpness);
  expect_exact_on_cpu(random_problem<BFloat16>(problem, 13, size), runs, sharpness);
}

}  // namespace annulus::test
