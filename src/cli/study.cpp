// annulus study: a grid of experiments, of which each point is on disk before the next begins.
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/results/same_file.hpp"
#include "annulus/run/provenance.hpp"
#include "annulus/studies/config.hpp"
#include "annulus/studies/study.hpp"
#include "cli/command.hpp"
#include "cli/options.hpp"
#include "cli/progress.hpp"
#include "cli/study_table.hpp"

namespace annulus::cli {
namespace {

class Study final : public Command {
 public:
  void add_options(CLI::App& app) override {
    app.add_option("config", config_, "TOML file that says what is measured where")->required();
    app.add_option("-o,--output", output_, "HDF5 file of results")->required();
    app.add_flag("--resume", resume_, "complete --output where it exists");
    app.add_flag("--overwrite", overwrite_, "begin again where --output exists");
    execution_.add_compute_to(app);
    progress_.add_to(app);
  }

  void check() const override {
    if (resume_ && overwrite_) {
      throw InputError("--resume and --overwrite contradict each other; expected one of them");
    }
    run::check_not_the_input(config_, output_);
    (void)progress_.shown();
  }

  int run(const Context& context) const override {
    auto& communicator = context.communicator;
    studies::StudyConfig config;
    results::check_same_file(context.files, config_);
    comm::together(communicator, [&] { config = studies::read_config(config_); });
    const auto& kernel = execution_.kernel(config.precision, communicator);
    const int threads = execution_.threads_per_rank(communicator.topology(), communicator.rank());
    const auto provenance =
        run::provenance_of({context.command_line, studies::canonical(config)}, context.communicator,
                           context.files, kernel, threads);
    const auto layout = studies::layout_of(config);
    std::optional<results::StudyFile> file;
    comm::on_root(communicator, [&] { file.emplace(output_, layout, provenance, existing()); });
    {
      Progress progress(context.speaks() && progress_.shown());
      studies::run_study(config, {communicator, kernel, threads}, file ? &*file : nullptr,
                         [&](Index done, Index total) { progress.update(done, total); });
    }
    if (context.speaks()) print(context.json, layout, *file);
    return 0;
  }

 private:
  [[nodiscard]] results::Existing existing() const {
    if (resume_) return results::Existing::resume;
    return overwrite_ ? results::Existing::overwrite : results::Existing::refuse;
  }

  void print(bool json, const results::StudyLayout& layout, const results::StudyFile& file) const {
    if (json) {
      const Json document{{"output", output_},
                          {"kind", layout.group},
                          {"points", points_table(layout, file).json()}};
      fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
      return;
    }
    fmt::print("{}\nwrote {}\n", study_text(layout, file), output_);
  }

  std::string config_;
  std::string output_;
  bool resume_ = false;
  bool overwrite_ = false;
  ExecutionOptions execution_;
  ProgressOption progress_;
};

}  // namespace

std::unique_ptr<Command> make_study() {
  return std::make_unique<Study>();
}

}  // namespace annulus::cli
