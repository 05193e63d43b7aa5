#include "python/arrays.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"

namespace annulus::python {

using namespace nb::literals;

namespace {

using Code = nb::dlpack::dtype_code;

/// The type of elements as the library has it; none for others.
std::optional<DataType> type_of(const nb::dlpack::dtype& type) {
  if (type == nb::dtype<double>()) return DataType::float64;
  if (type == nb::dtype<float>()) return DataType::float32;
  if (type.lanes != 1 || type.bits != 16) return std::nullopt;
  if (type.code == static_cast<std::uint8_t>(Code::Bfloat)) return DataType::bfloat16;
  if (type.code == static_cast<std::uint8_t>(Code::Float)) return DataType::float16;
  return std::nullopt;
}

std::string text_of(const nb::dlpack::dtype& type) {
  if (const auto known = type_of(type)) return std::string(name_of(*known));
  const bool integer = type.code <= static_cast<std::uint8_t>(Code::UInt);
  return fmt::format("{}-bit {}", type.bits, integer ? "integers" : "numbers");
}

using Shape = std::vector<Index>;

/// Without the last axis where that is 1.
Shape shape_of(const Expected& expected, Index batch) {
  Shape shape{expected.rows, expected.heads};
  if (batch > 0) shape = {batch, expected.heads / batch, expected.rows};
  if (expected.dim > 1) shape.push_back(expected.dim);
  return shape;
}

template <class Array>
Shape shape_of(const Array& array) {
  Shape shape;
  for (std::size_t axis = 0; axis < array.ndim(); ++axis) {
    shape.push_back(static_cast<Index>(array.shape(axis)));
  }
  return shape;
}

template <class Array>
void check(const Array& array, const Expected& expected, Index batch) {
  const auto type = type_of(array.dtype());
  const auto wanted = shape_of(expected, batch);
  const auto found = shape_of(array);
  auto flat = found;
  if (expected.dim == 1 && found.size() == wanted.size() + 1 && found.back() == 1) flat.pop_back();
  if (type != expected.type || flat != wanted) {
    throw InputError(fmt::format("{} is {} ({}); expected {} ({}) on this rank", expected.name,
                                 text_of(array.dtype()), fmt::join(found, ", "),
                                 name_of(expected.type), fmt::join(wanted, ", ")));
  }
  const bool on_host = array.device_type() == nb::device::cpu::value;
  if (!on_host && expected.device == DeviceKind::cpu) {
    throw InputError(fmt::format("{} lies on a GPU, and device is cpu", expected.name));
  }
  if (array.size() == 0) return;
  if (const auto last = array.stride(array.ndim() - 1); expected.dim > 1 && last != 1) {
    throw InputError(
        fmt::format("{} has stride {} on its last axis; expected 1", expected.name, last));
  }
  if (batch > 1 && found[1] > 1 && array.stride(0) != found[1] * array.stride(1)) {
    throw InputError(fmt::format("{} has strides {} and {} of batch and heads; expected one",
                                 expected.name, array.stride(0), array.stride(1)));
  }
}

template <class Array>
Array cast(nb::handle object, const char* name, const char* what) {
  Array array;
  if (!nb::try_cast(object, array, false)) {
    PyErr_Clear();
    throw InputError(
        fmt::format("{} is a {}; expected {}", name, nb::type_name(object.type()).c_str(), what));
  }
  return array;
}

template <class View, class Array>
View view_of(const Array& array, const Expected& expected, Index batch) {
  const std::size_t rows = batch > 0 ? 2 : 0;
  const std::size_t heads = batch > 0 && array.shape(1) == 1 ? 0 : 1;
  return {array.data(), expected.type,      expected.rows,      expected.heads,
          expected.dim, array.stride(rows), array.stride(heads)};
}

}  // namespace

/// What is read in place of `array`: a capsule where it lies on the GPU of the stream, by
/// https://dmlc.github.io/dlpack/latest/python_spec.html. Capsules have no __dlpack_device__: who
/// made one has seen to this.
nb::object Arrays::exported(nb::handle array, const char* name) const {
  const bool on_gpu = stream_ != nullptr && stream_->device().kind == DeviceKind::cuda;
  if (!on_gpu || !nb::hasattr(array, "__dlpack_device__")) return nb::borrow(array);
  try {
    const nb::object device = array.attr("__dlpack_device__")();
    if (nb::cast<int>(device[0]) != nb::device::cuda::value) return nb::borrow(array);
    auto capsule =
        array.attr("__dlpack__")("stream"_a = reinterpret_cast<std::uintptr_t>(stream_->handle()));
    // Work of a pass is not on this stream alone.
    stream_->synchronize();
    return capsule;
  } catch (const nb::python_error& error) {
    throw InputError(fmt::format("{} is not exported to a stream: {}", name, error.what()));
  }
}

ConstTensorView Arrays::input(nb::handle object, const Expected& expected) {
  if (nb::cast<bool>(nb::getattr(object, "requires_grad", nb::bool_(false)))) {
    throw InputError(
        fmt::format("{} requires gradients, which come with annulus.torch; expected it detached",
                    expected.name));
  }
  const auto& array = inputs_.emplace_back(cast<nb::ndarray<nb::ro>>(
      exported(object, expected.name), expected.name, "an array that DLPack exports"));
  check(array, expected, batch_);
  return view_of<ConstTensorView>(array, expected, batch_);
}

TensorView Arrays::output(nb::handle object, const Expected& expected) {
  const auto& array = outputs_.emplace_back(cast<nb::ndarray<>>(
      exported(object, expected.name), expected.name, "an array that can be written to"));
  check(array, expected, batch_);
  for (std::size_t axis = 0; axis < array.ndim(); ++axis) {
    if (array.size() > 0 && array.stride(axis) == 0 && array.shape(axis) > 1) {
      throw InputError(fmt::format(
          "{} is broadcast along axis {}; expected memory for every element", expected.name, axis));
    }
  }
  return view_of<TensorView>(array, expected, batch_);
}

namespace {

template <class Number, class Array>
std::span<Number> checked(const std::optional<Array>& array, const char* name, Index count) {
  if (!array) return {};
  if (static_cast<Index>(array->size()) != count) {
    throw InputError(fmt::format("{} has {} numbers; expected {}", name, array->size(), count));
  }
  return {array->data(), array->size()};
}

}  // namespace

std::span<const double> numbers(const std::optional<ConstNumbers>& array, const char* name,
                                Index count) {
  return checked<const double>(array, name, count);
}

std::span<double> numbers(const std::optional<Numbers>& array, const char* name, Index count) {
  return checked<double>(array, name, count);
}

}  // namespace annulus::python
