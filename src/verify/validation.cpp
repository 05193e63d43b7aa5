#include "annulus/verify/validation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "annulus/comm/agreement.hpp"
#include "annulus/kernels/error_bounds.hpp"
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

/// NaN is infinitely far from exact.
Deviation deviation_of(std::string_view name, const std::vector<double>& got,
                       const std::vector<double>& exact, const std::vector<double>& bounds) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Deviation all{.name = std::string(name)};
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double difference = got[i] == exact[i] ? 0 : std::abs(got[i] - exact[i]);
    const double error = std::isnan(difference) ? infinity : difference;
    all.error = std::max(all.error, error);
    all.bound = std::max(all.bound, bounds[i]);
    if (std::isfinite(exact[i])) all.largest = std::max(all.largest, std::abs(exact[i]));
    if (error == 0) continue;
    const double of_bound = error / bounds[i];
    all.of_bound = std::max(all.of_bound, std::isnan(of_bound) ? infinity : of_bound);
  }
  return all;
}

/// The definition and its bounds on random inputs of type T, and how far `got` is from it.
template <class T>
std::vector<Deviation> compare(const Plan& plan, const kernels::Kernel& kernel, const Outputs& got,
                               Checked what, std::uint64_t seed) {
  const auto& problem = plan.problem();
  const Index n_q = problem.documents.queries();
  const Index n_k = problem.documents.keys();
  const auto random = random_inputs<T>(problem, seed, all_rows(n_q), all_rows(n_k));
  const auto inputs = whole_inputs(problem, random);
  const auto roundings = kernels::Roundings::of(kernel, plan.data_type());
  auto exact = Outputs::whole(problem, what);
  auto bounds = Outputs::whole(problem, what);
  kernels::direct_attention(problem, inputs, exact.out(), exact.lse(), exact.statistics());
  kernels::attention_bounds(problem, inputs, roundings, bounds.out(), bounds.lse(),
                            bounds.statistics());
  if (has_gradients(what)) {
    const auto dout = random_output_gradients<T>(problem, seed, all_rows(n_q));
    const auto view = dense_view(dout.data(), n_q, problem.query_heads, problem.output_dim());
    kernels::direct_gradients(problem, inputs, view, exact.gradients());
    kernels::gradient_bounds(problem, inputs, view, roundings, bounds.gradients());
  }
  std::vector<Deviation> deviations;
  for (std::size_t i = 0; i < got.kinds.size(); ++i) {
    deviations.push_back(
        deviation_of(got.kinds[i].name, got.numbers[i], exact.numbers[i], bounds.numbers[i]));
  }
  return deviations;
}

template <class T>
Validation validate_as(const Plan& plan, comm::Communicator& communicator,
                       const kernels::Kernel& kernel, int threads, Checked what, std::uint64_t seed,
                       std::vector<PassTrace>* traces) {
  const auto own = what == Checked::decode
                       ? run_decode<T>(plan, communicator, kernel, threads, seed)
                       : run_passes<T>(plan, communicator, kernel, threads, what, seed, traces);
  const auto got = gather(plan.problem(), communicator, own, what);
  std::vector<Deviation> deviations(got.kinds.size());
  comm::on_root(communicator, [&] { deviations = compare<T>(plan, kernel, got, what, seed); });
  for (std::size_t i = 0; i < deviations.size(); ++i) {
    std::array<double, 4> numbers{deviations[i].error, deviations[i].bound, deviations[i].largest,
                                  deviations[i].of_bound};
    communicator.broadcast(std::as_writable_bytes(std::span(numbers)), 0);
    deviations[i] = {std::string(got.kinds[i].name), numbers[0], numbers[1], numbers[2],
                     numbers[3]};
  }
  std::array<Index, 1> bytes_sent{own.bytes_sent};
  communicator.all_reduce(bytes_sent, comm::Reduction::sum);
  return {.deviations = std::move(deviations), .bytes_sent = bytes_sent.front()};
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

bool Deviation::valid() const {
  return of_bound <= 1 && error <= bound && std::isfinite(bound);
}

bool Validation::valid() const {
  return std::all_of(deviations.begin(), deviations.end(),
                     [](const Deviation& deviation) { return deviation.valid(); });
}

Validation validate_plan(const Plan& plan, comm::Communicator& communicator,
                         const kernels::Kernel& kernel, int threads, Checked what,
                         std::uint64_t seed, std::vector<PassTrace>* traces) {
  return with_element(plan.data_type(), [&]<class T>() {
    return validate_as<T>(plan, communicator, kernel, threads, what, seed, traces);
  });
}

std::string_view name_of(Checked what) {
  switch (what) {
    case Checked::forward:
    case Checked::forward_without_statistics:
      return name_of(Pass::forward);
    case Checked::backward:
    case Checked::backward_without_statistics:
      return name_of(Pass::backward);
    case Checked::decode:
      return "decode";
  }
  broken_invariant("unknown check");
}

Checked checked_of(Pass pass, Statistics statistics) {
  const bool with_statistics = statistics == Statistics::on;
  if (pass == Pass::backward) {
    return with_statistics ? Checked::backward : Checked::backward_without_statistics;
  }
  return with_statistics ? Checked::forward : Checked::forward_without_statistics;
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
