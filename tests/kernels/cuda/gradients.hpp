#pragma once
// Forward and backward passes on the model of a thread block, or on a GPU.

#include <cmath>
#include <string>
#include <vector>

#include "kernels/cuda/test.hpp"
#include "support/gradients.hpp"

namespace annulus::test {

/// The gradients of what attend_on_gpu computes: every shard of queries against every shard of
/// keys.
template <class T>
[[nodiscard]] AllGradients<float> gradients_on_gpu(const WholeProblem<T>& whole,
                                                   const Tensor<T>& dout, const GpuRun& run = {}) {
  const auto& problem = whole.problem;
  const auto& documents = problem.documents;
  const auto forward = attend_on_gpu(whole, run);
  const GpuUnderTest gpu(run.schedule);
  const auto stream = gpu.kernel().open_stream(0);
  const auto query_shards = make_shards(run.sharding, documents.query_offsets(), run.shards);
  auto key_shards = make_shards(run.sharding, documents.key_offsets(),
                                run.key_shards == 0 ? run.shards : run.key_shards);
  if (run.reversed) std::reverse(key_shards.begin(), key_shards.end());
  AllGradients<float> result(problem);
  auto without_gain = whole;
  without_gain.gain.clear();
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
    std::vector<double> dscale(scale.size());
    std::vector<double> mean(scale.size());
    pass->finish(dq_there.view(), {.dscale = dscale, .mean = mean});
    dq_there.fetch(dq);
    put_rows(result.dq, rows, dq);
    const auto scale_per_gain = scale_of(without_gain, rows);
    for (std::size_t i = 0; i < scale.size(); ++i) {
      const std::size_t h = i % result.dgain.size();
      result.dgain[h] += scale_per_gain[i] * dscale[i];
      if (whole.sink.empty() || std::isinf(whole.sink[h])) continue;
      const auto row_lse = static_cast<double>(
          forward.lse.at(rows[i / result.dgain.size()], static_cast<Index>(h), 0));
      result.dsink[h] -= std::exp(whole.sink[h] - row_lse) * mean[i];
    }
  }
  return result;
}

template <class T>
void expect_gradients_on_gpu(const WholeProblem<T>& whole, const std::vector<GpuRun>& runs = {{}},
                             Sharpness sharpness = Sharpness::tenth) {
  const auto dout = random_dout<T>(whole.problem);
  const auto expected = direct_gradients_of(whole, dout);
  const auto roundings = roundings_of_gpu<T>();
  const auto bounds = gradient_bounds_of(whole, dout, roundings);
  for (const auto& run : runs) {
    SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", d = " +
                 std::to_string(whole.problem.head_dim) + ", " + whole.problem.mask.name() + ", " +
                 std::to_string(run.shards) + " " + std::string(name_of(run.sharding)) + " shards");
    expect_close(gradients_on_gpu(whole, dout, run), expected, bounds, sharpness,
                 sharpness == Sharpness::any ? sharpness : sharpness_of_parameters(roundings));
  }
}

/// In every type.
inline void expect_gradients_on_gpu(const Problem& problem, const std::vector<GpuRun>& runs = {{}},
                                    Sharpness sharpness = Sharpness::tenth) {
  expect_gradients_on_gpu(random_problem<float>(problem, 11), runs, sharpness);
  expect_gradients_on_gpu(random_problem<BFloat16>(problem, 12), runs, sharpness);
  expect_gradients_on_gpu(random_problem<Float16>(problem, 13), runs, sharpness);
}

}  // namespace annulus::test
