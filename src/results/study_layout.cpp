#include "results/study_layout.hpp"

#include <hdf5_hl.h>

#include <algorithm>

#include <fmt/format.h>

#include "annulus/base/narrow.hpp"
#include "results/h5/array.hpp"
#include "results/h5/attribute.hpp"

namespace annulus::results {
namespace {

constexpr const char* theory_group = "theory";

std::vector<hsize_t> dims_of(const std::vector<const Axis*>& axes) {
  std::vector<hsize_t> dims;
  for (const auto* axis : axes) dims.push_back(axis->values.size());
  return dims;
}

void describe(const h5::Handle& dataset, const std::string& long_name, const std::string& units) {
  h5::write_attribute(dataset.get(), "long_name", long_name);
  h5::write_attribute(dataset.get(), "units", units);
}

void create_scale(const h5::Handle& group, const Axis& axis) {
  ensure(!axis.values.empty(), "an axis of a study has no values");
  const hsize_t length = axis.values.size();
  const auto dataset = h5::create_dataset(
      group.get(), axis.name, axis.counts ? H5T_STD_I64LE : H5T_NATIVE_DOUBLE, {&length, 1});
  // HDF5 converts to the type of the file; narrow() checks that counts are whole numbers.
  if (axis.counts) {
    for (const double value : axis.values) static_cast<void>(narrow<Index>(value));
  }
  h5::check(
      H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, axis.values.data()),
      "H5Dwrite", axis.name);
  h5::check(H5DSset_scale(dataset.get(), axis.name.c_str()), "H5DSset_scale", axis.name);
  describe(dataset, axis.long_name, axis.units);
}

h5::Handle create_array(const h5::Handle& group, const std::string& name, hid_t type,
                        const std::vector<const Axis*>& axes) {
  const auto dims = dims_of(axes);
  auto dataset = h5::create_dataset(group.get(), name, type, dims);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto scale = h5::open_dataset(group.get(), axes[i]->name);
    h5::check(H5DSattach_scale(dataset.get(), scale.get(), static_cast<unsigned>(i)),
              "H5DSattach_scale", name);
  }
  return dataset;
}

void create_theory(const h5::Handle& group, const StudyLayout& layout) {
  if (layout.theory.empty()) return;
  const auto theory = h5::create_group(group.get(), theory_group);
  // The dimension scales are linked here too, so that opening this group alone shows them.
  std::vector<const Axis*> linked;
  for (const auto& variable : layout.theory) {
    for (const auto* axis : axes_of(layout, variable)) {
      if (std::find(linked.begin(), linked.end(), axis) != linked.end()) continue;
      h5::check(H5Lcreate_hard(group.get(), axis->name.c_str(), theory.get(), axis->name.c_str(),
                               H5P_DEFAULT, H5P_DEFAULT),
                "H5Lcreate_hard", axis->name);
      linked.push_back(axis);
    }
  }
  for (const auto& variable : layout.theory) {
    const auto axes = axes_of(layout, variable);
    ensure(variable.name.starts_with("theory/"), "a closed form is not named theory/NAME");
    ensure(static_cast<Index>(variable.values.size()) == element_count(axes),
           "a closed form has another number of values than its axes");
    const auto dataset = create_array(theory, variable.name.substr(std::string("theory/").size()),
                                      H5T_NATIVE_DOUBLE, axes);
    h5::check(H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                       variable.values.data()),
              "H5Dwrite", variable.name);
    describe(dataset, variable.long_name, variable.units);
  }
}

std::string axis_difference(const h5::Handle& group, const Axis& axis) {
  const auto dataset = h5::open_dataset(group.get(), axis.name);
  std::vector<double> values(axis.values.size());
  if (h5::dims_of(dataset, axis.name) != std::vector<hsize_t>{values.size()}) {
    return fmt::format("{} has another length than {}", axis.name, values.size());
  }
  h5::check(H5Dread(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
            "H5Dread", axis.name);
  return values == axis.values ? "" : axis.name + " has other values";
}

std::string array_difference(const h5::Handle& group, const std::string& name, hid_t type,
                             const std::vector<const Axis*>& axes) {
  const auto dataset = h5::open_dataset(group.get(), name);
  if (h5::dims_of(dataset, name) != dims_of(axes)) return name + " has another shape";
  const auto stored = h5::own(H5Dget_type(dataset.get()), H5Tclose, "H5Dget_type", name);
  const bool same = h5::check(H5Tequal(stored.get(), type), "H5Tequal", name) > 0;
  return same ? "" : name + " has numbers of another type";
}

}  // namespace

std::vector<const Axis*> axes_of(const StudyLayout& layout, const Variable& variable) {
  std::vector<const Axis*> axes;
  for (const auto& axis : layout.axes) axes.push_back(&axis);
  if (variable.inner_axis.empty()) return axes;
  const auto inner =
      std::find_if(layout.inner_axes.begin(), layout.inner_axes.end(),
                   [&](const Axis& axis) { return axis.name == variable.inner_axis; });
  ensure(inner != layout.inner_axes.end(), "a variable has an inner axis that its study lacks");
  axes.push_back(&*inner);
  return axes;
}

Index element_count(const std::vector<const Axis*>& axes) {
  Index count = 1;
  for (const auto* axis : axes) count *= static_cast<Index>(axis->values.size());
  return count;
}

void create_layout(hid_t file, const StudyLayout& layout) {
  ensure(!layout.axes.empty(), "a study has no axes");
  const auto group = h5::create_group(file, layout.group);
  for (const auto& axis : layout.axes) create_scale(group, axis);
  for (const auto& axis : layout.inner_axes) create_scale(group, axis);
  for (const auto& variable : layout.measured) {
    const auto dataset =
        create_array(group, variable.name, H5T_NATIVE_DOUBLE, axes_of(layout, variable));
    describe(dataset, variable.long_name, variable.units);
  }
  const auto mask = create_array(group, finished_mask, H5T_NATIVE_UINT8, axes_of(layout, {}));
  describe(mask, "whether the point is finished", "1");
  create_theory(group, layout);
}

std::string layout_difference(hid_t file, const StudyLayout& layout) {
  try {
    const auto group = h5::own(H5Gopen2(file, layout.group.c_str(), H5P_DEFAULT), H5Gclose,
                               "H5Gopen2", "/" + layout.group);
    for (const auto* axes : {&layout.axes, &layout.inner_axes}) {
      for (const auto& axis : *axes) {
        if (auto phrase = axis_difference(group, axis); !phrase.empty()) return phrase;
      }
    }
    for (const auto* variables : {&layout.measured, &layout.theory}) {
      for (const auto& variable : *variables) {
        auto phrase =
            array_difference(group, variable.name, H5T_NATIVE_DOUBLE, axes_of(layout, variable));
        if (!phrase.empty()) return phrase;
      }
    }
    return array_difference(group, finished_mask, H5T_NATIVE_UINT8, axes_of(layout, {}));
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace annulus::results
