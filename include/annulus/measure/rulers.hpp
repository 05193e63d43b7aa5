#pragma once
// What speeds are compared with: ceilings of this machine, measured beside what is timed.

#include <limits>
#include <map>
#include <memory>
#include <vector>

#include "annulus/base/data_type.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/ring/thread_share.hpp"

namespace annulus::kernels::gpu {
class GpuRulers;
}

namespace annulus::measure {

/// Collective. Bytes a second that all ranks together read from memory, by the threads of `cores`,
/// which have no more cores than there are; on a GPU, that a copy within its memory reads and
/// writes. What a token over a cache takes at least follows from it.
[[nodiscard]] double read_bandwidth(comm::Communicator& communicator, const CoreShare& cores,
                                    const std::shared_ptr<device::Stream>& stream);

/// NaN where nothing is timed, and where it is not measured.
struct Ceilings {
  /// FLOP/s of independent multiply-adds in registers, on all ranks at once, which have no more
  /// cores than there are; not of a GPU.
  double peak = std::numeric_limits<double>::quiet_NaN();
  /// Seconds of a chain under them, as kernels::measure_chain_under_peak has it, where
  /// there is one rank: its least.
  double chain_seconds = std::numeric_limits<double>::quiet_NaN();
  /// FLOP/s of a large product of square matrices by BLAS, or cuBLAS.
  double gemm = std::numeric_limits<double>::quiet_NaN();
  /// Bytes read and written a second by a copy within the memory of a GPU.
  double copy = std::numeric_limits<double>::quiet_NaN();
};

/// Whether the product by BLAS is measured too.
enum class WithGemm { no, yes };

/// Samples ceilings again and again and keeps the best: whatever else a machine does only takes
/// away from them.
class Rulers {
 public:
  /// For passes of these types on the device of `stream`, with the threads of `cores` on each rank.
  /// Borrows the communicator, which with WithGemm::yes has one rank.
  Rulers(const std::vector<DataType>& types, comm::Communicator& communicator,
         const CoreShare& cores, WithGemm gemm, const std::shared_ptr<device::Stream>& stream);
  ~Rulers();

  /// Collective. About a tenth of a second for each type. Of a GPU, only with WithGemm::yes.
  void sample();

  /// The best of all samples.
  [[nodiscard]] const Ceilings& of(DataType type) const { return best_.at(type); }

 private:
  void sample_gemm();
  void sample_gpu();

  comm::Communicator& communicator_;
  int threads_;
  double share_;  // of a core that a thread has
  WithGemm gemm_;
  bool on_gpu_;
  std::unique_ptr<kernels::gpu::GpuRulers> gpu_;  // null where it is not measured
  std::map<DataType, Ceilings> best_;
};

}  // namespace annulus::measure
