#include "cli/options.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/device/device.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/kernels/cores.hpp"
#include "annulus/kernels/cuda.hpp"
#include "annulus/kernels/cuda_gpus.hpp"
#include "annulus/measure/machine_file.hpp"
#include "annulus/plan/machine.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "annulus/run/chrome_trace.hpp"
#include "annulus/run/device_choice.hpp"
#include "annulus/run/process.hpp"
#include "base/text_file.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"
#include "comm/broadcast.hpp"

namespace annulus::cli {
namespace {

std::string backend_help() {
  std::string text = "auto (the fastest)";
  for (const auto* known : kernels::backends()) {
    text += fmt::format(", {} ({})", known->name, known->description);
  }
  return text;
}

std::string machine_names() {
  std::vector<std::string_view> names;
  for (const auto& machine : known_machines()) names.emplace_back(machine.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

/// What a file says; throws InputError naming --machine.
std::string text_of_machine(const std::string& path) {
  auto text = text_of_file(path);
  if (text) return *std::move(text);
  throw InputError(fmt::format(
      "--machine: '{}' is no file that can be read; expected one that bench machine has "
      "written, or {}",
      path, machine_names()));
}

/// By name, or from the text of a file that `read` gets.
template <class Read>
Machine machine_of(const std::string& name, const Read& read) {
  const auto& known = known_machines();
  const bool is_known = std::ranges::find(known, name, &Machine::name) != known.end();
  return is_known ? find_machine(name) : measure::parse_machine(read(), name);
}

}  // namespace

void AttentionOptions::add_to(CLI::App& command) {
  add_value(command, "--mask", mask, Mask::parse, "full, causal, window:LEFT or window:LEFT,RIGHT")
      ->default_str(mask.name());
  add_logit_scale_to(command);
}

void AttentionOptions::add_logit_scale_to(CLI::App& command) {
  add_value(command, "--logit-scale", logit_scale, LogitScale::parse,
            fmt::format("NAME[:key=value,...]; names: {}", fmt::join(LogitScale::names(), ", ")))
      ->default_str("none");
}

void AttentionOptions::apply(Problem& problem) const {
  problem.mask = mask;
  problem.logit_scale = logit_scale;
}

void ShapeOptions::add_to(CLI::App& command) {
  add_number(command, "-n,--length", length, lengths, "keys in each sequence")
      ->default_str(fmt::format("{}", length));
  add_dimensions_to(command);
  add_shape_to(command);
  attention.add_to(command);
}

void ShapeOptions::add_dimensions_to(CLI::App& command) {
  add_number(command, "--head-dim", head_dim, dimensions, "dimension of queries and keys")
      ->default_str(fmt::format("{}", head_dim));
  auto* option = add_number(command, "--key-heads", key_heads, dimensions,
                            "key heads; default: as many as query heads");
  if (key_heads) option->default_str(fmt::format("{}", *key_heads));
}

void ShapeOptions::add_unswept_to(CLI::App& command) {
  add_shape_to(command);
  attention.add_logit_scale_to(command);
}

void ShapeOptions::add_shape_to(CLI::App& command) {
  add_number(command, "--queries", queries, lengths,
             "queries in each sequence; default: as many as keys");
  add_number(command, "--batch", batch, WholeRange<Index>{1, Documents::most}, "sequences")
      ->default_str(fmt::format("{}", batch));
  add_list(
      command, "--documents", documents, number_in(lengths),
      fmt::format("lengths of packed documents, in place of --length, --queries and --batch, a "
                  "list ({})",
                  lengths.limits()))
      ->type_name("NUMBER");
  add_number(command, "--heads", heads, dimensions, "query heads")
      ->default_str(fmt::format("{}", heads));
  add_number(command, "--value-dim", value_dim, dimensions,
             "dimension of values; default: --head-dim");
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
  const Index per_sequence = std::max<Index>(std::max(length, queries.value_or(length)), 1);
  if (documents.empty() && batch > lengths.most / per_sequence) {
    throw InputError(fmt::format("--batch: {} sequences of {} tokens; expected at most {} in all",
                                 batch, per_sequence, lengths.most));
  }
  Problem problem{.query_heads = heads,
                  .key_heads = key_heads.value_or(heads),
                  .head_dim = head_dim,
                  .value_dim = value_dim.value_or(head_dim)};
  if (problem.query_heads % problem.key_heads != 0) {
    throw InputError(
        fmt::format("--heads: {} is not a multiple of --key-heads {}", heads, problem.key_heads));
  }
  if (documents.empty()) {
    problem.documents = Documents::batch(batch, queries.value_or(length), length);
  } else {
    std::vector<Index> offsets{0};
    for (const Index document : documents) {
      offsets.push_back(offsets.back() + document);
      if (offsets.back() > lengths.most) {
        throw InputError(
            fmt::format("--documents: more than {} tokens in all; expected fewer", lengths.most));
      }
    }
    problem.documents = Documents::packed(std::move(offsets));
  }
  read_option("--heads, --head-dim, --value-dim", [&] { validate(problem); });
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
  add_value(command, "--sharding", sharding, or_auto(parse_sharding),
            "auto, contiguous, zigzag, striped or balanced")
      ->default_str("auto");
  add_key_sharding_to(command);
  add_value(command, "--schedule", schedule, or_auto(parse_schedule), "auto, " + schedules_text())
      ->default_str("auto");
  add_machine_to(command);
  add_precision_to(command);
}

void ExecutionOptions::add_key_sharding_to(CLI::App& command) {
  add_value(command, "--key-sharding", key_sharding, or_auto(parse_sharding),
            "of keys and values, like --sharding (default: as the queries)");
}

void ExecutionOptions::add_machine_to(CLI::App& command) {
  add_value(
      command, "--machine", machine, read_path,
      fmt::format("what auto is the quickest on: {}, or a file that bench machine has written "
                  "(default: {}, on GPUs {})",
                  machine_names(), default_machine(PeerMemory::shared).name,
                  default_machine(PeerMemory::separate).name));
}

void ExecutionOptions::add_precision_to(CLI::App& command) {
  add_value(command, "--precision", precision, parse_data_type, "fp32, fp64, bf16 or fp16")
      ->default_str(std::string(name_of(precision)));
}

void ExecutionOptions::add_compute_to(CLI::App& command) {
  add_value(command, "--device", device, or_auto(parse_device_kind),
            "auto (cuda where every rank sees a GPU that honours all else, else cpu), cpu or cuda")
      ->default_str("auto");
  command.add_option("--backend", backend, backend_help())->capture_default_str();
  add_number(command, "--threads", threads, WholeRange<int>{1, 4096},
             "threads of each rank; default: the cores of its node shared by its ranks");
}

PlanOptions ExecutionOptions::plan_options() const {
  return {.sharding = sharding,
          .key_sharding = key_sharding,
          .schedule = schedule,
          .peer_memory = kernels::peer_memory_of(kernel(precision).device()),
          .merges_states = kernel(precision).merges_states(),
          .data_type = precision};
}

PlanOptions ExecutionOptions::plan_options(Pass pass, int threads_of_rank) const {
  auto options = plan_options();
  if (machine.empty()) return options;
  options.pass = pass;
  options.threads = threads_of_rank;
  options.machine = std::make_shared<const Machine>(
      machine_of(machine, [&] { return text_of_machine(machine); }));
  return options;
}

PlanOptions ExecutionOptions::plan_options(Pass pass, const CoreShare& cores,
                                           comm::Communicator& communicator) const {
  auto options = plan_options();
  if (machine.empty()) return options;
  std::array<Index, 2> least{cores.threads, cores.cores_of_node};
  communicator.all_reduce(least, comm::Reduction::minimum);
  // Hosts may have different files of one name.
  auto chosen = machine_of(machine, [&] {
    std::string text;
    comm::on_root(communicator, [&] { text = text_of_machine(machine); });
    comm::broadcast(communicator, text);
    return text;
  });
  if (chosen.cores == 0) chosen.cores = static_cast<int>(least[1]);
  options.pass = pass;
  options.threads = static_cast<int>(least[0]);
  options.machine = std::make_shared<const Machine>(std::move(chosen));
  return options;
}

ExecutionOptions ExecutionOptions::on_device(const Context& context, const Trial& trial) const {
  if (device || backend != "auto") return *this;
  // An unknown word is refused, not a reason for another device.
  static_cast<void>(kernels::cuda_instructions());
  auto& communicator = context.communicator;
  const auto gpus = run::gpus_in_sight(
      communicator, run::gpu_in_sight(place_on_node(communicator.topology(), communicator.rank())));
  auto chosen = *this;
  const auto choice = run::choose_device(gpus, [&](DeviceKind kind) {
    chosen.device = kind;
    trial(chosen);
  });
  chosen.device = choice.device;
  if (context.speaks() && !choice.reason.empty()) {
    run::say(fmt::format("--device auto: {}: {}", name_of(choice.device), choice.reason));
  }
  return chosen;
}

void ExecutionOptions::try_problem(const Problem& problem, const Topology& topology) const {
  check_plan(make_plan(problem, topology, plan_options()), kernel(precision));
}

const kernels::Kernel& ExecutionOptions::kernel(DataType type) const {
  const auto check_gpu = [](std::string_view asked_for) {
    const auto problem = gpu_problem();
    if (!problem.empty()) {
      throw InputError(fmt::format("{}: there is no GPU to compute on: {}; expected auto or cpu",
                                   asked_for, problem));
    }
    // Ranks may have any of them.
    for (const auto& gpu : visible_gpus()) {
      const auto of_gpu = kernels::cuda_problem(gpu);
      if (of_gpu.empty()) continue;
      throw InputError(fmt::format("{}: {}: {}; CUDA_VISIBLE_DEVICES can leave it out", asked_for,
                                   gpu.name, of_gpu));
    }
  };
  // Where no backend of the build computes there, that is the reason; else what is asked for is
  // looked at first, with or without a GPU.
  if (device == DeviceKind::cuda && kernels::backend_names(device).empty()) {
    check_gpu("--device cuda");
  }
  const auto& kernel = read_option("--backend", [&]() -> const kernels::Kernel& {
    return kernels::find_backend(backend, type, device);
  });
  if (kernel.device() == DeviceKind::cuda) {
    check_gpu(device ? "--device cuda" : fmt::format("--backend {}", backend));
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

CoreShare ExecutionOptions::cores(const Context& context) const {
  comm::together(context.communicator, [&] {
    if (threads && *threads > kernels::thread_limit()) {
      throw InputError(fmt::format("--threads: {}; OMP_THREAD_LIMIT allows {}", *threads,
                                   kernels::thread_limit()));
    }
  });
  auto share = core_share(context.communicator);
  if (threads) {
    share.threads = *threads;  // so idle cores are what was asked for
  } else if (context.launched && context.speaks() && !share.remedy.empty()) {
    run::say(share.remedy);
  }
  return share;
}

void refuse_without(Pass pass, const kernels::Kernel& kernel) {
  if (pass == Pass::forward || kernel.has_backward()) return;
  throw InputError(
      fmt::format("--backward: backend {} has no backward pass; expected another", kernel.name()));
}

void TraceOption::add_to(CLI::App& command) {
  add_value(command, "--trace", path, read_path,
            "file to write what every rank did when to, as Chrome trace events (Perfetto)");
}

void TraceOption::check() const {
  if (!path.empty()) run::check_trace_path(path);
}

void TraceOption::write(const std::vector<PassTrace>& traces,
                        comm::Communicator& communicator) const {
  if (!path.empty()) run::write_chrome_trace(path, traces, communicator);
}

CLI::Option* add_warm_up(CLI::App& command, int& runs) {
  return add_number(command, "--warmup", runs, repetition_counts,
                    "passes before those that are timed")
      ->default_str(fmt::format("{}", runs));
}

CLI::Option* add_seed(CLI::App& command, std::uint64_t& seed) {
  return add_number(command, "--seed", seed, WholeRange<std::uint64_t>{}, "of the random inputs")
      ->default_str(fmt::format("{}", seed));
}

}  // namespace annulus::cli
