#include "cli/options.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "annulus/device/device.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "annulus/ring/thread_share.hpp"

namespace annulus::cli {
namespace {

std::string backend_help() {
  std::string text = "auto (the fastest)";
  for (const auto* known : kernels::backends()) {
    text += fmt::format(", {} ({})", known->name, known->description);
  }
  return text;
}

}  // namespace

void AttentionOptions::add_to(CLI::App& command) {
  command.add_option("--mask", mask, "full, causal, window:LEFT or window:LEFT,RIGHT")
      ->capture_default_str();
  add_logit_scale_to(command);
}

void AttentionOptions::add_logit_scale_to(CLI::App& command) {
  command
      .add_option(
          "--logit-scale", logit_scale,
          fmt::format("NAME[:key=value,...]; names: {}", fmt::join(LogitScale::names(), ", ")))
      ->capture_default_str();
}

void AttentionOptions::apply(Problem& problem) const {
  problem.mask = read_option("--mask", [&] { return Mask::parse(mask); });
  problem.logit_scale =
      read_option("--logit-scale", [&] { return LogitScale::parse(logit_scale); });
}

void ShapeOptions::add_to(CLI::App& command) {
  command.add_option("-n,--length", length, "keys in each sequence")->capture_default_str();
  command.add_option("--head-dim", head_dim, "dimension of queries and keys")
      ->capture_default_str();
  command.add_option("--key-heads", key_heads, "key heads (default: as many as query heads)");
  add_shape_to(command);
  attention.add_to(command);
}

void ShapeOptions::add_unswept_to(CLI::App& command) {
  add_shape_to(command);
  attention.add_logit_scale_to(command);
}

void ShapeOptions::add_shape_to(CLI::App& command) {
  command.add_option("--queries", queries, "queries in each sequence (default: as many as keys)");
  command.add_option("--batch", batch, "sequences")->capture_default_str();
  command
      .add_option("--documents", documents,
                  "lengths of packed documents, in place of --length, --queries and --batch")
      ->delimiter(',');
  command.add_option("--heads", heads, "query heads")->capture_default_str();
  command.add_option("--value-dim", value_dim, "dimension of values (default: --head-dim)");
}

void check_decode(const Problem& problem, std::string_view what) {
  if (!problem.documents.self_attention()) {
    throw InputError(
        fmt::format("{}: every token is a query and a key; expected no --queries", what));
  }
  if (problem.mask.right() > 0) {
    throw InputError(fmt::format(
        "{}: --mask {} looks ahead to tokens that are not there yet; expected causal or "
        "window:LEFT",
        what, problem.mask.name()));
  }
}

Problem ShapeOptions::problem() const {
  const auto at_least = [](const char* name, Index value, Index least) {
    if (value < least) {
      throw InputError(
          fmt::format("{}: {} is too small; expected at least {}", name, value, least));
    }
  };
  const auto at_most = [](const char* name, Index value) {
    constexpr Index most = Index{1} << 31;
    if (value > most) {
      throw InputError(fmt::format("{}: {} is too large; expected at most {}", name, value, most));
    }
  };
  at_most("--length", length);
  at_most("--queries", queries);
  at_most("--batch", batch);
  at_most("--batch", batch * std::max<Index>(std::max(length, queries), 1));
  for (const Index document : documents) at_most("--documents", document);
  at_least("--length", length, 0);
  at_least("--queries", queries, 0);
  at_least("--batch", batch, 1);
  at_least("--heads", heads, 1);
  at_least("--key-heads", key_heads, 0);
  at_least("--head-dim", head_dim, 1);
  at_least("--value-dim", value_dim, 0);
  Problem problem{.query_heads = heads,
                  .key_heads = key_heads == 0 ? heads : key_heads,
                  .head_dim = head_dim,
                  .value_dim = value_dim == 0 ? head_dim : value_dim};
  if (problem.query_heads % problem.key_heads != 0) {
    throw InputError(
        fmt::format("--heads: {} is not a multiple of --key-heads {}", heads, problem.key_heads));
  }
  if (documents.empty()) {
    problem.documents = Documents::batch(batch, queries == 0 ? length : queries, length);
  } else {
    std::vector<Index> offsets{0};
    for (const Index document : documents) {
      at_least("--documents", document, 0);
      offsets.push_back(offsets.back() + document);
    }
    problem.documents = Documents::packed(std::move(offsets));
  }
  validate(problem);
  attention.apply(problem);
  if (problem.logit_scale.is_table()) {
    throw InputError(
        "--logit-scale: table reads /logit_scale of an input file; only attend has one");
  }
  return problem;
}

void ExecutionOptions::add_to(CLI::App& command) {
  add_plan_to(command);
  add_compute_to(command);
}

void ExecutionOptions::add_plan_to(CLI::App& command) {
  command.add_option("--sharding", sharding, "auto, contiguous, zigzag, striped or balanced")
      ->capture_default_str();
  command.add_option("--key-sharding", key_sharding,
                     "of keys and values, like --sharding (default: as the queries)");
  command
      .add_option("--schedule", schedule,
                  "auto, ring or node-ring (ranks of a node read keys in place)")
      ->capture_default_str();
  command.add_option("--precision", precision, "fp32, fp64, bf16 or fp16")->capture_default_str();
}

void ExecutionOptions::add_compute_to(CLI::App& command) {
  command.add_option("--device", device, "auto (the cpu), cpu or cuda")->capture_default_str();
  command.add_option("--backend", backend, backend_help())->capture_default_str();
  command.add_option("--threads", threads,
                     "threads of each rank (default: the cores of its node shared by its ranks)");
}

DataType ExecutionOptions::data_type() const {
  return read_option("--precision", [&] { return parse_data_type(precision); });
}

PlanOptions ExecutionOptions::plan_options() const {
  PlanOptions options{.data_type = data_type()};
  if (schedule != "auto") {
    options.schedule = read_option("--schedule", [&] { return parse_schedule(schedule); });
  }
  if (sharding != "auto") {
    options.sharding = read_option("--sharding", [&] { return parse_sharding(sharding); });
  }
  if (!key_sharding.empty() && key_sharding != "auto") {
    options.key_sharding =
        read_option("--key-sharding", [&] { return parse_sharding(key_sharding); });
  }
  options.peer_memory = kernels::peer_memory_of(kernel(options.data_type).device());
  return options;
}

const kernels::Kernel& ExecutionOptions::kernel(DataType type) const {
  std::optional<DeviceKind> kind;
  if (device == "cpu") kind = DeviceKind::cpu;
  if (device == "cuda") kind = DeviceKind::cuda;
  if (device != "auto" && !kind) {
    throw InputError(
        fmt::format("--device: unknown device '{}'; expected auto, cpu or cuda", device));
  }
  const auto check_gpu = [](const char* option, std::string_view value) {
    const auto problem = gpu_problem();
    if (problem.empty()) return;
    throw InputError(fmt::format("{} {}: there is no GPU to compute on: {}; expected auto or cpu",
                                 option, value, problem));
  };
  // Where no backend of the build computes there, that is the reason; else what is asked for is
  // looked at first, with or without a GPU.
  if (kind == DeviceKind::cuda && kernels::backend_names(kind).empty()) {
    check_gpu("--device", device);
  }
  const auto& kernel = read_option("--backend", [&]() -> const kernels::Kernel& {
    return kernels::find_backend(backend, type, kind);
  });
  if (kernel.device() == DeviceKind::cuda) {
    if (kind) check_gpu("--device", device);
    check_gpu("--backend", backend);
  }
  return kernel;
}

const kernels::Kernel& ExecutionOptions::kernel(DataType type,
                                                const comm::Communicator& communicator) const {
  const auto& chosen = kernel(type);
  if (communicator.joins_devices() && chosen.device() != DeviceKind::cuda) {
    throw InputError(fmt::format(
        "--transport: {} joins GPUs, and backend {} computes on {}; expected --device cuda too",
        communicator.name(), chosen.name(), name_of(chosen.device())));
  }
  return chosen;
}

int ExecutionOptions::threads_per_rank(const Topology& topology, int rank) const {
  if (threads < 0 || threads > 4096) {
    throw InputError(fmt::format("--threads: {} is out of range; expected 1 to 4096", threads));
  }
  if (threads > 0) return threads;
  return thread_share(topology, rank);
}

}  // namespace annulus::cli
