#pragma once
// What a fuzzer does is chosen by the bytes that it is given, in their order.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

namespace annulus::fuzz {

/// Choices out of bytes; zeros after their end.
class Choices {
 public:
  explicit Choices(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] bool left() const { return !bytes_.empty(); }

  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto first = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return first;
  }

  /// Below `end`.
  std::size_t below(std::size_t end) { return byte() % end; }

  /// Mostly small, now and then of any size.
  std::uint64_t number() {
    const auto first = byte();
    if (first < 240) return first;
    std::uint64_t number = 0;
    for (int i = 240; i <= first; i += 2) number = number << 8U | byte();
    return number;
  }

  std::string text() {
    const auto length = std::min<std::size_t>(byte(), bytes_.size());
    std::string text(bytes_.substr(0, length));
    bytes_.remove_prefix(length);
    return text;
  }

  template <class List>
  auto one_of(const List& list) {
    return list[below(std::size(list))];
  }

 private:
  std::string_view bytes_;
};

}  // namespace annulus::fuzz
