#include "annulus/measure/rulers.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <thread>

#include "annulus/base/error.hpp"
#include "annulus/kernels/cpu.hpp"
#include "annulus/measure/gemm.hpp"
#include "kernels/rulers/gpu_rulers.hpp"

namespace annulus::measure {
namespace {

constexpr double seconds_a_sample = 0.05;

/// Threads of OpenBLAS spin for 2^28 cycles after their last product before they sleep.
constexpr std::chrono::milliseconds until_blas_sleeps{150};

}  // namespace

double read_bandwidth(comm::Communicator& communicator, const CoreShare& cores,
                      const std::shared_ptr<device::Stream>& stream) {
  communicator.barrier();
  const bool on_gpu = stream->device().kind == DeviceKind::cuda;
  std::array<double, 1> bandwidth{
      on_gpu ? kernels::gpu::GpuRulers(stream).copy_bytes(seconds_a_sample)
             : share_of_a_core(communicator.topology(), communicator.rank(), cores) *
                   kernels::measure_read_bandwidth(cores.threads)};
  communicator.all_reduce(bandwidth, comm::Reduction::sum);
  return bandwidth[0];
}

Rulers::Rulers(const std::vector<DataType>& types, comm::Communicator& communicator,
               const CoreShare& cores, WithGemm gemm, const std::shared_ptr<device::Stream>& stream)
    : communicator_(communicator),
      threads_(cores.threads),
      share_(share_of_a_core(communicator.topology(), communicator.rank(), cores)),
      gemm_(gemm),
      on_gpu_(stream->device().kind == DeviceKind::cuda) {
  ensure(gemm == WithGemm::no || communicator.size() == 1, "products by BLAS are of one rank");
  if (on_gpu_ && gemm == WithGemm::yes) gpu_ = std::make_unique<kernels::gpu::GpuRulers>(stream);
  for (const auto type : types) best_[type] = {};
}

Rulers::~Rulers() = default;

void Rulers::sample() {
  if (on_gpu_) {
    if (gpu_ != nullptr) sample_gpu();
    return;
  }
  // What is not measured yet is NaN, and fmax takes the other one.
  if (gemm_ == WithGemm::yes) sample_gemm();
  for (auto& [type, best] : best_) {
    communicator_.barrier();
    // A rank keeps its best moment, in which it may have had the cores of another.
    std::array<double, 1> peak{share_ *
                               kernels::measure_peak_flops(type, threads_, seconds_a_sample)};
    communicator_.all_reduce(peak, comm::Reduction::sum);
    best.peak = std::fmax(best.peak, peak[0]);
    if (communicator_.size() == 1) {
      best.chain_seconds =
          std::fmin(best.chain_seconds, kernels::measure_chain_under_peak(type, threads_));
    }
  }
}

void Rulers::sample_gpu() {
  const double copy = gpu_->copy_bytes(seconds_a_sample);
  for (auto& [type, best] : best_) {
    best.gemm = std::fmax(best.gemm, gpu_->gemm_flops(type, seconds_a_sample));
    best.copy = std::fmax(best.copy, copy);
  }
}

void Rulers::sample_gemm() {
  // Types that have the same sums have the same product.
  std::map<DataType, double> measured;
  for (const auto& [type, ceilings] : best_) measured[accumulator_of(type)] = 0;
  for (auto& [type, flops] : measured) {
    flops = measure_gemm_flops(type, threads_, seconds_a_sample);
  }
  for (auto& [type, best] : best_) {
    best.gemm = std::fmax(best.gemm, measured[accumulator_of(type)]);
  }
  if (threads_ > 1) std::this_thread::sleep_for(until_blas_sleeps);
}

}  // namespace annulus::measure
