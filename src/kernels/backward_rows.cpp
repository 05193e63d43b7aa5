#include "kernels/backward_rows.hpp"

#include <array>
#include <numeric>

#include "annulus/base/tensor.hpp"
#include "annulus/device/tensor_copy.hpp"

namespace annulus::kernels {
namespace {

template <class A, class B>
double dot(const A* a, const B* b, Index size) {
  // So many sums in flight that the next term does not wait for the last one.
  constexpr Index together = 8;
  std::array<double, together> sums{};
  Index c = 0;
  for (; c + together <= size; c += together) {
    for (Index x = 0; x < together; ++x) {
      sums[static_cast<std::size_t>(x)] +=
          static_cast<double>(a[c + x]) * static_cast<double>(b[c + x]);
    }
  }
  double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  for (; c < size; ++c) sum += static_cast<double>(a[c]) * static_cast<double>(b[c]);
  return sum;
}

}  // namespace

void check_means(const BackwardQueries& queries) {
  const auto& dout = queries.dout;
  const auto& out = queries.out;
  const auto& mean = queries.mean;
  ensure(out.present() != mean.present(), "a backward pass is given the output or its means");
  if (mean.present()) {
    ensure(mean.has_shape(dout.rows, dout.heads, 1), "one mean per query row and head");
  } else {
    ensure(dout.has_shape(out.rows, out.heads, out.dim), "dout has the shape of out");
  }
}

void row_means(const BackwardQueries& queries, Index i, double* means) {
  const auto& dout = queries.dout;
  const auto& out = queries.out;
  const auto& mean = queries.mean;
  with_element(dout.type, [&]<class T>() {
    for (Index h = 0; h < dout.heads; ++h) {
      means[h] = mean.present() ? static_cast<double>(*mean.row<Accumulator<T>>(i, h))
                                : dot(dout.row<T>(i, h), out.row<Accumulator<T>>(i, h), out.dim);
    }
  });
}

void write_means(TensorView to, std::span<const double> means) {
  ensure(to.dim == 1 && to.rows * to.heads == std::ssize(means), "one mean per query row and head");
  with_accumulator(to.type, [&]<class T>() {
    for (Index i = 0; i < to.rows; ++i) {
      for (Index h = 0; h < to.heads; ++h) {
        *to.row<T>(i, h) = static_cast<T>(means[static_cast<std::size_t>(i * to.heads + h)]);
      }
    }
  });
}

void check_added(TensorView sums, ConstTensorView more) {
  ensure(sums.has_shape(more.rows, more.heads, more.dim), "sums of one shape are added");
}

void add_row(TensorView sums, Index i, double factor, ConstTensorView more) {
  with_accumulator(sums.type, [&]<class T>() {
    for (Index h = 0; h < sums.heads; ++h) {
      T* to = sums.row<T>(i, h);
      const T* from = more.row<T>(i, h);
      for (Index c = 0; c < sums.dim; ++c) to[c] += static_cast<T>(factor) * from[c];
    }
  });
}

void BackwardPass::accumulate_first(ConstTensorView k, ConstTensorView v,
                                    std::span<const Block> blocks, TensorView dk, TensorView dv,
                                    const Poll& poll) {
  device::clear(*device::cpu_stream(), dk);
  device::clear(*device::cpu_stream(), dv);
  accumulate(k, v, blocks, dk, dv, poll);
}

void BackwardPass::add(TensorView sums, double factor, ConstTensorView more) const {
  check_added(sums, more);
  for (Index i = 0; i < sums.rows; ++i) add_row(sums, i, factor, more);
}

}  // namespace annulus::kernels
