#include "fuzz/fuzz.hpp"

#include <cstddef>
#include <cstdint>

#include "annulus/base/error.hpp"

namespace annulus::fuzz {

bool takes(const std::function<void()>& body) {
  try {
    body();
    return true;
  } catch (const InputError&) {
    return false;
  }
}

}  // namespace annulus::fuzz

/// What libFuzzer calls; an exception that gets out ends the process.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(annulus::fuzz::takes([&] { annulus::fuzz::read(text); }));
  return 0;
}
