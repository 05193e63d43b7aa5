#pragma once
// Forward and backward passes on the model of a thread block, or on a GPU.

#include <string>
#include <vector>

#include "kernels/cuda/test.hpp"
#include "kernels/rounded_gradients.hpp"
#include "support/gradients.hpp"

namespace annulus::test {

/// What a backward pass writes.
struct GpuGradients {
  Tensor<float> dq;
  Tensor<float> dk;
  Tensor<float> dv;
  Tensor<float> dscale;  ///< (rows, H, 1)

  explicit GpuGradients(const Problem& problem)
      : dq(problem.documents.queries(), problem.query_heads, problem.head_dim),
        dk(problem.documents.keys(), problem.key_heads, problem.head_dim),
        dv(problem.documents.keys(), problem.key_heads, problem.output_dim()),
        dscale(problem.documents.queries(), problem.query_heads, 1) {}
};

/// The gradients of what attend_on_gpu computes: every shard of queries against every shard of
/// keys.
template <class T>
[[nodiscard]] GpuGradients gradients_on_gpu(const WholeProblem<T>& whole, const Tensor<T>& dout,
                                            const GpuRun& run = {}) {
  const auto& problem = whole.problem;
  const auto& documents = problem.documents;
  const auto forward = attend_on_gpu(whole, run);
  const GpuUnderTest gpu(run.schedule);
  const auto stream = gpu.kernel().open_stream(0);
  const auto query_shards = make_shards(run.sharding, documents.query_offsets(), run.shards);
  auto key_shards = make_shards(run.sharding, documents.key_offsets(),
                                run.key_shards == 0 ? run.shards : run.key_shards);
  if (run.reversed) std::reverse(key_shards.begin(), key_shards.end());
  GpuGradients result(problem);
  for (const auto& query_shard : query_shards) {
    const auto rows = packed_rows(query_shard, documents.query_offsets());
    const PlacedRows<T> q(stream, take_rows(whole.q, rows));
    const PlacedRows<T> local_dout(stream, take_rows(dout, rows));
    const PlacedNumbers lse(stream, take_rows(forward.lse, rows));
    const PlacedNumbers out(stream, take_rows(forward.out, rows));
    const auto scale = scale_of(whole, rows);
    const auto pass = gpu.kernel().backward(
        {.q = q.view(),
         .scale = scale,
         .dout = local_dout.view(),
         .lse = lse.view(),
         .out = out.view()},
        {.key_heads = problem.key_heads, .value_dim = problem.output_dim(), .stream = stream});
    for (const auto& key_shard : key_shards) {
      const auto key_rows = packed_rows(key_shard, documents.key_offsets());
      const PlacedRows<T> k(stream, take_rows(whole.k, key_rows));
      const PlacedRows<T> v(stream, take_rows(whole.v, key_rows));
      auto dk = take_rows(result.dk, key_rows);
      auto dv = take_rows(result.dv, key_rows);
      const PlacedNumbers dk_there(stream, dk);
      const PlacedNumbers dv_there(stream, dv);
      pass->accumulate(k.view(), v.view(), visible_blocks(problem, query_shard, key_shard),
                       dk_there.view(), dv_there.view(), {});
      dk_there.fetch(dk);
      dv_there.fetch(dv);
      put_rows(result.dk, key_rows, dk);
      put_rows(result.dv, key_rows, dv);
    }
    auto dq = take_rows(result.dq, rows);
    const PlacedNumbers dq_there(stream, dq);
    std::vector<double> dscales(scale.size());
    pass->finish(dq_there.view(), {.dscale = dscales});
    dq_there.fetch(dq);
    Tensor<float> dscale(dq.rows, dq.heads, 1);
    std::ranges::transform(dscales, dscale.values.begin(),
                           [](double number) { return static_cast<float>(number); });
    put_rows(result.dq, rows, dq);
    put_rows(result.dscale, rows, dscale);
  }
  return result;
}

/// Every number within what fp32 sums cost, as for the other backends, and what rounding weights to
/// 16 bits does to it.
template <class T>
void expect_gradients_on_gpu(const WholeProblem<T>& whole, const std::vector<GpuRun>& runs = {{}}) {
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
    const auto got = gradients_on_gpu(whole, dout, run);
    check("dq", got.dq, expected.exact.dq, expected.sizes.dq, std::max(logit, k));
    check("dk", got.dk, expected.exact.dk, expected.sizes.dk, q);
    check("dv", got.dv, expected.exact.dv, expected.sizes.dv, largest_element(dout));
    check("dscale", got.dscale, expected.exact.dscale, expected.sizes.dscale, logit);
  }
}

/// In every type.
inline void expect_gradients_on_gpu(const Problem& problem,
                                    const std::vector<GpuRun>& runs = {{}}) {
  expect_gradients_on_gpu(random_problem<float>(problem, 11), runs);
  expect_gradients_on_gpu(random_problem<BFloat16>(problem, 12), runs);
  expect_gradients_on_gpu(random_problem<Float16>(problem, 13), runs);
}

}  // namespace annulus::test
