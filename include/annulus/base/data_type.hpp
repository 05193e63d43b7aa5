#pragma once
// The element types that tensors are stored, moved and computed in.

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>

#include "annulus/base/error.hpp"
#include "annulus/base/half.hpp"

namespace annulus {

enum class DataType { float64, float32, bfloat16, float16 };

/// Bytes of one element.
[[nodiscard]] std::size_t size_of(DataType type);

/// The name used on command lines: fp64, fp32, bf16, fp16.
[[nodiscard]] std::string_view name_of(DataType type);

/// The inverse of name_of; throws InputError with the list of names.
[[nodiscard]] DataType parse_data_type(std::string_view name);

/// The type that sums over keys are kept in: fp64 for fp64, fp32 for all others.
[[nodiscard]] DataType accumulator_of(DataType type);

/// Unit roundoff u of the type: 2^-53, 2^-24, 2^-8, 2^-11.
[[nodiscard]] double unit_roundoff(DataType type);

template <class T>
struct DataTypeOf;
template <>
struct DataTypeOf<double> {
  static constexpr DataType value = DataType::float64;
};
template <>
struct DataTypeOf<float> {
  static constexpr DataType value = DataType::float32;
};
template <>
struct DataTypeOf<BFloat16> {
  static constexpr DataType value = DataType::bfloat16;
};
template <>
struct DataTypeOf<Float16> {
  static constexpr DataType value = DataType::float16;
};
/// The DataType of a C++ element type, const or not.
template <class T>
inline constexpr DataType data_type_of = DataTypeOf<T>::value;
template <class T>
inline constexpr DataType data_type_of<const T> = DataTypeOf<T>::value;

/// The C++ type that accumulator_of names.
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Calls `use.operator()<T>()` with the C++ element type of `type`.
template <class Use>
decltype(auto) with_element(DataType type, Use&& use) {
  switch (type) {
    case DataType::float64:
      return use.template operator()<double>();
    case DataType::float32:
      return use.template operator()<float>();
    case DataType::bfloat16:
      return use.template operator()<BFloat16>();
    case DataType::float16:
      return use.template operator()<Float16>();
  }
  broken_invariant("unknown data type");
}

/// The same for types that sums are kept in, fp64 and fp32 alone.
template <class Use>
decltype(auto) with_accumulator(DataType type, Use&& use) {
  ensure(type == accumulator_of(type), "sums are fp64 or fp32");
  return type == DataType::float64 ? use.template operator()<double>()
                                   : use.template operator()<float>();
}

}  // namespace annulus
