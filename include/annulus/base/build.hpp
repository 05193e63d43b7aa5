#pragma once
// What this build is and has.

#include <string_view>

namespace annulus {

/// Version of the project: major.minor.patch.
[[nodiscard]] std::string_view version();

/// Commit that was built, with "+changes" behind it where the tree had uncommitted changes;
/// "unknown" outside a git checkout.
[[nodiscard]] std::string_view git_commit();

/// Whether the build was configured with the dependency.
struct BuildFeatures {
  bool mpi;
  bool hdf5;
  bool parallel_hdf5;
  bool cuda;
  bool nccl;
  bool cudnn;
  bool openmp;
};
[[nodiscard]] BuildFeatures build_features();

}  // namespace annulus
