#include "annulus/verify/validation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "annulus/comm/agreement.hpp"
#include "annulus/kernels/error_bounds.hpp"
#include "attention/random_inputs.hpp"
#include "kernels/cpu/for_each_item.hpp"
#include "ring/heads_of.hpp"
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

/// One key head and the query heads that read it, which have nothing to do with the others.
class OneKeyHead {
 public:
  OneKeyHead(const Problem& whole, Index key_head)
      : problem_(whole),
        queries_{key_head * whole.group(), (key_head + 1) * whole.group()},
        keys_{key_head, key_head + 1} {
    problem_.query_heads = whole.group();
    problem_.key_heads = 1;
  }

  [[nodiscard]] const Problem& problem() const { return problem_; }

  template <class Void>
  [[nodiscard]] BasicTensorView<Void> of_queries(const BasicTensorView<Void>& view) const {
    return view.present() ? ring::heads_of(view, queries_) : view;
  }
  template <class Void>
  [[nodiscard]] BasicTensorView<Void> of_keys(const BasicTensorView<Void>& view) const {
    return ring::heads_of(view, keys_);
  }
  [[nodiscard]] kernels::WholeInputs of(const kernels::WholeInputs& inputs) const {
    return {.q = of_queries(inputs.q),
            .k = of_keys(inputs.k),
            .v = of_keys(inputs.v),
            .gain = {},
            .sink = {},
            .table = {}};
  }
  [[nodiscard]] StatisticsView of(StatisticsView statistics) const {
    for (auto& view : statistics.views) view = of_queries(view);
    return statistics;
  }
  [[nodiscard]] kernels::WholeGradients of(const kernels::WholeGradients& gradients) const {
    return {.dq = of_queries(gradients.dq),
            .dk = of_keys(gradients.dk),
            .dv = of_keys(gradients.dv),
            .dgain = of_queries(gradients.dgain),
            .dsink = of_queries(gradients.dsink)};
  }

 private:
  [[nodiscard]] std::span<double> of_queries(std::span<double> numbers) const {
    if (numbers.empty()) return numbers;
    return numbers.subspan(static_cast<std::size_t>(queries_.begin),
                           static_cast<std::size_t>(queries_.size()));
  }

  Problem problem_;
  Interval queries_;
  Interval keys_;
};

/// The definition and its bounds on random inputs of type T, and how far `got` is from it.
template <class T>
std::vector<Deviation> compare(const Plan& plan, const kernels::Kernel& kernel, int threads,
                               const Outputs& got, Checked what, std::uint64_t seed) {
  const auto& problem = plan.problem();
  const Index n_q = problem.documents.queries();
  const Index n_k = problem.documents.keys();
  const auto random = random_inputs<T>(problem, seed, all_rows(n_q), all_rows(n_k));
  const auto inputs = whole_inputs(problem, random);
  const auto roundings = kernels::Roundings::of(kernel, plan.data_type());
  const auto dout = has_gradients(what) ? random_output_gradients<T>(problem, seed, all_rows(n_q))
                                        : std::vector<T>{};
  auto exact = Outputs::whole(problem, what);
  auto bounds = Outputs::whole(problem, what);
  kernels::for_each_item(problem.key_heads, threads, {}, [&](Index key_head, int /*worker*/) {
    const OneKeyHead one(problem, key_head);
    const auto of_one = one.of(inputs);
    kernels::direct_attention(one.problem(), of_one, one.of_queries(exact.out()),
                              one.of_queries(exact.lse()), one.of(exact.statistics()));
    kernels::attention_bounds(one.problem(), of_one, roundings, one.of_queries(bounds.out()),
                              one.of_queries(bounds.lse()), one.of(bounds.statistics()));
    if (!has_gradients(what)) return;
    const auto given =
        one.of_queries(dense_view(dout.data(), n_q, problem.query_heads, problem.output_dim()));
    kernels::direct_gradients(one.problem(), of_one, given, one.of(exact.gradients()));
    kernels::gradient_bounds(one.problem(), of_one, given, roundings, one.of(bounds.gradients()));
  });
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
  comm::on_root(communicator,
                [&] { deviations = compare<T>(plan, kernel, threads, got, what, seed); });
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
