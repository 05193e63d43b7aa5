#pragma once
// Attributes: texts (UTF-8, variable length), lists of texts, whole numbers.

#include <string>
#include <vector>

#include "annulus/base/index.hpp"
#include "results/h5/handle.hpp"

namespace annulus::results::h5 {

// The caller holds the Lock. Writing replaces an attribute of the same name. Reading throws Error
// where there is none of that name and kind.

void write_attribute(hid_t object, const std::string& name, const std::string& text);
void write_attribute(hid_t object, const std::string& name, const std::vector<std::string>& texts);
void write_attribute(hid_t object, const std::string& name, Index number);

[[nodiscard]] bool has_attribute(hid_t object, const std::string& name);
[[nodiscard]] std::string read_text(hid_t object, const std::string& name);
[[nodiscard]] std::vector<std::string> read_texts(hid_t object, const std::string& name);
[[nodiscard]] Index read_number(hid_t object, const std::string& name);

}  // namespace annulus::results::h5
