#pragma once
// The record of runs that took up an interrupted study.

#include <hdf5.h>

#include "annulus/base/index.hpp"
#include "annulus/results/provenance.hpp"

namespace annulus::results {

/// How many there are. The caller holds the Lock.
[[nodiscard]] Index resumptions_of(hid_t root);

/// Appends to the root attribute `resumptions`, a list of texts, one JSON object: the attributes
/// that describe this run, with started_at, and finished_points, how many points it found. The
/// other root attributes stay those of the first run. The caller holds the Lock.
void add_resumption(hid_t root, const Provenance& provenance, Index finished_points);

}  // namespace annulus::results
