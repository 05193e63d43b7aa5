#include "annulus/verify/validation.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "annulus/attention/error_bound.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/kernels/reference.hpp"
#include "attention/random_inputs.hpp"
#include "verify/checked_run.hpp"

namespace annulus::verify {
namespace {

std::vector<Index> all_rows(Index count) {
  std::vector<Index> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), Index{0});
  return rows;
}

template <class T>
double largest_norm(const std::vector<T>& values, Index dim) {
  double largest = 0;
  const auto width = static_cast<std::size_t>(dim);
  for (std::size_t at = 0; at < values.size(); at += width) {
    double square = 0;
    for (std::size_t c = 0; c < width; ++c) {
      square += static_cast<double>(values[at + c]) * static_cast<double>(values[at + c]);
    }
    largest = std::max(largest, square);
  }
  return std::sqrt(largest);
}

double largest_scale(const Problem& problem) {
  double largest = 0;
  for (Index document = 0; document < problem.documents.count(); ++document) {
    for (Index i = 0; i < problem.documents.query_length(document); ++i) {
      const double beta =
          problem.logit_scale.beta(place_of(problem, document, i), problem.head_dim);
      largest = std::max(largest, std::abs(beta));
    }
  }
  return largest * std::abs(problem.logit_scale.base(problem.head_dim));
}

/// The largest |got - exact| / bound(exact), times `unit`. NaN counts as infinitely far.
template <class Bound>
double largest_error(const std::vector<double>& got, const std::vector<double>& exact, double unit,
                     Bound bound) {
  double largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i] == exact[i]) continue;  // infinities
    const double error = std::abs(got[i] - exact[i]) / bound(exact[i]);
    largest =
        std::max(largest, std::isnan(error) ? std::numeric_limits<double>::infinity() : error);
  }
  return largest * unit;
}

template <class T>
kernels::WholeInputs whole_inputs(const Problem& problem, const RandomInputs<T>& inputs) {
  const Index n_q = problem.documents.queries();
  const Index n_k = problem.documents.keys();
  return {.q = dense_view(inputs.q.data(), n_q, problem.query_heads, problem.head_dim),
          .k = dense_view(inputs.k.data(), n_k, problem.key_heads, problem.head_dim),
          .v = dense_view(inputs.v.data(), n_k, problem.key_heads, problem.output_dim()),
          .gain = {},
          .sink = {},
          .table = {}};
}

/// Gradients against those of the definition. `lse` is exact.
template <class T>
std::vector<Deviation> compare_gradients(const Plan& plan, const CheckedRun& got,
                                         const RandomInputs<T>& inputs, const ErrorBound& bound,
                                         const std::vector<double>& lse, std::uint64_t seed) {
  const auto& problem = plan.problem();
  const Index n_q = problem.documents.queries();
  const Index n_k = problem.documents.keys();
  const Index heads = problem.query_heads;
  const auto dout = random_output_gradients<T>(problem, seed, all_rows(n_q));
  std::vector<double> dq(got.dq.size());
  std::vector<double> dk(got.dk.size());
  std::vector<double> dv(got.dv.size());
  kernels::direct_gradients(
      problem, whole_inputs(problem, inputs),
      dense_view(dout.data(), n_q, heads, problem.output_dim()),
      {.dq = dense_view(dq.data(), n_q, heads, problem.head_dim),
       .dk = dense_view(dk.data(), n_k, problem.key_heads, problem.head_dim),
       .dv = dense_view(dv.data(), n_k, problem.key_heads, problem.output_dim())});
  double largest_lse = 0;
  for (const double value : lse) {
    if (!std::isinf(value)) largest_lse = std::max(largest_lse, std::abs(value));
  }
  const auto limit = GradientBound::of(problem, bound,
                                       {.scale = largest_scale(problem),
                                        .q = largest_norm(inputs.q, problem.head_dim),
                                        .k = largest_norm(inputs.k, problem.head_dim),
                                        .v = largest_norm(inputs.v, problem.output_dim()),
                                        .dout = largest_norm(dout, problem.output_dim()),
                                        .lse = largest_lse});
  const auto deviation = [](const char* name, const std::vector<double>& a,
                            const std::vector<double>& b, double most) {
    return Deviation{name, largest_error(a, b, most, [&](double) { return most; }), most};
  };
  return {deviation("dq", got.dq, dq, limit.dq), deviation("dk", got.dk, dk, limit.dk),
          deviation("dv", got.dv, dv, limit.dv)};
}

