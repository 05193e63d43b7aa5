#pragma once
// What a C plan is.

#include "c/arguments.hpp"

struct annulus_plan {
  annulus::Plan plan;
  annulus::c::Options options;
};
