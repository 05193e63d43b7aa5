#pragma once
// The element types that tensors are stored, moved and computed in.

#include <cstddef>
#include <string>
#include <string_view>

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
/// The DataType of a C++ element type, const or not.
template <class T>
inline constexpr DataType data_type_of = DataTypeOf<T>::value;
template <class T>
inline constexpr DataType data_type_of<const T> = DataTypeOf<T>::value;

}  // namespace annulus
