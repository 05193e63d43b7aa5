// What this build is and has.
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/build.hpp"
#include "annulus/kernels/backend.hpp"
#include "python/bindings.hpp"

namespace annulus::python {

void bind_build(nb::module_& module) {
  module.attr("version") = version();
  module.attr("git_commit") = git_commit();
  module.def("features", [] {
    const auto features = build_features();
    nb::typed<nb::dict, nb::str, bool> result;
    result["mpi"] = features.mpi;
    result["hdf5"] = features.hdf5;
    result["parallel_hdf5"] = features.parallel_hdf5;
    result["cuda"] = features.cuda;
    result["nccl"] = features.nccl;
    result["cudnn"] = features.cudnn;
    result["openmp"] = features.openmp;
    return result;
  });
  module.def("backends", [] { return kernels::backend_names(); });
  module.def("statistics", [] {
    std::vector<std::string_view> names;
    for (const auto& statistic : row_statistics()) names.emplace_back(statistic.name);
    return names;
  });
}

}  // namespace annulus::python
