#pragma once
// Arrays of Python as tensors, in place.

#include <list>
#include <optional>
#include <span>

#include <nanobind/ndarray.h>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/device.hpp"
#include "annulus/device/stream.hpp"
#include "python/bindings.hpp"

namespace annulus::python {

/// What an argument should be: (rows, heads, dim), or (rows, heads) where dim is 1. On a CPU,
/// arrays lie in memory of the host; beside a GPU, anywhere.
struct Expected {
  const char* name;
  DataType type;
  Index rows;
  Index heads;
  Index dim;
  DeviceKind device = DeviceKind::cpu;
};

/// Numbers for each head, or each row and head, row-major.
using Numbers = nb::ndarray<double, nb::c_contig, nb::device::cpu>;
using ConstNumbers = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;

/// Arrays that a call borrows from any library that speaks DLPack or the buffer protocol, with the
/// strides that they have, the last axis without gaps. With a `batch` they are (batch, heads, rows,
/// dim), and the heads of all sequences, which lie at one stride, are the heads of what is
/// expected. Made and destroyed with the GIL.
class Arrays {
 public:
  Arrays() = default;
  /// Of work on a `stream` of a GPU, which waits for what the library of an array there has
  /// enqueued: the array is exported for this stream.
  Arrays(device::Stream& stream, Index batch) : stream_(&stream), batch_(batch) {}

  /// Both throw InputError, naming the argument, where it is not what is expected.
  [[nodiscard]] ConstTensorView input(nb::handle array, const Expected& expected);
  [[nodiscard]] TensorView output(nb::handle array, const Expected& expected);

 private:
  [[nodiscard]] nb::object exported(nb::handle array, const char* name) const;

  device::Stream* stream_ = nullptr;
  Index batch_ = 0;
  std::list<nb::ndarray<nb::ro>> inputs_;
  std::list<nb::ndarray<>> outputs_;
};

/// The numbers, or none. Throws InputError, naming the argument, unless they are `count`.
[[nodiscard]] std::span<const double> numbers(const std::optional<ConstNumbers>& array,
                                              const char* name, Index count);
[[nodiscard]] std::span<double> numbers(const std::optional<Numbers>& array, const char* name,
                                        Index count);

}  // namespace annulus::python
