#include "kernels/cuda/device_sums.hpp"

#include "annulus/base/error.hpp"
#include "annulus/device/tensor_copy.hpp"

namespace annulus::kernels::gpu {

void add_on_device(const Launcher& launcher, const StreamPointer& stream, TensorView sums,
                   double factor, ConstTensorView more) {
  ensure(sums.has_shape(more.rows, more.heads, more.dim), "sums of one shape are added");
  const DenseOutput there(stream, sums);
  if (!is_dense(sums)) {
    device::copy(*stream, dense_view(there.data(), sums.rows, sums.heads, sums.dim), sums);
  }
  launcher.add({.sums = there.data(),
                .more = DenseInput(stream, more).data(),
                .factor = static_cast<float>(factor),
                .count = sums.rows * sums.heads * sums.dim},
               *stream);
  there.finish();
}

}  // namespace annulus::kernels::gpu
