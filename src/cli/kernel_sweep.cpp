#include "cli/kernel_sweep.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::cli {
namespace {

Statistics parse_statistics(const std::string& name) {
  if (name == "off") return Statistics::off;
  if (name == "on") return Statistics::on;
  throw InputError(fmt::format("unknown value '{}'; expected off or on", name));
}

/// Each of a list, read.
template <class Read>
auto read_all(const char* option, const std::vector<std::string>& names, Read read) {
  std::vector<decltype(read(names.front()))> values;
  for (const auto& name : names) {
    values.push_back(read_option(option, [&] { return read(name); }));
  }
  return values;
}

}  // namespace

std::vector<std::string> split_masks(std::string_view text) {
  std::vector<std::string> masks;
  while (true) {
    const auto comma = text.find(',');
    const std::string part(text.substr(0, comma));
    const bool begins_mask =
        !part.empty() && std::isalpha(static_cast<unsigned char>(part[0])) != 0;
    if (begins_mask || masks.empty()) {
      masks.push_back(part);
    } else {
      masks.back() += ',' + part;
    }
    if (comma == std::string_view::npos) return masks;
    text.remove_prefix(comma + 1);
  }
}

std::vector<std::vector<KernelCase>> KernelSweep::groups(const ShapeOptions& shape) const {
  const auto all_types = read_all("--precision", precisions, parse_data_type);
  const auto all_passes = read_all("--pass", passes, parse_pass);
  const auto all_statistics = read_all("--statistics", statistics, parse_statistics);
  if (std::ranges::find(all_passes, Pass::forward) == all_passes.end() &&
      std::ranges::find(all_statistics, Statistics::on) != all_statistics.end()) {
    throw InputError("--statistics: on is of the forward pass, which is not timed; expected off");
  }
  std::vector<std::string> all_masks;
  for (const auto& list : masks)
    std::ranges::move(split_masks(list), std::back_inserter(all_masks));

  const auto add_cases = [&](std::vector<KernelCase>& group, const Problem& problem) {
    for (const auto type : all_types) {
      for (const auto pass : all_passes) {
        if (pass == Pass::backward) {
          group.push_back({problem, type, pass, Statistics::off});
          continue;
        }
        for (const auto some : all_statistics) group.push_back({problem, type, pass, some});
      }
    }
  };
  std::vector<std::vector<KernelCase>> all;
  for (const Index length : lengths) {
    for (const Index head_dim : head_dims) {
      for (const Index heads : key_heads) {
        auto& group = all.emplace_back();
        for (const auto& mask : all_masks) {
          auto one = shape;
          one.length = length;
          one.head_dim = head_dim;
          one.key_heads = heads;
          one.attention.mask = mask;
          add_cases(group, one.problem());
        }
      }
    }
  }
  return all;
}

KernelPreset kernel_preset(std::string_view name) {
  const KernelSweep all{.key_heads = {0, 1},
                        .precisions = {"fp32", "bf16"},
                        .passes = {"forward", "backward"},
                        .statistics = {"off", "on"}};
  if (name == "quick") {
    auto sweep = all;
    sweep.lengths = {1024};
    sweep.key_heads = {0};
    sweep.masks = {"full", "causal"};
    return {.sweeps = {sweep}, .repetitions = 5, .row_seconds = 1};
  }
  if (name == "full") {
    // 7e13 operations a repetition; few of the large shapes are repeated. Of the largest only those
    // that somebody would run on one rank.
    auto sizes = all;
    sizes.lengths = {512, 1024, 4096, 8192};
    sizes.head_dims = {64, 128, 256};
    sizes.masks = {"full", "causal", "window:512"};
    auto lengths = all;
    lengths.lengths = {16384, 32768, 65536};
    lengths.head_dims = {128};
    lengths.key_heads = {1};
    lengths.masks = {"causal", "window:1024"};
    return {.sweeps = {sizes, lengths}, .repetitions = 3, .row_seconds = 3};
  }
  throw InputError(fmt::format("--preset: unknown preset '{}'; expected quick or full", name));
}

}  // namespace annulus::cli
