#include "annulus/measure/machine_file.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "base/toml_reader.hpp"

namespace annulus::measure {
namespace {

constexpr WholeRange<Index> counts{1, 1 << 20};

/// Seconds, at least 0.
double seconds(TomlReader& reader, std::string_view key) {
  const double value = reader.number(key);
  if (value < 0) throw reader.error(key, fmt::format("{}; expected seconds, at least 0", value));
  return value;
}

/// Reads a word by the function that reads it everywhere.
template <class Parse>
auto word(TomlReader& reader, std::string_view key, const Parse& parse) {
  const auto text = reader.text(key);
  try {
    return parse(text);
  } catch (const InputError& error) {
    throw reader.error(key, error.what());
  }
}

constexpr std::string_view shared = "shared";
constexpr std::string_view separate = "separate";

PeerMemory parse_memory(std::string_view text) {
  if (text == shared) return PeerMemory::shared;
  if (text == separate) return PeerMemory::separate;
  throw InputError(fmt::format("'{}'; expected {} or {}", text, shared, separate));
}

/// The numbers of a kernel's cost.
struct CostKey {
  std::string_view name;
  double KernelCost::*value;
};
constexpr std::array<CostKey, 5> cost_keys{{{"per_pair", &KernelCost::per_pair},
                                            {"per_query", &KernelCost::per_query},
                                            {"per_key", &KernelCost::per_key},
                                            {"per_row", &KernelCost::per_row},
                                            {"per_call", &KernelCost::per_call}}};

KernelCost kernel_of(TomlReader reader) {
  KernelCost cost{.type = word(reader, "precision", parse_data_type),
                  .pass = word(reader, "pass", parse_pass),
                  .head_dim = reader.integer_in("head_dim", counts)};
  for (const auto& [name, value] : cost_keys) cost.*value = seconds(reader, name);
  if (cost.per_pair == 0) throw reader.error("per_pair", "0; expected seconds above 0");
  reader.refuse_unknown("a kernel");
  return cost;
}

LinkCost link_of(TomlReader reader) {
  LinkCost cost{.latency = seconds(reader, "latency"),
                .bytes_per_second = reader.number("bytes_per_second"),
                .busy_per_byte = seconds(reader, "busy_per_byte")};
  if (cost.bytes_per_second <= 0) {
    throw reader.error("bytes_per_second",
                       fmt::format("{}; expected a number above 0", cost.bytes_per_second));
  }
  reader.refuse_unknown("a link");
  return cost;
}

std::string text_of(std::string_view name, const LinkCost& cost) {
  return fmt::format(
      "\n[{}]\nlatency = {:.4g}\nbytes_per_second = {:.4g}\nbusy_per_byte = {:.4g}\n", name,
      cost.latency, cost.bytes_per_second, cost.busy_per_byte);
}

}  // namespace

Machine parse_machine(std::string_view text, const std::string& source) {
  TomlReader reader(text, source);
  Machine machine{.name = reader.text("name"),
                  .source = reader.text("source"),
                  .memory = word(reader, "memory", parse_memory),
                  .cores = static_cast<int>(reader.integer_in("cores", counts)),
                  .inside = link_of(reader.table("inside")),
                  .between = link_of(reader.table("between")),
                  .links = static_cast<int>(reader.integer_in("links", counts))};
  for (auto& kernel : reader.tables("kernel")) {
    const auto cost = kernel_of(std::move(kernel));
    const bool there = std::ranges::any_of(machine.kernels, [&](const KernelCost& other) {
      return other.type == cost.type && other.pass == cost.pass && other.head_dim == cost.head_dim;
    });
    if (there) {
      throw reader.error(
          "kernel", fmt::format("two of {}, {} pass, head_dim {}; expected one", name_of(cost.type),
                                name_of(cost.pass), cost.head_dim));
    }
    machine.kernels.push_back(cost);
  }
  if (machine.kernels.empty()) {
    throw reader.error("kernel", "there is none; expected at least one [[kernel]]");
  }
  reader.refuse_unknown("a machine");
  return machine;
}

std::string machine_text(const Machine& machine) {
  auto text = fmt::format(
      "name = \"{}\"\nsource = \"{}\"\nmemory = \"{}\"\ncores = {}\nlinks = {}\n", machine.name,
      machine.source, machine.memory == PeerMemory::shared ? shared : separate,
      std::max(machine.cores, 1), machine.links);
  text += text_of("inside", machine.inside) + text_of("between", machine.between);
  for (const auto& kernel : machine.kernels) {
    text += fmt::format("\n[[kernel]]\nprecision = \"{}\"\npass = \"{}\"\nhead_dim = {}\n",
                        name_of(kernel.type), name_of(kernel.pass), kernel.head_dim);
    for (const auto& [name, value] : cost_keys) {
      text += fmt::format("{} = {:.4g}\n", name, kernel.*value);
    }
  }
  return text;
}

}  // namespace annulus::measure
