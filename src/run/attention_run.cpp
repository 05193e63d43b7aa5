#include "annulus/run/attention_run.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/base/read_option.hpp"

namespace annulus::run {
namespace {

/// Whether row i, head h overflowed: finite inputs give a finite lse, or -inf to rows that see
/// nothing, and a finite output.
template <class T>
bool overflowed(ConstTensorView lse, ConstTensorView out, Index i, Index h, bool sees_something) {
  const T sum = *lse.row<T>(i, h);
  if (!std::isfinite(sum) && (sees_something || sum != -std::numeric_limits<T>::infinity())) {
    return true;
  }
  const T* values = out.row<T>(i, h);
  return !std::all_of(values, values + out.dim, [](T value) { return std::isfinite(value); });
}

/// The first number of the packed outputs (queries, H) that this rank holds and that overflowed, or
/// the largest Index.
Index first_overflow(const PassTensors& tensors, const Plan& plan, std::span<const double> sink,
                     int rank) {
  const auto lse = tensors.lse();
  const auto out = tensors.out();
  const auto& problem = plan.problem();
  Index first = std::numeric_limits<Index>::max();
  Index row = 0;
  for (const auto& part : plan.query_shard(rank)) {
    for (Index i = 0; i < part.count; ++i, ++row) {
      const Index in_document = part.first + i * part.stride;
      const Index query = problem.documents.query_offset(part.document) + in_document;
      const bool sees_keys = place_of(problem, part.document, in_document).visible > 0;
      for (Index h = 0; h < lse.heads; ++h) {
        const bool has_sink = !sink.empty() && !std::isinf(sink[static_cast<std::size_t>(h)]);
        const bool sees_something = sees_keys || has_sink;
        const bool over = with_accumulator(
            lse.type, [&]<class T>() { return overflowed<T>(lse, out, row, h, sees_something); });
        if (over) first = std::min(first, query * lse.heads + h);
      }
    }
  }
  return first;
}

/// Collective. Refuses numbers beyond the range of the type; names the first one of all ranks, so
/// that the message does not depend on the sharding.
void check_numbers(const std::string& path, const PassTensors& tensors, const Plan& plan,
                   std::span<const double> sink, comm::Communicator& communicator) {
  Index first = first_overflow(tensors, plan, sink, communicator.rank());
  communicator.all_reduce(std::span(&first, 1), comm::Reduction::minimum);
  if (first == std::numeric_limits<Index>::max()) return;
  const Index heads = plan.problem().query_heads;
  throw InputError(fmt::format(
      "{}: query {}, head {} overflows {} (a logit, or a sum of values); expected smaller /q, /k, "
      "/v, /sink or scales{}",
      path, first / heads, first % heads, name_of(accumulator_of(plan.data_type())),
      plan.data_type() == DataType::float64 ? "" : ", or --precision fp64"));
}

/// The slowest rank's times and all ranks' bytes. Collective.
void agree(PassReport& report, comm::Communicator& communicator) {
  std::array<double, 2> slowest{report.seconds, report.exposed_seconds};
  communicator.all_reduce(slowest, comm::Reduction::maximum);
  communicator.all_reduce(std::span(&report.bytes_sent, 1), comm::Reduction::sum);
  report.seconds = slowest[0];
  report.exposed_seconds = slowest[1];
}

}  // namespace

Problem problem_of(const std::string& path, const results::InputShape& shape) {
  Problem problem{.query_heads = shape.query_heads,
                  .key_heads = shape.key_heads,
                  .head_dim = shape.head_dim,
                  .value_dim = shape.value_dim,
                  .documents = shape.documents};
  read_option((path + ": /q, /k, /v").c_str(), [&] { validate(problem); });
  return problem;
}

AttentionRun run_attention(const std::string& path, const results::AttentionInput& input,
                           const Plan& plan, comm::Communicator& communicator,
                           const kernels::Kernel& kernel, int threads, const WantedOutputs& wanted,
                           std::vector<PassTrace>* traces) {
  using results::InputRows;
  const int rank = communicator.rank();
  const auto& query_shard = plan.query_shard(rank);
  const auto& key_shard = plan.key_shard(rank);
  const auto q = input.read_rows(InputRows::q, query_shard, plan.data_type());
  const auto k = input.read_rows(InputRows::k, key_shard, plan.data_type());
  const auto v = input.read_rows(InputRows::v, key_shard, plan.data_type());
  Tensor dout;
  if (wanted.backward) dout = input.read_rows(InputRows::dout, query_shard, plan.data_type());
  std::vector<double> table;
  if (plan.problem().logit_scale.is_table()) table = input.read_logit_scale(query_shard);

  const PassInputs inputs{.q = q.view(),
                          .k = k.view(),
                          .v = v.view(),
                          .dout = std::as_const(dout).view(),
                          .gain = input.shape().gain,
                          .sink = input.shape().sink,
                          .logit_scale = table};
  RingAttention attention(plan, communicator, kernel, threads);
  attention.trace(traces);
  AttentionRun run{.tensors = {plan, communicator.rank(), wanted}};
  run.forward = run.tensors.forward(attention, inputs);
  check_numbers(path, run.tensors, plan, inputs.sink, communicator);
  if (wanted.backward) run.backward = run.tensors.backward(attention, inputs);
  agree(run.forward, communicator);
  agree(run.backward, communicator);
  return run;
}

std::vector<results::OutputArray> output_arrays(const Plan& plan, const WantedOutputs& wanted,
                                                bool has_sink) {
  using results::RowsOf;
  const auto& problem = plan.problem();
  const auto type = accumulator_of(plan.data_type());
  const Index heads = problem.query_heads;
  std::vector<results::OutputArray> arrays{
      {"/out", RowsOf::queries, type, heads, problem.output_dim()},
      {"/lse", RowsOf::queries, type, heads}};
  if (wanted.statistics == Statistics::on) {
    for (const auto& statistic : row_statistics()) {
      arrays.push_back(
          {fmt::format("/statistics/{}", statistic.name), RowsOf::queries, type, heads});
    }
  }
  if (!wanted.backward) return arrays;
  arrays.push_back({"/dq", RowsOf::queries, type, heads, problem.head_dim});
  arrays.push_back({"/dk", RowsOf::keys, type, problem.key_heads, problem.head_dim});
  arrays.push_back({"/dv", RowsOf::keys, type, problem.key_heads, problem.output_dim()});
  arrays.push_back({"/dgain", RowsOf::nothing, type, heads});
  if (has_sink) arrays.push_back({"/dsink", RowsOf::nothing, type, heads});
  return arrays;
}

void write_run(results::AttentionOutput& output, const AttentionRun& run, const Plan& plan,
               int rank) {
  const auto& tensors = run.tensors;
  const auto& queries = plan.query_shard(rank);
  output.write_rows("/out", queries, tensors.out());
  output.write_rows("/lse", queries, tensors.lse());
  if (tensors.wanted().statistics == Statistics::on) {
    for (std::size_t s = 0; s < row_statistics().size(); ++s) {
      output.write_rows(fmt::format("/statistics/{}", row_statistics()[s].name), queries,
                        tensors.statistics().at(s));
    }
  }
  if (!tensors.wanted().backward) return;
  const auto& keys = plan.key_shard(rank);
  output.write_rows("/dq", queries, tensors.dq());
  output.write_rows("/dk", keys, tensors.dk());
  output.write_rows("/dv", keys, tensors.dv());
  output.write_heads("/dgain", tensors.dgain());
  if (!tensors.dsink().empty()) output.write_heads("/dsink", tensors.dsink());
}

}  // namespace annulus::run
