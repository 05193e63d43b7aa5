#pragma once
// The results file of a study: a grid of points, each of which is on disk before the next begins.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "annulus/base/index.hpp"
#include "annulus/results/provenance.hpp"

namespace annulus::results {

/// A dimension scale of the file.
struct Axis {
  std::string name;
  std::vector<double> values;
  bool counts = false;    ///< whole numbers, stored as int64
  std::string long_name;  ///< what it is, for labels
  std::string units = "1";
};

/// What an array holds.
enum class Elements {
  numbers,  ///< fp64
  counts,   ///< whole numbers, stored as int64
  texts,    ///< UTF-8 of at most longest_text bytes, filled up with zeros
};

/// Bytes of a text in an array.
inline constexpr Index longest_text = 64;

/// An array over the axes of the grid, and after them over `inner_axis` where there is one.
struct Variable {
  std::string name;  ///< below the study's group; `theory/NAME` for closed forms
  std::string long_name;
  std::string units = "1";
  std::string inner_axis{};      ///< name of one of StudyLayout::inner_axes, or empty
  std::vector<double> values{};  ///< known from the start: the whole array, row-major
  Elements elements = Elements::numbers;
  std::vector<std::string> texts{};  ///< in place of values where elements are texts
};

/// What a study's file holds.
struct StudyLayout {
  std::string group;             ///< phase, needle, sphere, depth, strong, weak
  std::vector<Axis> axes;        ///< the grid, slowest first
  std::vector<Axis> inner_axes;  ///< axes within a point, such as the layers of a depth study
  /// Without values, numbers and texts; NaN and empty in the file until their point is finished.
  std::vector<Variable> measured;
  std::vector<Variable> theory;      ///< closed forms, with values
  std::vector<Variable> known{};     ///< what else is known of points from the start, with values
  std::vector<std::string> shown{};  ///< names of measured variables for a table of a few columns

  [[nodiscard]] Index points() const;
};

/// What to do where the file is there already.
enum class Existing { refuse, overwrite, resume };

/// A results file in the making. Used by one rank. It appears under its name with its first point
/// (written beside it, synced, renamed); each further point is written in place, its values first
/// and then, once they are on disk, the mark that it is finished. So a run killed at any moment
/// leaves a file that opens and holds every finished point. The file is claimed until this object
/// goes.
class StudyFile {
 public:
  /// Creates the file with no point finished, or with Existing::resume takes up the one that is
  /// there, if any. Throws InputError where the file exists (Existing::refuse), where another run
  /// writes it, where it was made by another config (names the keys that differ) or is damaged, or
  /// where its folder cannot be written.
  StudyFile(const std::string& path, StudyLayout layout, Provenance provenance, Existing existing);
  StudyFile(StudyFile&&) noexcept;
  ~StudyFile();

  /// Whether point `index` (row-major over the axes) is in the file.
  [[nodiscard]] bool finished(Index index) const;

  /// The whole array of a measured variable, row-major; NaN where points are not finished.
  [[nodiscard]] std::vector<double> measured(const std::string& name) const;

  /// The same for texts; empty where points are not finished.
  [[nodiscard]] std::vector<std::string> measured_texts(const std::string& name) const;

  /// Stores a point. `values` holds the measured numbers in the order of the layout, each with its
  /// inner axis spread out, and `texts` the measured texts. When this returns, the point is on
  /// disk.
  void write_point(Index index, std::span<const double> values,
                   std::span<const std::string> texts = {});

  /// Which run this is: 0 where it made the file, else its place among the resumptions, from 1.
  [[nodiscard]] Index run() const;

  /// Whether every point is finished.
  [[nodiscard]] bool all_finished() const;

  /// Marks the file complete; every point must be finished.
  void complete();

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

/// The `config` of the file of a study that is at `path`; none where nothing is there. Throws
/// InputError where it is another file or damaged.
[[nodiscard]] std::optional<std::string> stored_config(const std::string& path);

}  // namespace annulus::results
