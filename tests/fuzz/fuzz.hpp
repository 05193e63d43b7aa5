#pragma once
// What a fuzzer is: something that reads a text, or bytes that say what to do with a file.

#include <functional>
#include <string_view>

namespace annulus::fuzz {

/// Reads `text`, which is of any bytes. An InputError says that it is refused; any other exception,
/// such as that of ensure() for a property that does not hold, is a fault. Each fuzzer has its own.
void read(std::string_view text);

/// Whether `body` takes what it reads, which throws InputError where it does not.
[[nodiscard]] bool takes(const std::function<void()>& body);

}  // namespace annulus::fuzz
