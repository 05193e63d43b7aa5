#pragma once
// The records of a scaling study as rows of a table.

#include <span>
#include <string>

#include "annulus/sweep/point.hpp"
#include "annulus/sweep/record.hpp"
#include "cli/table.hpp"

namespace annulus::cli {

/// A row for each point that is finished. Speed-up and efficiency are against the fewest ranks of
/// the same series: s = (F/t) / (F_0/t_0), e = s P_0 / P, with F operations in t seconds.
[[nodiscard]] Table scaling_table(std::span<const sweep::Point> points,
                                  std::span<const sweep::Record> records);

/// For people: without what programs alone want, and without predictions where there are none.
[[nodiscard]] std::string scaling_text(const Table& table, std::span<const sweep::Point> points,
                                       bool predicted);

}  // namespace annulus::cli
