#pragma once
// Numbers that an option, a key or a variable may be, and how they are read: the whole text is such
// a number, or it is refused with what was expected.

#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace annulus {

/// The number that all of `text` is, in decimal; none where it is not one, or does not fit.
template <class Number>
[[nodiscard]] std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Whole numbers from `least` to `most`.
template <class Number>
struct WholeRange {
  Number least = std::numeric_limits<Number>::min();
  Number most = std::numeric_limits<Number>::max();

  [[nodiscard]] constexpr bool contains(Number value) const {
    return least <= value && value <= most;
  }
  /// "1 to 4096".
  [[nodiscard]] std::string limits() const {
    return std::to_string(least) + " to " + std::to_string(most);
  }
  [[nodiscard]] std::string words() const { return "a whole number from " + limits(); }
};

/// Finite numbers between two ends, which may be excluded.
struct RealRange {
  double least = std::numeric_limits<double>::lowest();
  double most = std::numeric_limits<double>::max();
  bool without_least = false;
  bool without_most = false;

  [[nodiscard]] static constexpr RealRange above(double end) {
    return {.least = end, .without_least = true};
  }

  /// False for what is not finite.
  [[nodiscard]] constexpr bool contains(double value) const {
    return (without_least ? value > least : value >= least) &&
           (without_most ? value < most : value <= most);
  }
  /// "0 to 10000", "above 0", "0 or more and below 1"; empty where every number is in it.
  [[nodiscard]] std::string limits() const;
  /// "a number" with limits().
  [[nodiscard]] std::string words() const;
};

/// Throws the InputError of a text that is not in a range of these words.
[[noreturn]] void refuse_number(std::string_view text, const std::string& expected);

/// The number that `text` is; throws InputError where it is none, or is not in the range.
template <class Number>
[[nodiscard]] Number read_number(std::string_view text, const WholeRange<Number>& range) {
  const auto value = parse_number<Number>(text);
  if (!value || !range.contains(*value)) refuse_number(text, range.words());
  return *value;
}
[[nodiscard]] double read_number(std::string_view text, const RealRange& range);

}  // namespace annulus
