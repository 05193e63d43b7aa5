#include "cli/study_table.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::cli {
namespace {

using results::Axis;
using results::StudyFile;
using results::StudyLayout;
using results::Variable;

const Variable* find(const std::vector<Variable>& variables, const std::string& name) {
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const Variable& each) { return each.name == name; });
  return found == variables.end() ? nullptr : &*found;
}

/// Numbers at each point, and within it along the inner axis of its variable (1 where it has none).
struct Values {
  std::string name;
  std::vector<double> values;
  Index inner = 1;

  [[nodiscard]] double at(Index point, Index place) const {
    return values[static_cast<std::size_t>(point * inner + std::min(place, inner - 1))];
  }
  [[nodiscard]] double at(Index point) const { return at(point, 0); }
};

Values values_of(const StudyLayout& layout, std::string name, std::vector<double> values) {
  const Index inner = static_cast<Index>(values.size()) / layout.points();
  return {std::move(name), std::move(values), inner};
}

/// Measured variables for which `wanted`, each followed by its closed form where there is one.
template <class Wanted>
std::vector<Values> columns_of(const StudyLayout& layout, const StudyFile& file, Wanted wanted) {
  std::vector<Values> columns;
  for (const auto& variable : layout.measured) {
    if (!wanted(variable)) continue;
    columns.push_back(values_of(layout, variable.name, file.measured(variable.name)));
    const auto theory = "theory/" + variable.name;
    if (const auto* known = find(layout.theory, theory)) {
      columns.push_back(values_of(layout, theory, known->values));
    }
  }
  return columns;
}

/// The values of the axes at a point.
std::vector<Cell> place_cells(const StudyLayout& layout, Index point) {
  std::vector<Cell> cells(layout.axes.size());
  for (std::size_t i = cells.size(); i-- > 0;) {
    const auto& axis = layout.axes[i];
    const auto size = static_cast<Index>(axis.values.size());
    const double value = axis.values[static_cast<std::size_t>(point % size)];
    cells[i] = axis.counts ? cell(static_cast<std::int64_t>(value)) : cell(value);
    point /= size;
  }
  return cells;
}

std::vector<std::string> axis_names(const StudyLayout& layout) {
  std::vector<std::string> names;
  for (const auto& axis : layout.axes) names.push_back(axis.name);
  return names;
}

/// Whether the last two axes are rho and gamma with several values each.
bool is_map(const StudyLayout& layout) {
  const auto& axes = layout.axes;
  return axes.size() == 3 && axes[1].name == "rho" && axes[2].name == "gamma" &&
         axes[1].values.size() > 1 && axes[2].values.size() > 1;
}

/// gamma downwards, rho to the right.
std::string map_text(const StudyLayout& layout, const Values& values, std::size_t n_index) {
  const auto& rho = layout.axes[1].values;
  const auto& gamma = layout.axes[2].values;
  std::vector<std::string> heading{"gamma"};
  for (const double each : rho) heading.push_back(fmt::format("{:.4g} ", each));
  Table table(std::move(heading));
  for (std::size_t g = 0; g < gamma.size(); ++g) {
    std::vector<Cell> row{cell(gamma[g])};
    for (std::size_t r = 0; r < rho.size(); ++r) {
      const auto point = static_cast<Index>((n_index * rho.size() + r) * gamma.size() + g);
      auto number = cell(values.at(point), 3);
      number.text += gamma[g] * (1 - rho[r]) > 1 ? '*' : ' ';
      row.push_back(std::move(number));
    }
    table.add(std::move(row));
  }
  return table.text();
}

std::string maps_text(const StudyLayout& layout, const std::vector<Values>& columns) {
  std::string text;
  for (std::size_t n = 0; n < layout.axes[0].values.size(); ++n) {
    for (const auto& values : columns) {
      const auto* variable = find(layout.measured, values.name);
      if (variable == nullptr) continue;  // a closed form
      text +=
          fmt::format("{} ({}), n = {}, over gamma (down) and rho (across)\n{}\n", variable->name,
                      variable->long_name, layout.axes[0].values[n], map_text(layout, values, n));
    }
  }
  return text + "* above the critical line gamma = 1 / (1 - rho)\n";
}

/// The measured main quantities by point, along the inner axis to the right.
std::string inner_text(const StudyLayout& layout, const std::vector<Values>& columns) {
  const auto& inner = layout.inner_axes.front();
  std::string text;
  for (const auto& values : columns) {
    const auto* variable = find(layout.measured, values.name);
    if (variable == nullptr) continue;  // a closed form
    text += fmt::format("{} ({}) by {}\n", variable->name, variable->long_name, inner.name);
    auto names = axis_names(layout);
    for (const double place : inner.values) names.push_back(fmt::format("{}", place));
    Table table(std::move(names));
    for (Index point = 0; point < layout.points(); ++point) {
      auto row = place_cells(layout, point);
      for (Index place = 0; place < values.inner; ++place) {
        row.push_back(cell(values.at(point, place), 3));
      }
      table.add(std::move(row));
    }
    text += table.text() + '\n';
  }
  text.pop_back();
  return text;
}

}  // namespace

Table points_table(const StudyLayout& layout, const StudyFile& file) {
  const auto columns = columns_of(layout, file, [](const Variable&) { return true; });
  auto names = axis_names(layout);
  for (const auto& axis : layout.inner_axes) names.push_back(axis.name);
  for (const auto& column : columns) names.push_back(column.name);
  Table table(std::move(names));
  const Axis* inner = layout.inner_axes.empty() ? nullptr : &layout.inner_axes.front();
  const Index places = inner == nullptr ? 1 : static_cast<Index>(inner->values.size());
  for (Index point = 0; point < layout.points(); ++point) {
    for (Index place = 0; place < places; ++place) {
      auto row = place_cells(layout, point);
      if (inner != nullptr) {
        row.push_back(
            cell(static_cast<std::int64_t>(inner->values[static_cast<std::size_t>(place)])));
      }
      for (const auto& column : columns) row.push_back(cell(column.at(point, place)));
      table.add(std::move(row));
    }
  }
  return table;
}

std::string study_text(const StudyLayout& layout, const StudyFile& file) {
  const auto columns = columns_of(layout, file, [&](const Variable& variable) {
    return std::ranges::find(layout.shown, variable.name) != layout.shown.end();
  });
  if (!layout.inner_axes.empty()) return inner_text(layout, columns);
  if (is_map(layout)) return maps_text(layout, columns);
  auto names = axis_names(layout);
  for (const auto& column : columns) names.push_back(column.name);
  Table table(std::move(names));
  for (Index point = 0; point < layout.points(); ++point) {
    auto row = place_cells(layout, point);
    for (const auto& column : columns) row.push_back(cell(column.at(point), 6));
    table.add(std::move(row));
  }
  return table.text();
}

}  // namespace annulus::cli
