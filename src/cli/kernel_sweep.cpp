#include "cli/kernel_sweep.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::cli {

Statistics parse_statistics(std::string_view name) {
  if (name == "off") return Statistics::off;
  if (name == "on") return Statistics::on;
  throw InputError(fmt::format("unknown value '{}'; expected off or on", name));
}

std::vector<std::vector<KernelCase>> KernelSweep::groups(const ShapeOptions& shape) const {
  if (std::ranges::find(passes, Pass::forward) == passes.end() &&
      std::ranges::find(statistics, Statistics::on) != statistics.end()) {
    throw InputError("--statistics: on is of the forward pass, which is not timed; expected off");
  }
  const auto add_cases = [&](std::vector<KernelCase>& group, const Problem& problem) {
    for (const auto type : precisions) {
      for (const auto pass : passes) {
        if (pass == Pass::backward) {
          group.push_back({problem, type, pass, Statistics::off});
          continue;
        }
        for (const auto some : statistics) group.push_back({problem, type, pass, some});
      }
    }
  };
  std::vector<std::vector<KernelCase>> all;
  for (const Index length : lengths) {
    for (const Index head_dim : head_dims) {
      for (const Index heads : key_heads) {
        auto& group = all.emplace_back();
        for (const auto& mask : masks) {
          auto one = shape;
          one.length = length;
          one.head_dim = head_dim;
          one.key_heads = heads == 0 ? std::nullopt : std::optional(heads);
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
                        .precisions = {DataType::float32, DataType::bfloat16},
                        .passes = {Pass::forward, Pass::backward},
                        .statistics = {Statistics::off, Statistics::on}};
  if (name == "quick") {
    auto sweep = all;
    sweep.lengths = {1024};
    sweep.key_heads = {0};
    sweep.masks = {Mask::full(), Mask::causal()};
    return {.sweeps = {sweep}, .repetitions = 5, .row_seconds = 1};
  }
  if (name == "full") {
    // 7e13 operations a repetition; few of the large shapes are repeated. Of the largest only those
    // that somebody would run on one rank.
    auto sizes = all;
    sizes.lengths = {512, 1024, 4096, 8192};
    sizes.head_dims = {64, 128, 256};
    sizes.masks = {Mask::full(), Mask::causal(), Mask::window(512)};
    auto long_ones = all;
    long_ones.lengths = {16384, 32768, 65536};
    long_ones.head_dims = {128};
    long_ones.key_heads = {1};
    long_ones.masks = {Mask::causal(), Mask::window(1024)};
    return {.sweeps = {sizes, long_ones}, .repetitions = 3, .row_seconds = 3};
  }
  throw InputError(fmt::format("unknown preset '{}'; expected quick or full", name));
}

}  // namespace annulus::cli
