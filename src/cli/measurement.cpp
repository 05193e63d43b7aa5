#include "cli/measurement.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "annulus/base/tensor.hpp"
#include "annulus/kernels/cpu.hpp"
#include "annulus/plan/cost.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "cli/random_inputs.hpp"
#include "cli/validation.hpp"

namespace annulus::cli {
namespace {

using Clock = std::chrono::steady_clock;

double peak_of_all(comm::Communicator& communicator, DataType type, int threads) {
  communicator.barrier();
  std::array<double, 1> peak{kernels::measure_peak_flops(type, threads)};
  communicator.all_reduce(peak, comm::Reduction::sum);
  return peak[0];
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

template <class T>
Measurement measure_as(const Plan& plan, comm::Communicator& communicator,
                       const kernels::Kernel& kernel, int threads, Pass pass, int repetitions,
                       std::uint64_t seed) {
  const auto& problem = plan.problem;
  const auto rank = static_cast<std::size_t>(communicator.rank());
  const auto rows = packed_rows(plan.query_shards[rank], problem.documents.query_offsets());
  const auto key_rows = packed_rows(plan.key_shards[rank], problem.documents.key_offsets());
  const auto inputs = random_inputs<T>(problem, seed, rows, key_rows);
  const auto n_q = static_cast<Index>(rows.size());
  const auto n_k = static_cast<Index>(key_rows.size());
  const Index heads = problem.query_heads;
  const auto q = dense_view(inputs.q.data(), n_q, heads, problem.head_dim);
  const auto k = dense_view(inputs.k.data(), n_k, problem.key_heads, problem.head_dim);
  const auto v = dense_view(inputs.v.data(), n_k, problem.key_heads, problem.output_dim());
  const DataType sums = accumulator_of(plan.data_type);
  Tensor out(sums, n_q, heads, problem.output_dim());
  Tensor lse(sums, n_q, heads, 1);
  RingAttention attention(plan, communicator, kernel, threads);
  HeldShards held;
  std::vector<T> dout;
  Tensor dq;
  Tensor dk;
  Tensor dv;
  if (pass == Pass::backward) {
    attention.forward(q, k, v, out.view(), {.lse = lse.view(), .held = &held});
    dout = random_output_gradients<T>(problem, seed, rows);
    dq = Tensor(sums, n_q, heads, problem.head_dim);
    dk = Tensor(sums, n_k, problem.key_heads, problem.head_dim);
    dv = Tensor(sums, n_k, problem.key_heads, problem.output_dim());
  }
  Index bytes_sent = 0;
  const auto run_once = [&] {
    auto start_from = held;
    communicator.barrier();
    const auto start = Clock::now();
    const auto report =
        pass == Pass::forward
            ? attention.forward(q, k, v, out.view())
            : attention.backward({.q = q,
                                  .k = k,
                                  .v = v,
                                  .out = out.view(),
                                  .lse = lse.view(),
                                  .dout = dense_view(dout.data(), n_q, heads, problem.output_dim()),
                                  .held = std::move(start_from)},
                                 {.dq = dq.view(), .dk = dk.view(), .dv = dv.view()});
    std::array<double, 2> times{std::chrono::duration<double>(Clock::now() - start).count(),
                                report.exposed_seconds};
    communicator.all_reduce(times, comm::Reduction::maximum);
    bytes_sent = report.bytes_sent;
    return times;
  };
  Measurement measurement{.flops = cost_of(plan).flops *
                                   (pass == Pass::backward ? backward_to_forward_flops : 1)};
  measurement.peak_flops = peak_of_all(communicator, plan.data_type, threads);
  run_once();
  communicator.all_reduce(std::span(&bytes_sent, 1), comm::Reduction::sum);
  measurement.bytes_sent = bytes_sent;
  std::vector<double> seconds;
  std::vector<double> exposed;
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    const auto times = run_once();
    seconds.push_back(times[0]);
    exposed.push_back(times[1]);
  }
  measurement.peak_flops =
      std::max(measurement.peak_flops, peak_of_all(communicator, plan.data_type, threads));
  measurement.median_seconds = median_of(seconds);
  measurement.least_seconds = *std::min_element(seconds.begin(), seconds.end());
  measurement.most_seconds = *std::max_element(seconds.begin(), seconds.end());
  measurement.exposed_seconds = median_of(exposed);
  return measurement;
}

/// Documents cut so that all of them together have at most a few hundred queries and keys.
Documents shortened(const Documents& documents) {
  constexpr Index total = 384;
  constexpr Index most_documents = 8;
  const Index count = std::min(documents.count(), most_documents);
  const Index length = total / count;
  std::vector<Index> queries{0};
  std::vector<Index> keys{0};
  for (Index document = 0; document < count; ++document) {
    queries.push_back(queries.back() + std::min(length, documents.query_length(document)));
    keys.push_back(keys.back() + std::min(length, documents.key_length(document)));
  }
  return Documents::packed(std::move(queries), std::move(keys));
}

}  // namespace

Measurement measure(const Plan& plan, comm::Communicator& communicator,
                    const kernels::Kernel& kernel, int threads, Pass pass, int repetitions,
                    std::uint64_t seed) {
  return with_element(plan.data_type, [&]<class T>() {
    return measure_as<T>(plan, communicator, kernel, threads, pass, repetitions, seed);
  });
}

bool validate_before_timing(const Problem& problem, comm::Communicator& communicator,
                            const PlanOptions& options, const kernels::Kernel& kernel, int threads,
                            Pass pass, std::uint64_t seed) {
  Problem brief = problem;
  brief.documents = shortened(problem.documents);
  return validate_plan(make_plan(brief, communicator.topology(), options), communicator, kernel,
                       threads, pass == Pass::backward ? Checked::backward : Checked::forward, seed)
      .valid();
}

Table measurement_table() {
  return Table({"n_q",
                "n_k",
                "heads",
                "key_heads",
                "head_dim",
                "value_dim",
                "documents",
                "mask",
                "precision",
                "ranks",
                "threads",
                "pass",
                "schedule",
                "sharding",
                "seconds",
                "seconds_min",
                "seconds_max",
                "flops",
                "flops_per_second",
                "fraction_of_peak",
                "exposed_seconds",
                "bytes_sent",
                "verdict"});
}

void add_measurement(Table& table, const Plan& plan, int threads, Pass pass, bool valid,
                     const Measurement& measurement) {
  const auto& problem = plan.problem;
  table.add({cell(problem.documents.queries()),
             cell(problem.documents.keys()),
             cell(problem.query_heads),
             cell(problem.key_heads),
             cell(problem.head_dim),
             cell(problem.output_dim()),
             cell(problem.documents.count()),
             cell(problem.mask.name()),
             cell(std::string(name_of(plan.data_type))),
             cell(Index{plan.ranks}),
             cell(Index{threads}),
             cell(std::string(pass == Pass::backward ? "backward" : "forward")),
             cell(std::string(name_of(plan.schedule))),
             cell(std::string(name_of(plan.sharding))),
             cell(measurement.median_seconds),
             cell(measurement.least_seconds),
             cell(measurement.most_seconds),
             cell(measurement.flops),
             cell(measurement.flops_per_second()),
             cell(measurement.fraction_of_peak(), 3),
             cell(measurement.exposed_seconds, 3),
             cell(measurement.bytes_sent),
             cell(std::string(valid ? "VALID" : "INVALID"))});
}

}  // namespace annulus::cli
