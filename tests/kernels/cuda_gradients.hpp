#pragma once
// Forward and backward passes on the model of a thread block.

#include <string>
#include <vector>

#include "kernels/cuda_test.hpp"
#include "kernels/rounded_gradients.hpp"
#include "support/gradients.hpp"

namespace annulus::test {

/// What a backward pass on the model writes.
struct ModelGradients {
  Tensor<float> dq;
  Tensor<float> dk;
  Tensor<float> dv;
  Tensor<float> dscale;  ///< (rows, H, 1)

  explicit ModelGradients(const Problem& problem)
      : dq(problem.documents.queries(), problem.query_heads, problem.head_dim),
        dk(problem.documents.keys(), problem.key_heads, problem.head_dim),
        dv(problem.documents.keys(), problem.key_heads, problem.output_dim()),
        dscale(problem.documents.queries(), problem.query_heads, 1) {}
};

/// <dout, out> of some rows.
template <class T>
[[nodiscard]] std::vector<float> means_of(const Tensor<T>& dout, const Tensor<float>& out) {
  std::vector<float> means;
  for (Index i = 0; i < out.rows; ++i) {
    for (Index h = 0; h < out.heads; ++h) {
      double mean = 0;
      for (Index c = 0; c < out.dim; ++c) {
        mean += static_cast<double>(dout.at(i, h, c)) * static_cast<double>(out.at(i, h, c));
      }
      means.push_back(static_cast<float>(mean));
    }
  }
  return means;
}

/// The gradients of what attend_on_model computes: every shard of queries against every shard of
/// keys.
template <class T>
[[nodiscard]] ModelGradients gradients_on_model(const WholeProblem<T>& whole, const Tensor<T>& dout,
                                                const ModelRun& run = {}) {
  const auto& problem = whole.problem;
  const auto& documents = problem.documents;
  const auto forward = attend_on_model(whole, run);
  const ModelLauncher launcher(run.schedule);
  const auto choice = gpu::choose_kernel(data_type_of<T>, problem.head_dim, problem.output_dim());
  const int heads = static_cast<int>(problem.query_heads);
  const auto query_shards = make_shards(run.sharding, documents.query_offsets(), run.shards);
  auto key_shards = make_shards(run.sharding, documents.key_offsets(),
                                run.key_shards == 0 ? run.shards : run.key_shards);
  if (run.reversed) std::reverse(key_shards.begin(), key_shards.end());
  ModelGradients result(problem);
  for (const auto& query_shard : query_shards) {
    const auto rows = packed_rows(query_shard, documents.query_offsets());
    const auto local_dout = take_rows(dout, rows);
    const AlignedRows<T> q(take_rows(whole.q, rows));
    const AlignedRows<T> aligned_dout(local_dout);
    const auto scale = narrowed(scale_of(whole, rows));
    const auto lse = take_rows(forward.lse, rows);
    const auto mean = means_of(local_dout, take_rows(forward.out, rows));
    auto dq = take_rows(result.dq, rows);
    for (const auto& key_shard : key_shards) {
      const auto key_rows = packed_rows(key_shard, documents.key_offsets());
      const AlignedRows<T> k(take_rows(whole.k, key_rows));
      const AlignedRows<T> v(take_rows(whole.v, key_rows));
      auto dk = take_rows(result.dk, key_rows);
      auto dv = take_rows(result.dv, key_rows);
      const auto blocks = visible_blocks(problem, query_shard, key_shard);
      const auto query_tiles = gpu::query_tiles(blocks, gpu::query_gradient_tile_rows(choice));
      const auto key_tiles = gpu::key_tiles(blocks, gpu::key_gradient_tile_rows(choice));
      gpu::GradientArguments arguments{.q = q.rows(),
                                       .k = k.rows(),
                                       .v = v.rows(),
                                       .dout = aligned_dout.rows(),
                                       .scale = scale.data(),
                                       .lse = lse.values.data(),
                                       .mean = mean.data(),
                                       .heads = heads,
                                       .group = static_cast<int>(problem.group()),
                                       .query_sums = dq.values.data(),
                                       .dk = dk.values.data(),
                                       .dv = dv.values.data(),
                                       .tiles = on_device(query_tiles)};
      launcher.add_query_gradients(choice, arguments, *device::cpu_stream());
      arguments.tiles = on_device(key_tiles);
      launcher.add_key_gradients(choice, arguments, *device::cpu_stream());
      put_rows(result.dk, key_rows, dk);
      put_rows(result.dv, key_rows, dv);
    }
    Tensor<float> dscale(dq.rows, dq.heads, 1);
    launcher.finish(choice,
                    {.q = q.rows(),
                     .scale = scale.data(),
                     .query_sums = dq.values.data(),
                     .rows = static_cast<int>(rows.size()),
                     .heads = heads,
                     .dq = dq.values.data(),
                     .dscale = dscale.values.data()},
                    *device::cpu_stream());
    put_rows(result.dq, rows, dq);
    put_rows(result.dscale, rows, dscale);
  }
  EXPECT_EQ(launcher.report().bank_conflicts, 0);
  return result;
}

/// Every number within what fp32 sums cost, as for the other backends, and what rounding weights to
/// 16 bits does to it.
template <class T>
void expect_gradients_on_model(const WholeProblem<T>& whole,
                               const std::vector<ModelRun>& runs = {{}}) {
  const auto dout = random_dout<T>(whole.problem);
  const auto expected = rounded_gradients(whole, dout, [](double weight) { return weight; });
  const double sums = 8 * bound_of(whole, kernels::reference()).weight;
  const Index most = std::max(whole.problem.documents.keys(),
                              whole.problem.documents.queries() * whole.problem.group());
  const double rounding = rounding_of_weights<T>(0);
  const double subnormal = rounding_of_weights<T>(most) - rounding;
  const auto check = [&](const char* name, const Tensor<float>& got, const Tensor<double>& exact,
                         const Tensor<double>& sizes, double largest_factor) {
    double largest = 1;
    for (const double value : exact.values) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < got.values.size(); ++i) {
      const double bound = sums * largest + rounding * sizes.values[i] + subnormal * largest_factor;
      ASSERT_NEAR(static_cast<double>(got.values[i]), exact.values[i], bound)
          << name << "[" << i << "]";
    }
  };
  const double q = largest_element(whole.q);
  const double k = largest_element(whole.k);
  const double logit = largest_logit(whole);
  for (const auto& run : runs) {
    SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", d = " +
                 std::to_string(whole.problem.head_dim) + ", " + whole.problem.mask.name() + ", " +
                 std::to_string(run.shards) + " " + std::string(name_of(run.sharding)) + " shards");
    const auto got = gradients_on_model(whole, dout, run);
    check("dq", got.dq, expected.exact.dq, expected.sizes.dq, std::max(logit, k));
    check("dk", got.dk, expected.exact.dk, expected.sizes.dk, q);
    check("dv", got.dv, expected.exact.dv, expected.sizes.dv, largest_element(dout));
    check("dscale", got.dscale, expected.exact.dscale, expected.sizes.dscale, logit);
  }
}

/// In every type.
inline void expect_gradients_on_model(const Problem& problem,
                                      const std::vector<ModelRun>& runs = {{}}) {
  expect_gradients_on_model(random_problem<float>(problem, 11), runs);
  expect_gradients_on_model(random_problem<BFloat16>(problem, 12), runs);
  expect_gradients_on_model(random_problem<Float16>(problem, 13), runs);
}

}  // namespace annulus::test
