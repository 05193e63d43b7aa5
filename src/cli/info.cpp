// annulus info: what this build and this machine have.
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "annulus/base/build.hpp"
#include "annulus/base/error.hpp"
#include "annulus/comm/libraries.hpp"
#include "annulus/comm/transport.hpp"
#include "annulus/device/device.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/kernels/cpu.hpp"
#include "annulus/kernels/cuda.hpp"
#include "annulus/kernels/cuda_gpus.hpp"
#include "annulus/kernels/cudnn.hpp"
#include "annulus/results/hdf5_version.hpp"
#include "annulus/run/device_choice.hpp"
#include "cli/command.hpp"
#include "cli/table.hpp"

#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi.hpp"
#include "annulus/comm/mpi_alone.hpp"
#endif

namespace annulus::cli {
namespace {

Json mpi_json() {
#if ANNULUS_HAVE_MPI
  const auto level = comm::thread_level_alone();
  return Json{{"library", comm::mpi_library()},
              {"thread_level", level.empty() ? Json() : Json(level)},
              {"cuda_aware", comm::cuda_aware()},
              {"device_path", comm::name_of(comm::wished_device_path())}};
#else
  return {};
#endif
}

/// What a run finds of a device before it computes.
void refuse_as_a_run_does(DeviceKind device) {
  if (device != DeviceKind::cuda) return;
  for (const auto& gpu : visible_gpus()) {
    const auto problem = kernels::cuda_problem(gpu);
    if (!problem.empty()) throw InputError(problem);
  }
}

class Info final : public Command {
 public:
  void add_options(CLI::App&) override {}
  [[nodiscard]] bool has_ranks() const override { return false; }

  int run(const Context& context) const override {
    const auto features = build_features();
    Json json{{"version", version()}, {"git_commit", git_commit()}};
    json["mpi"] = mpi_json();
    json["hdf5"] = features.hdf5 ? Json{{"version", results::hdf5_version()},
                                        {"parallel", features.parallel_hdf5}}
                                 : Json();
    json["cuda"] = features.cuda ? Json{{"runtime", cuda_runtime_version()},
                                        {"kernels", kernels::cuda_instructions()},
                                        {"architectures", kernels::cuda_architectures()}}
                                 : Json();
    json["nccl"] = features.nccl
                       ? Json{{"version", comm::nccl_version()}, {"problem", comm::nccl_problem()}}
                       : Json();
    json["cudnn"] = features.cudnn ? Json{{"version", kernels::cudnn_version()},
                                          {"problem", kernels::cudnn_problem()}}
                                   : Json();
    json["openmp"] = features.openmp;
    json["simd_target"] = kernels::simd_target();
    json["bf16_dot_product"] = kernels::multiplies_bf16();
    json["bf16_tile_registers"] = kernels::multiplies_bf16_tiles();
    json["bf16_products"] = kernels::bf16_products();
    json["cores"] = std::thread::hardware_concurrency();
    json["gpus"] = Json::array();
    for (const auto& gpu : visible_gpus()) {
      json["gpus"].push_back(
          {{"name", gpu.name},
           {"memory_bytes", gpu.memory_bytes},
           {"compute_capability", fmt::format("{}.{}", gpu.compute_major, gpu.compute_minor)},
           {"problem", kernels::cuda_problem(gpu)}});
    }
    json["gpu_trials"] = Json::array();
    for (const auto& trial : kernels::gpu_trials()) {
      json["gpu_trials"].push_back({{"part", trial.part},
                                    {"gpu", trial.gpu},
                                    {"date", trial.date},
                                    {"outcome", trial.outcome}});
    }
    json["gpu_problem"] = gpu_problem();
    json["auto_device"] =
        name_of(run::choose_device(run::gpus_in_sight(context.communicator, run::gpu_in_sight(0)),
                                   refuse_as_a_run_does)
                    .device);
    json["backends"] = kernels::backend_names();
    json["transports"] = Json::array();
    for (const auto* transport : comm::transports()) {
      if (transport->missing.empty()) json["transports"].push_back(transport->name);
    }
    if (context.json) {
      fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
    } else {
      print(json);
    }
    return 0;
  }

 private:
  /// What of the code for GPUs has run on one, and what never has.
  template <class Line>
  static void print_trials(const Json& trials, const Line& line) {
    std::vector<std::string> never;
    for (const auto& trial : trials) {
      const auto part = trial["part"].get<std::string>();
      const auto gpu = trial["gpu"].get<std::string>();
      if (gpu.empty()) {
        never.push_back(part);
        continue;
      }
      line("tried", fmt::format("{}: {}, {}: {}", part, gpu, trial["date"].get<std::string>(),
                                trial["outcome"].get<std::string>()));
    }
    line("not tried", fmt::format("on any GPU: {}", fmt::join(never, "; ")));
  }

  static void print(const Json& json) {
    const auto line = [](const char* name, const std::string& value) {
      fmt::print("{:<12} {}\n", name, value);
    };
    const auto list = [](const Json& values) {
      return fmt::format("{}", fmt::join(values.get<std::vector<std::string>>(), ", "));
    };
    const auto text = [](const Json& value) { return value.get<std::string>(); };
    const std::string absent = "not in this build";
    line("annulus", fmt::format("{} ({})", text(json["version"]), text(json["git_commit"])));
    if (json["mpi"].is_null()) {
      line("mpi", absent);
    } else {
      const auto& mpi = json["mpi"];
      line("mpi",
           fmt::format("{}, {}, {}, GPUs {}", text(mpi["library"]),
                       mpi["thread_level"].is_null() ? "does not start in a process alone"
                                                     : "thread level " + text(mpi["thread_level"]),
                       mpi["cuda_aware"].get<bool>() ? "CUDA-aware" : "not CUDA-aware",
                       text(mpi["device_path"])));
    }
    line("hdf5",
         json["hdf5"].is_null()
             ? absent
             : fmt::format("{}, {}", text(json["hdf5"]["version"]),
                           json["hdf5"]["parallel"].get<bool>() ? "parallel" : "not parallel"));
    line("cuda", json["cuda"].is_null()
                     ? absent
                     : fmt::format("runtime {}, kernels {}", text(json["cuda"]["runtime"]),
                                   text(json["cuda"]["kernels"])));
    for (const auto* library : {"nccl", "cudnn"}) {
      const auto& loaded = json[library];
      if (loaded.is_null()) {
        line(library, absent);
        continue;
      }
      const auto problem = text(loaded["problem"]);
      line(library, problem.empty() ? text(loaded["version"]) : problem);
    }
    line("openmp", json["openmp"].get<bool>() ? "yes" : absent);
    line("simd", text(json["simd_target"]));
    line("bf16", text(json["bf16_products"]));
    line("cores", fmt::format("{}", json["cores"].get<int>()));
    if (json["gpus"].empty()) line("gpus", "none: " + text(json["gpu_problem"]));
    for (const auto& gpu : json["gpus"]) {
      const auto problem = text(gpu["problem"]);
      line("gpu", fmt::format("{}, compute capability {}, {}{}", text(gpu["name"]),
                              text(gpu["compute_capability"]),
                              bytes_text(gpu["memory_bytes"].get<double>()),
                              problem.empty() ? "" : "; not used: " + problem));
    }
    if (!json["cuda"].is_null()) print_trials(json["gpu_trials"], line);
    line("device", text(json["auto_device"]) + " where none is asked for");
    line("backends", list(json["backends"]));
    line("transports", list(json["transports"]));
  }
};

}  // namespace

std::unique_ptr<Command> make_info() {
  return std::make_unique<Info>();
}

}  // namespace annulus::cli
