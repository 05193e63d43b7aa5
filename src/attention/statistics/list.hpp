#pragma once
// The statistics, in the order in which users see them: a file and its name here each. Compiled
// where they are looked up (registry.cpp), and where a GPU evaluates them.

#include "attention/statistics/effective_keys.hpp"
#include "attention/statistics/entropy.hpp"
#include "attention/statistics/max_logit.hpp"
#include "attention/statistics/max_probability.hpp"
#include "attention/statistics/participation.hpp"
#include "attention/statistics/self_probability.hpp"

namespace annulus::statistics {

template <class... S>
struct List {};

// clang-format off
using All = List<
    Entropy,
    EffectiveKeys,
    Participation,
    MaxProbability,
    MaxLogit,
    SelfProbability
>;
// clang-format on

}  // namespace annulus::statistics
