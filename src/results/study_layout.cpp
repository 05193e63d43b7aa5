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
  auto dataset = h5::create_dataset(group.get(), name, type, dims_of(axes));
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto scale = h5::open_dataset(group.get(), axes[i]->name);
    h5::check(H5DSattach_scale(dataset.get(), scale.get(), static_cast<unsigned>(i)),
              "H5DSattach_scale", name);
  }
  return dataset;
}

h5::Handle create_array(const h5::Handle& group, const std::string& name, Elements elements,
                        const std::vector<const Axis*>& axes) {
  return create_array(group, name, type_of(elements).get(), axes);
}

std::vector<char> bytes_of(const std::string& text) {
  ensure(static_cast<Index>(text.size()) <= longest_text, "a text is too long for an array");
  std::vector<char> bytes(static_cast<std::size_t>(longest_text), '\0');
  std::ranges::copy(text, bytes.begin());
  return bytes;
}

/// An array whose elements are there from the start.
void create_known(const h5::Handle& group, const std::string& name, const Variable& variable,
                  const std::vector<const Axis*>& axes) {
  const auto dataset = create_array(group, name, variable.elements, axes);
  std::vector<char> texts;
  for (const auto& text : variable.texts) {
    const auto bytes = bytes_of(text);
    texts.insert(texts.end(), bytes.begin(), bytes.end());
  }
  const bool is_texts = variable.elements == Elements::texts;
  ensure(static_cast<Index>(is_texts ? variable.texts.size() : variable.values.size()) ==
             element_count(axes),
         "an array that is known has another number of values than its axes");
  const auto type = is_texts ? type_of(Elements::texts) : type_of(Elements::numbers);
  const void* values = is_texts ? static_cast<const void*>(texts.data()) : variable.values.data();
  h5::check(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values), "H5Dwrite",
            name);
  describe(dataset, variable.long_name, variable.units);
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
    create_known(theory, variable.name.substr(std::string("theory/").size()), variable, axes);
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
  return same ? "" : name + " has elements of another type";
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

h5::Handle type_of(Elements elements) {
  const auto copy = [](hid_t type) { return h5::own(H5Tcopy(type), H5Tclose, "H5Tcopy", "type"); };
  if (elements == Elements::numbers) return copy(H5T_NATIVE_DOUBLE);
  if (elements == Elements::counts) return copy(H5T_NATIVE_INT64);
  auto type = copy(H5T_C_S1);
  h5::check(H5Tset_size(type.get(), longest_text), "H5Tset_size", "text type");
  h5::check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "H5Tset_strpad", "text type");
  h5::check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "H5Tset_cset", "text type");
  return type;
}

std::vector<std::string> texts_of(std::span<const char> bytes) {
  std::vector<std::string> texts;
  for (; !bytes.empty(); bytes = bytes.subspan(longest_text)) {
    const auto text = bytes.first(longest_text);
    texts.emplace_back(text.begin(), std::ranges::find(text, '\0'));
  }
  return texts;
}

std::vector<std::byte> take_point(const StudyLayout& layout, const Variable& variable,
                                  std::span<const double>& values,
                                  std::span<const std::string>& texts) {
  std::size_t count = 1;
  if (!variable.inner_axis.empty()) count = axes_of(layout, variable).back()->values.size();
  const auto take = [count]<class T>(std::span<const T>& all) {
    ensure(count <= all.size(), "a point has fewer values than its study measures");
    const auto taken = all.first(count);
    all = all.subspan(count);
    return taken;
  };
  std::vector<std::byte> point;
  const auto append = [&point](const auto& some) {
    const auto bytes = std::as_bytes(std::span(some));
    point.insert(point.end(), bytes.begin(), bytes.end());
  };
  if (variable.elements == Elements::texts) {
    for (const auto& text : take(texts)) append(bytes_of(text));
    return point;
  }
  ensure(variable.elements == Elements::numbers, "what is measured are numbers and texts");
  append(take(values));
  return point;
}

void create_layout(hid_t file, const StudyLayout& layout) {
  ensure(!layout.axes.empty(), "a study has no axes");
  const auto group = h5::create_group(file, layout.group);
  for (const auto& axis : layout.axes) create_scale(group, axis);
  for (const auto& axis : layout.inner_axes) create_scale(group, axis);
  for (const auto& variable : layout.measured) {
    const auto dataset =
        create_array(group, variable.name, variable.elements, axes_of(layout, variable));
    describe(dataset, variable.long_name, variable.units);
  }
  const auto mask = create_array(group, finished_mask, H5T_NATIVE_UINT8, axes_of(layout, {}));
  describe(mask, "whether the point is finished", "1");
  for (const auto& variable : layout.known) {
    create_known(group, variable.name, variable, axes_of(layout, variable));
  }
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
    for (const auto* variables : {&layout.measured, &layout.theory, &layout.known}) {
      for (const auto& variable : *variables) {
        auto phrase = array_difference(group, variable.name, type_of(variable.elements).get(),
                                       axes_of(layout, variable));
        if (!phrase.empty()) return phrase;
      }
    }
    return array_difference(group, finished_mask, H5T_NATIVE_UINT8, axes_of(layout, {}));
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace annulus::results
