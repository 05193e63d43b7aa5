#pragma once
// Options that are read where they are declared: a text becomes a value or is refused, in the order
// of the declarations.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/read_option.hpp"
#include "base/range.hpp"

namespace annulus::cli {

/// The name that messages have for an option declared as "-n,--length".
[[nodiscard]] std::string name_in_messages(const std::string& names);

/// The texts between the commas of a list.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text);
/// The masks of a list such as `full,window:512,64,causal`: a number belongs to the window before
/// it.
[[nodiscard]] std::vector<std::string> split_masks(std::string_view text);

/// An option whose value is `read(text)`; the InputError of a text that `read` does not take begins
/// with the name of the option.
template <class Value, class Read>
CLI::Option* add_value(CLI::App& app, const std::string& names, Value& value, Read read,
                       const std::string& description) {
  return app.add_option_function<std::string>(
      names,
      [&value, read, name = name_in_messages(names)](const std::string& text) {
        value = read_option(name.c_str(), [&] { return read(text); });
      },
      description);
}

/// The same for a list: values between commas, or several arguments. `split` takes an argument
/// apart.
template <class Value, class Read, class Split = decltype(&split_list)>
CLI::Option* add_list(CLI::App& app, const std::string& names, std::vector<Value>& values,
                      Read read, const std::string& description, Split split = split_list) {
  constexpr int most_arguments = 1 << 20;
  auto* option = app.add_option_function<std::vector<std::string>>(
      names,
      [&values, read, split, name = name_in_messages(names)](const auto& arguments) {
        values.clear();
        for (const auto& argument : arguments) {
          for (const auto& text : split(argument)) {
            values.push_back(read_option(name.c_str(), [&] { return read(text); }));
          }
        }
      },
      description);
  // Without what the parser itself knows of lists, which skips empty entries.
  return option->expected(1, most_arguments)->allow_extra_args(false);
}

/// How a number is read.
template <class Range>
[[nodiscard]] auto number_in(Range range) {
  return [range](std::string_view text) { return read_number(text, range); };
}

/// An option that is a number of `range`, which the help tells.
template <class Value, class Range>
CLI::Option* add_number(CLI::App& app, const std::string& names, Value& value, Range range,
                        const std::string& description) {
  return add_value(app, names, value, number_in(range),
                   fmt::format("{} ({})", description, range.limits()))
      ->type_name("NUMBER");
}

/// A path, which is not empty.
[[nodiscard]] std::string read_path(std::string_view text);

/// What `read` takes, or `auto`, which is no value.
template <class Read>
[[nodiscard]] auto or_auto(Read read) {
  using Value = decltype(read(std::string_view()));
  return [read](std::string_view text) {
    return text == "auto" ? std::optional<Value>() : std::optional<Value>(read(text));
  };
}

}  // namespace annulus::cli
