#pragma once
// The datasets of a study's file.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "annulus/results/study_file.hpp"
#include "results/h5/handle.hpp"

namespace annulus::results {

/// Name of the mask of finished points, over the axes of the grid.
inline constexpr const char* finished_mask = "finished";

/// The axes of an array: those of the grid, then the inner axis of `variable`, if any.
[[nodiscard]] std::vector<const Axis*> axes_of(const StudyLayout& layout, const Variable& variable);

/// Product of the lengths of `axes`.
[[nodiscard]] Index element_count(const std::vector<const Axis*>& axes);

/// The type of elements in memory and, but for the order of bytes, in files. The caller holds the
/// Lock.
[[nodiscard]] h5::Handle type_of(Elements elements);

/// The texts of an array, one after the other.
[[nodiscard]] std::vector<std::string> texts_of(std::span<const char> bytes);

/// What the file holds of one point of a measured variable, taken from the front of the values or
/// of the texts.
[[nodiscard]] std::vector<std::byte> take_point(const StudyLayout& layout, const Variable& variable,
                                                std::span<const double>& values,
                                                std::span<const std::string>& texts);

/// Makes the group of the study with its dimension scales, measured variables, mask and closed
/// forms. The caller holds the Lock.
void create_layout(hid_t file, const StudyLayout& layout);

/// What in the file is not as the layout says: a phrase that names a dataset; empty where all is.
/// The caller holds the Lock.
[[nodiscard]] std::string layout_difference(hid_t file, const StudyLayout& layout);

}  // namespace annulus::results