template <class T>
std::vector<Deviation> compare(const Plan& plan, const kernels::Kernel& kernel,
                               const CheckedRun& got, std::uint64_t seed) {
  const auto& problem = plan.problem();
  const Index n_q = problem.documents.queries();
  const Index n_k = problem.documents.keys();
  const Index heads = problem.query_heads;
  const auto inputs = random_inputs<T>(problem, seed, all_rows(n_q), all_rows(n_k));
  std::vector<double> out(got.out.size());
  std::vector<double> lse(got.lse.size());
  auto statistics = make_statistics(DataType::float64, n_q, heads);
  kernels::direct_attention(problem, whole_inputs(problem, inputs),
                            dense_view(out.data(), n_q, heads, problem.output_dim()),
                            dense_view(lse.data(), n_q, heads, 1), statistics_view_of(statistics));
  const auto entropy = numbers_of(statistics.front().view());
  const auto bound =
      ErrorBound::of(problem, accumulator_of(plan.data_type()),
                     largest_scale(problem) * largest_norm(inputs.q, problem.head_dim) *
                         largest_norm(inputs.k, problem.head_dim),
                     kernel.factor_type(plan.data_type()), kernel.partial_type(plan.data_type()));
  double largest_value = 0;
  for (const T value : inputs.v) {
    largest_value = std::max(largest_value, std::abs(static_cast<double>(value)));
  }
  const double out_bound = bound.out(largest_value);
  // lse and entropy have a bound for every row; what is reported is the worst row, scaled to the
  // bound of a row of zeros.
  std::vector<Deviation> deviations{
      {"out", largest_error(got.out, out, out_bound, [&](double) { return out_bound; }), out_bound},
      {"lse", largest_error(got.lse, lse, bound.lse(0), [&](double z) { return bound.lse(z); }),
       bound.lse(0)}};
  if (!got.entropy.empty()) {
    deviations.push_back({"entropy",
                          largest_error(got.entropy, entropy, bound.entropy(0),
                                        [&](double h) { return bound.entropy(h); }),
                          bound.entropy(0)});
  }
  if (!got.dq.empty() || !got.dk.empty()) {
    const auto more = compare_gradients(plan, got, inputs, bound, lse, seed);
    deviations.insert(deviations.end(), more.begin(), more.end());
  }
  return deviations;
}

template <class T>
std::vector<Deviation> validate_as(const Plan& plan, comm::Communicator& communicator,
                                   const kernels::Kernel& kernel, int threads, Checked what,
                                   std::uint64_t seed) {
  const auto own = what == Checked::decode
                       ? run_decode<T>(plan, communicator, kernel, threads, seed)
                       : run_passes<T>(plan, communicator, kernel, threads, what, seed);
  const auto got = gather(plan.problem(), communicator, own);
  std::vector<Deviation> deviations;
  comm::on_root(communicator, [&] { deviations = compare<T>(plan, kernel, got, seed); });
  static constexpr std::array names{"out", "lse", "entropy", "dq", "dk", "dv"};
  auto count = static_cast<Index>(deviations.size());
  communicator.broadcast(std::as_writable_bytes(std::span(&count, 1)), 0);
  deviations.resize(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < deviations.size(); ++i) {
    std::array<double, 2> numbers{deviations[i].error, deviations[i].bound};
    communicator.broadcast(std::as_writable_bytes(std::span(numbers)), 0);
    deviations[i] = {names[i], numbers[0], numbers[1]};
  }
  return deviations;
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

bool Validation::valid() const {
  return std::all_of(deviations.begin(), deviations.end(),
                     [](const Deviation& deviation) { return deviation.valid(); });
}

Validation validate_plan(const Plan& plan, comm::Communicator& communicator,
                         const kernels::Kernel& kernel, int threads, Checked what,
                         std::uint64_t seed) {
  return {with_element(plan.data_type(), [&]<class T>() {
    return validate_as<T>(plan, communicator, kernel, threads, what, seed);
  })};
}

Checked checked_of(Pass pass, Statistics statistics) {
  if (pass == Pass::backward) return Checked::backward;
  return statistics == Statistics::on ? Checked::forward : Checked::forward_without_statistics;
}

bool validate_briefly(const Problem& problem, comm::Communicator& communicator,
                      const PlanOptions& options, const kernels::Kernel& kernel, int threads,
                      Checked what, std::uint64_t seed) {
  Problem brief = problem;
  brief.documents = shortened(problem.documents);
  return validate_plan(make_plan(brief, communicator.topology(), options), communicator, kernel,
                       threads, what, seed)
      .valid();
}

}  // namespace annulus::verify
