// Studies, as `annulus study` runs them.
#include <functional>
#include <optional>
#include <string>

#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/results/same_file.hpp"
#include "annulus/ring/memory_check.hpp"
#include "annulus/ring/thread_share.hpp"
#include "annulus/run/provenance.hpp"
#include "annulus/studies/study.hpp"
#include "python/bindings.hpp"

namespace annulus::python {
namespace {

using namespace nb::literals;
using Progress = std::function<void(Index done, Index total)>;

void run_study(const std::string& path, const std::string& output, comm::Communicator& communicator,
               bool resume, bool overwrite, const std::optional<Progress>& progress) {
  if (resume && overwrite) {
    throw InputError("resume and overwrite contradict each other; expected one of them");
  }
  run::check_not_the_input(path, output);
  const nb::gil_scoped_release unlocked;
  studies::StudyConfig config;
  results::check_same_file(communicator, path);
  comm::together(communicator, [&] { config = studies::read_config(path); });
  const auto& kernel = kernels::find_backend("auto", config.precision);
  const int threads = core_share(communicator).threads;
  check_memory(studies::least_memory(config, communicator.size()), communicator);
  const auto provenance = run::provenance_of({"annulus.study", studies::canonical(config)},
                                             communicator, communicator, kernel, threads);
  const auto existing = resume      ? results::Existing::resume
                        : overwrite ? results::Existing::overwrite
                                    : results::Existing::refuse;
  std::optional<results::StudyFile> file;
  comm::on_root(communicator,
                [&] { file.emplace(output, studies::layout_of(config), provenance, existing); });
  studies::run_study(config, {communicator, kernel, threads}, file ? &*file : nullptr,
                     [&](Index done, Index total) {
                       const nb::gil_scoped_acquire gil;
                       if (PyErr_CheckSignals() != 0) throw nb::python_error();
                       if (progress) (*progress)(done, total);
                     });
}

}  // namespace

void bind_study(nb::module_& module) {
  module.def("run_study", &run_study, "config"_a, "output"_a, "communicator"_a, "resume"_a,
             "overwrite"_a, "progress"_a);
}

}  // namespace annulus::python
