#pragma once
// The two halves of an attention call.

#include <string_view>

namespace annulus {

enum class Pass { forward, backward };

/// "forward" or "backward".
[[nodiscard]] std::string_view name_of(Pass pass);
/// The inverse of name_of; throws InputError with both names.
[[nodiscard]] Pass parse_pass(std::string_view name);

}  // namespace annulus
