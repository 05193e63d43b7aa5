#include "annulus/base/data_type.hpp"

#include <array>
#include <cmath>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

struct Properties {
  DataType type;
  std::string_view name;
  std::size_t size;
  int significand_bits;  // with the implicit one
};

constexpr std::array<Properties, 4> all{{{DataType::float64, "fp64", 8, 53},
                                         {DataType::float32, "fp32", 4, 24},
                                         {DataType::bfloat16, "bf16", 2, 8},
                                         {DataType::float16, "fp16", 2, 11}}};

const Properties& properties(DataType type) {
  for (const auto& entry : all) {
    if (entry.type == type) return entry;
  }
  broken_invariant("unknown data type");
}

}  // namespace

std::size_t size_of(DataType type) {
  return properties(type).size;
}

std::string_view name_of(DataType type) {
  return properties(type).name;
}

DataType parse_data_type(std::string_view name) {
  for (const auto& entry : all) {
    if (entry.name == name) return entry.type;
  }
  throw InputError(fmt::format("unknown precision '{}'; expected fp64, fp32, bf16 or fp16", name));
}

DataType accumulator_of(DataType type) {
  return type == DataType::float64 ? DataType::float64 : DataType::float32;
}

double unit_roundoff(DataType type) {
  return std::ldexp(1.0, -properties(type).significand_bits);
}

}  // namespace annulus
