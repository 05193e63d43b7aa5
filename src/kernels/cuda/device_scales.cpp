#include "kernels/cuda/device_scales.hpp"

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"

namespace annulus::kernels::gpu {

DeviceArray<float> device_scales(const Launcher& launcher, const StreamPointer& stream,
                                 const LogitScales& scales, ConstTensorView q) {
  ensure(scales.has_shape(q.rows, q.heads), "one scale per query row and head");
  const DeviceArray<double> factors(stream, scales.heads);
  DeviceArray<float> table(stream, q.rows * q.heads);
  launcher.write({.row_numbers = scales.rows.row<double>(0, 0),
                  .row_stride = scales.rows.row_stride,
                  .head_stride = scales.rows.heads == 1 ? 0 : scales.rows.head_stride,
                  .head_factors = factors.data(),
                  .rows = narrow<int>(q.rows),
                  .heads = narrow<int>(q.heads),
                  .scale = table.data()},
                 *stream);
  return table;
}

}  // namespace annulus::kernels::gpu
