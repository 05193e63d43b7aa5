#pragma once
// What a key of a config is: how it is written, what it may be, and what is told of it.

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"
#include "annulus/studies/config.hpp"
#include "base/range.hpp"

namespace annulus::studies {

/// T, or of a list its elements.
template <class T>
struct ElementOf {
  using type = T;
};
template <class T>
struct ElementOf<std::vector<T>> {
  using type = T;
};

/// What a value of type T may be.
template <class T>
struct Allowed {
  std::string words;  ///< after "expected"
  /// Whether it is; empty: whatever has the type.
  std::function<bool(const T& value)> contains{};
};

/// Numbers of a range.
template <class T, class Range>
[[nodiscard]] Allowed<T> in_range(const Range& range) {
  return {range.words(), [range](const T& value) { return range.contains(value); }};
}
[[nodiscard]] inline Allowed<Index> whole_numbers(Index least,
                                                  Index most = std::numeric_limits<Index>::max()) {
  return in_range<Index>(WholeRange<Index>{least, most});
}

/// A key with a value of type T, one of those of StudyValue. A list holds each of its values once.
template <class T>
struct Key {
  std::string_view name;
  std::string_view meaning;                      ///< a noun or a short sentence without a full stop
  Allowed<typename ElementOf<T>::type> allowed;  ///< what a value, or each of a list, may be
  std::optional<T> otherwise{};                  ///< the default; none: the key must be there
  /// Whether the key belongs to a config whose keys before this one are known; null: always.
  bool (*belongs)(const StudyConfig& config) = nullptr;
  std::string_view belongs_to{};  ///< the same in words: "gaussian tokens"

  /// Its value in a config that it belongs to.
  [[nodiscard]] const T& of(const StudyConfig& config) const {
    const auto found = config.values.find(name);
    ensure(found != config.values.end(), "a key is asked for in a config that it belongs to");
    return std::get<T>(found->second);
  }
};

/// A key of any type. Keys live as long as the program.
using AnyKey = std::variant<const Key<Index>*, const Key<double>*, const Key<std::string>*,
                            const Key<std::vector<Index>>*, const Key<std::vector<double>>*,
                            const Key<std::vector<std::string>>*>;

/// Keys that are each allowed and do not go together.
struct Conflict {
  std::string_view key;
  std::string what;  ///< its value and what was expected
};

}  // namespace annulus::studies
