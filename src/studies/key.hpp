#pragma once
// What a key of a config is: how it is written, what it may be, and what is told of it.

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"
#include "annulus/studies/config.hpp"

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

/// A key with a value of type T, one of those of StudyValue. A list holds each of its values once.
template <class T>
struct Key {
  std::string_view name;
  std::string_view meaning;  ///< a noun or a short sentence without a full stop
  std::string allowed;       ///< what a value, or each of a list, may be; after "expected"
  /// Whether it is; null: whatever has the type.
  bool (*allows)(const typename ElementOf<T>::type& value) = nullptr;
  std::optional<T> otherwise{};  ///< the default; none: the key must be there
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

/// For Key::allows of whole numbers.
template <Index least, Index most = Index{1} << 32>
[[nodiscard]] bool in_range(const Index& value) {
  return value >= least && value <= most;
}

}  // namespace annulus::studies
