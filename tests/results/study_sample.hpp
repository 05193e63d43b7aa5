#pragma once
// A small study with every kind of variable, and numbers that say where they belong.

#include <string>
#include <vector>

#include "annulus/results/study_file.hpp"

namespace annulus::results {

inline StudyLayout sample_layout() {
  StudyLayout layout{
      .group = "depth",
      .axes = {{"n", {1021, 4093}, true, "sequence length", "1"},
               {"rho", {0.25, 0.5, 0.75}, false, "cosine of two tokens", "1"},
               {"gamma", {0.5, 1, 1.5, 2, 3}, false, "strength of the logit scale", "1"}},
      .inner_axes = {{"layer", {1, 2, 3, 4, 5, 6, 7}, true, "layer", "1"}},
      .measured = {{"entropy", "mean entropy of rows", "nat"},
                   {"output_cosine", "mean pairwise cosine of outputs", "1", "layer"}},
      .theory = {{"theory/entropy", "entropy in the limit", "nat", "", {}},
                 {"theory/output_cosine", "cosine in the limit", "1", "layer", {}}}};
  for (int i = 0; i < 30; ++i) layout.theory[0].values.push_back(-i);
  for (int i = 0; i < 210; ++i) layout.theory[1].values.push_back(-1000 - i);
  return layout;
}

inline Provenance sample_provenance(const std::string& config = "kind = \"depth\"\nseed = 1\n") {
  return {.command_line = "annulus study depth.toml --output r.h5",
          .config = config,
          .mpi_library = "Open MPI v4.1.4",
          .ranks = 3,
          .threads_per_rank = 2,
          .hosts = {"alpha", "alpha", "beta"},
          .device = "cpu",
          .backend = "reference"};
}

/// The measured values of a point: the entropy is its index, the cosines follow with the layer.
inline std::vector<double> sample_values(Index point) {
  std::vector<double> values{static_cast<double>(point)};
  for (int layer = 1; layer <= 7; ++layer) {
    values.push_back(static_cast<double>(point) + layer / 16.0);
  }
  return values;
}

}  // namespace annulus::results
