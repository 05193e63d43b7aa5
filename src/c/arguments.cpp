#include "c/arguments.hpp"

#include "annulus/kernels/backend.hpp"
#include "annulus/ring/thread_share.hpp"
#include "c/call.hpp"

#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi.hpp"
#endif

namespace annulus::c {
namespace {

/// Runs `read`; an InputError gets the name of the member in front.
template <class Read>
auto member(const char* name, Read read) {
  try {
    return read();
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", name, error.what()));
  }
}

std::vector<Index> offsets(const std::int64_t* values, Index documents) {
  return {values, values + documents + 1};
}

std::optional<Sharding> sharding_of(const char* name, const char* text) {
  if (text == nullptr) return std::nullopt;
  return member(name, [&] { return parse_sharding(text); });
}

}  // namespace

const kernels::Kernel& Options::kernel() const {
  return kernels::find_backend(backend, plan.data_type);
}

int Options::threads_of(const comm::Communicator& communicator) const {
  return threads > 0 ? threads : thread_share(communicator.topology(), communicator.rank());
}

Problem problem_of(const annulus_problem& problem) {
  if (problem.documents < 1) {
    throw InputError(fmt::format("documents is {}; expected at least 1", problem.documents));
  }
  (void)given(problem.query_offsets, "query_offsets");
  auto queries = offsets(problem.query_offsets, problem.documents);
  auto keys =
      problem.key_offsets == nullptr ? queries : offsets(problem.key_offsets, problem.documents);
  Problem result{.query_heads = problem.query_heads,
                 .key_heads = problem.key_heads == 0 ? problem.query_heads : problem.key_heads,
                 .head_dim = problem.head_dim,
                 .value_dim = problem.value_dim,
                 .documents = member("query_offsets, key_offsets", [&] {
                   return Documents::packed(std::move(queries), std::move(keys));
                 })};
  validate(result);
  if (problem.mask != nullptr) {
    result.mask = member("mask", [&] { return Mask::parse(problem.mask); });
  }
  if (problem.logit_scale != nullptr) {
    result.logit_scale =
        member("logit_scale", [&] { return LogitScale::parse(problem.logit_scale); });
  }
  return result;
}

Options options_of(const annulus_options* options) {
  const annulus_options all = options == nullptr ? annulus_options{} : *options;
  Options result{.plan = {.sharding = sharding_of("sharding", all.sharding),
                          .key_sharding = sharding_of("key_sharding", all.key_sharding)},
                 .backend = all.backend == nullptr ? "auto" : all.backend,
                 .threads = all.threads};
  if (all.precision != nullptr) {
    result.plan.data_type = member("precision", [&] { return parse_data_type(all.precision); });
  }
  if (all.threads < 0 || all.threads > 4096) {
    throw InputError(fmt::format("threads is {}; expected 0 to 4096", all.threads));
  }
  (void)member("backend", [&] { return &result.kernel(); });
  return result;
}

std::unique_ptr<comm::Communicator> fortran_communicator(int communicator) {
#if ANNULUS_HAVE_MPI
  return std::make_unique<comm::MpiCommunicator>(MPI_Comm_f2c(communicator));
#else
  throw InputError(fmt::format(
      "communicator {}: this build has no MPI; expected one rank by itself", communicator));
#endif
}

ConstTensorView input(const void* data, const char* name, DataType type, Index rows, Index heads,
                      Index dim) {
  if (rows > 0) (void)given(static_cast<const char*>(data), name);
  return {data, type, rows, heads, dim, heads * dim, dim};
}

TensorView output(void* data, const char* name, DataType type, Index rows, Index heads, Index dim) {
  if (rows > 0) (void)given(static_cast<char*>(data), name);
  return {data, type, rows, heads, dim, heads * dim, dim};
}

ForwardOptions forward_options(const annulus_inputs* inputs, const annulus_outputs* outputs,
                               const Problem& problem, DataType type, Index rows) {
  const Index heads = problem.query_heads;
  ForwardOptions options;
  if (inputs != nullptr) {
    options.gain = numbers(inputs->gain, heads);
    options.sink = numbers(inputs->sink, heads);
    options.logit_scale = numbers(inputs->logit_scale, rows * heads);
  }
  if (rows > 0 && problem.logit_scale.is_table() == options.logit_scale.empty()) {
    throw InputError("logit_scale: a table belongs to the policy 'table', and to no other");
  }
  if (outputs == nullptr) return options;
  const auto optional = [&](void* data) {
    return data == nullptr ? TensorView{} : output(data, "", type, rows, heads, 1);
  };
  options.lse = optional(outputs->lse);
  if (outputs->statistic_count < 0) {
    throw InputError(
        fmt::format("statistic_count is {}; expected at least 0", outputs->statistic_count));
  }
  if (outputs->statistic_count == 0) return options;
  options.statistics.views.resize(row_statistics().size());
  const auto* statistics = &given(outputs->statistics, "statistics");
  for (std::int64_t i = 0; i < outputs->statistic_count; ++i) {
    const auto name = fmt::format("statistics[{}]", i);
    auto& view = options.statistics.views[member(
        name.c_str(), [&] { return place_of_statistic(&given(statistics[i].name, "name")); })];
    if (view.present()) throw InputError(fmt::format("{}: {} twice", name, statistics[i].name));
    view = output(statistics[i].values, (name + ".values").c_str(), type, rows, heads, 1);
  }
  return options;
}

}  // namespace annulus::c
