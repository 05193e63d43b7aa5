#include "python/engine_options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "annulus/base/read_option.hpp"
#include "annulus/ring/thread_share.hpp"

namespace annulus::python {
namespace {

/// A few offsets as they are; of many, enough to tell them apart.
std::string text_of(std::span<const Index> offsets) {
  if (offsets.size() <= 8) return fmt::format("[{}]", fmt::join(offsets, ", "));
  std::size_t hash = 0;
  for (const Index offset : offsets) hash = 31 * hash + static_cast<std::size_t>(offset);
  return fmt::format("{} of {} tokens in all ({:x})", offsets.size() - 1, offsets.back(), hash);
}

}  // namespace

Facts facts_of(const Problem& problem) {
  const auto count = [](Index number) { return fmt::format("{}", number); };
  return {{"query_heads", count(problem.query_heads)},
          {"key_heads", count(problem.key_heads)},
          {"head_dim", count(problem.head_dim)},
          {"value_dim", count(problem.output_dim())},
          {"documents", text_of(problem.documents.query_offsets())},
          {"key_documents", text_of(problem.documents.key_offsets())},
          {"mask", problem.mask.name()},
          {"logit_scale", problem.logit_scale.name()}};
}

Facts facts_of(const Plan& plan) {
  auto facts = facts_of(plan.problem());
  facts.insert(facts.end(), {{"ranks", fmt::format("{}", plan.ranks())},
                             {"sharding", std::string(name_of(plan.sharding()))},
                             {"key_sharding", std::string(name_of(plan.key_sharding()))},
                             {"schedule", name_of(plan.schedule())},
                             {"precision", std::string(name_of(plan.data_type()))}});
  return facts;
}

const kernels::Kernel& backend_of(const comm::Communicator& communicator, const std::string& name,
                                  DataType type, std::optional<DeviceKind> device) {
  const auto& kernel = read_option("backend", [&]() -> const kernels::Kernel& {
    return kernels::find_backend(name, type, device);
  });
  if (communicator.joins_devices() && kernel.device() != DeviceKind::cuda) {
    throw InputError(fmt::format("comm: {} joins GPUs, and backend {} computes on {}; expected {}",
                                 communicator.name(), kernel.name(), name_of(kernel.device()),
                                 name_of(DeviceKind::cuda)));
  }
  return kernel;
}

int threads_of(int asked, const comm::Communicator& communicator) {
  if (asked < 0) throw InputError(fmt::format("threads is {}; expected 0 or more", asked));
  return asked > 0 ? asked : thread_share(communicator.topology(), communicator.rank());
}

}  // namespace annulus::python
