#include "kernels/cuda/device_sums.hpp"

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"
#include "annulus/device/tensor_copy.hpp"

namespace annulus::kernels::gpu {

void clear_other_rows(Stream& stream, TensorView sums, std::span<const Interval> rows) {
  constexpr std::size_t few = 4;
  if (rows.size() > few) return device::clear(stream, sums);
  Index end = 0;  // of what is done
  const auto clear_until = [&](Index begin) {
    auto gap = sums;
    gap.data = sums.row<float>(end, 0);
    gap.rows = begin - end;
    if (gap.rows > 0) device::clear(stream, gap);
  };
  for (const auto& interval : rows) {
    clear_until(interval.begin);
    end = interval.end;
  }
  clear_until(sums.rows);
}

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

DeviceArray<float> device_means(const Launcher& launcher, const StreamPointer& stream,
                                const BackwardQueries& queries, const InputRows& dout) {
  const auto& q = queries.q;
  DeviceArray<float> means(stream, q.rows * q.heads);
  ensure(queries.out.present() != queries.mean.present(),
         "a backward pass is given the output or its means");
  if (queries.mean.present()) {
    device::copy(*stream, dense_view(means.data(), q.rows, q.heads, 1), queries.mean);
    return means;
  }
  ensure(queries.out.has_shape(q.rows, q.heads, queries.dout.dim),
         "the output has the shape of the pass");
  const DenseInput out(stream, queries.out);
  launcher.mean({.type = q.type},
                {.dout = dout,
                 .out = out.data(),
                 .rows = narrow<int>(q.rows),
                 .heads = narrow<int>(q.heads),
                 .mean = means.data()},
                *stream);
  return means;
}

}  // namespace annulus::kernels::gpu
