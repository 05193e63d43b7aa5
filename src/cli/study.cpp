// annulus study: a grid of experiments, of which each point is on disk before the next begins.
#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/results/same_file.hpp"
#include "annulus/ring/memory_check.hpp"
#include "annulus/run/provenance.hpp"
#include "annulus/studies/config.hpp"
#include "annulus/studies/study.hpp"
#include "base/choices.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"
#include "cli/options.hpp"
#include "cli/progress.hpp"
#include "cli/study_table.hpp"

namespace annulus::cli {
namespace {

/// The keys of the kind `name`; throws InputError where there is none.
std::string study_keys_text(const std::string& name) {
  const auto kinds = studies::study_kinds();
  const auto kind = std::ranges::find(kinds, name, &studies::StudyKindDescription::name);
  if (kind == kinds.end()) {
    std::vector<std::string_view> names;
    for (const auto& known : kinds) names.push_back(known.name);
    throw InputError(
        fmt::format("--help: unknown kind of study '{}'; expected {}", name, choices(names)));
  }
  Table table({"key", "type", "allowed", "default", "what"});
  for (const auto& key : kind->keys) {
    const auto where = key.belongs_to.empty() ? "" : fmt::format(" ({} only)", key.belongs_to);
    table.add({cell(key.name), cell(key.type), cell(key.allowed),
               cell(key.default_value.empty() ? "-" : key.default_value),
               cell(key.meaning + where)});
  }
  return fmt::format("kind = \"{}\": {}\n{}", kind->name, kind->description, table.text());
}

class Study final : public Command {
 public:
  void add_options(CLI::App& app) override {
    add_value(app, "config", config_, read_path, "TOML file that says what is measured where")
        ->required();
    add_value(app, "-o,--output", output_, read_path, "HDF5 file of results")->required();
    app.add_flag("--resume", resume_, "complete --output where it exists");
    app.add_flag("--overwrite", overwrite_, "begin again where --output exists");
    execution_.add_compute_to(app);
    progress_.add_to(app);
  }

  /// The keys of the kind of study that stands in place of the config, else the kinds.
  [[nodiscard]] std::string more_help() const override {
    if (!config_.empty()) return '\n' + study_keys_text(config_);
    std::string text = "\nKinds of study; --help KIND lists the keys of one:\n";
    for (const auto& kind : studies::study_kinds()) {
      text += fmt::format("  {:<8} {}\n", kind.name, kind.description);
    }
    return text;
  }

  void check() const override {
    if (resume_ && overwrite_) {
      throw InputError("--resume and --overwrite contradict each other; expected one of them");
    }
    run::check_not_the_input(config_, output_);
  }

  int run(const Context& context) const override {
    auto& communicator = context.communicator;
    studies::StudyConfig config;
    results::check_same_file(context.files, config_);
    comm::together(communicator, [&] { config = studies::read_config(config_); });
    const auto execution = execution_.on_device(context, [&](ExecutionOptions options) {
      options.precision = config.precision;
      options.try_problem({.head_dim = studies::largest_dimension(config)},
                          communicator.topology());
    });
    const auto& kernel = execution.kernel(config.precision, communicator);
    const int threads = execution.cores(context).threads;
    check_memory(studies::least_memory(config, communicator.size()), communicator);
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
