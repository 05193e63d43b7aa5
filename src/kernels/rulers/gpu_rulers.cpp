#include "kernels/rulers/gpu_rulers.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace annulus::kernels::gpu {
namespace {

constexpr int matrix_rows = 8192;
constexpr std::size_t copied_bytes = std::size_t{1} << 29;

/// Seconds of the fastest of the runs of `enqueue` made in about `seconds`. The first, which loads
/// code, does not count.
template <class Enqueue>
double fastest(device::Stream& stream, double seconds, const Enqueue& enqueue) {
  using Clock = std::chrono::steady_clock;
  enqueue();
  stream.synchronize();
  double least = std::numeric_limits<double>::infinity();
  const auto begin = Clock::now();
  for (int run = 0;
       run < 2 || std::chrono::duration<double>(Clock::now() - begin).count() < seconds; ++run) {
    const auto start = stream.record();
    enqueue();
    const auto end = stream.record();
    stream.synchronize();
    least = std::min(least, stream.seconds_between(*start, *end));
  }
  return least;
}

/// A square matrix of standard normal numbers: what is multiplied decides how much power it takes,
/// and so the clock. Its columns repeat some of them.
template <class T>
device::Buffer random_matrix(const std::shared_ptr<device::Stream>& stream) {
  constexpr std::size_t columns = 64;
  constexpr std::size_t all = std::size_t{matrix_rows} * matrix_rows * sizeof(T);
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  std::vector<T> values(columns * matrix_rows);
  for (auto& value : values) value = static_cast<T>(normal(random));
  device::Buffer matrix(stream, all);
  std::size_t filled = values.size() * sizeof(T);
  stream->upload(device::RowCopy::of_bytes(matrix.data(), values.data(), filled));
  for (; filled < all; filled *= 2) {
    stream->copy(device::RowCopy::of_bytes(matrix.data() + filled, matrix.data(), filled));
  }
  return matrix;
}

}  // namespace

GpuRulers::GpuRulers(std::shared_ptr<device::Stream> stream)
    : stream_(std::move(stream)), cublas_(open_cublas(stream_)) {}

double GpuRulers::gemm_flops(DataType type, double seconds) {
  if (cublas_ == nullptr || type == DataType::float64) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  auto& factor = factors_[type];
  if (factor.empty()) {
    factor = with_element(type, [&]<class T>() { return random_matrix<T>(stream_); });
  }
  const device::Buffer product(stream_, factor.size());
  const double took = fastest(*stream_, seconds, [&] {
    cublas_->multiply(type, matrix_rows, factor.data(), factor.data(), product.data());
  });
  return 2.0 * std::pow(matrix_rows, 3) / took;
}

double GpuRulers::copy_bytes(double seconds) {
  const device::Buffer from(stream_, copied_bytes);
  const device::Buffer to(stream_, copied_bytes);
  stream_->clear(from.data(), copied_bytes);
  const double took = fastest(*stream_, seconds, [&] {
    stream_->copy(device::RowCopy::of_bytes(to.data(), from.data(), copied_bytes));
  });
  return 2.0 * static_cast<double>(copied_bytes) / took;
}

std::string gpu_blas_name() {
  const auto problem = cublas_problem();
  return problem.empty() ? "cuBLAS " + cublas_version() : fmt::format("no cuBLAS ({})", problem);
}

}  // namespace annulus::kernels::gpu
