#pragma once
// What speeds are compared with: ceilings of this machine, measured beside what is timed.

#include <limits>
#include <map>
#include <vector>

#include "annulus/base/data_type.hpp"
#include "annulus/comm/communicator.hpp"

namespace annulus::cli {

/// FLOP/s.
struct Ceilings {
  /// Of independent multiply-adds in registers, on all ranks at once; NaN where nothing is timed.
  double peak = std::numeric_limits<double>::quiet_NaN();
  /// Of a large product of square matrices by BLAS; NaN where it is not measured.
  double gemm = std::numeric_limits<double>::quiet_NaN();
};

/// Whether the product by BLAS is measured too.
enum class WithGemm { no, yes };

/// Samples ceilings again and again and keeps the best: whatever else a machine does only takes
/// away from them.
class Rulers {
 public:
  /// For passes of these types with `threads` threads of each rank. Borrows the communicator, which
  /// with WithGemm::yes has one rank.
  Rulers(const std::vector<DataType>& types, comm::Communicator& communicator, int threads,
         WithGemm gemm);

  /// Collective. About a tenth of a second for each type.
  void sample();

  /// The best of all samples.
  [[nodiscard]] const Ceilings& of(DataType type) const { return best_.at(type); }

 private:
  void sample_gemm();

  comm::Communicator& communicator_;
  int threads_;
  WithGemm gemm_;
  std::map<DataType, Ceilings> best_;
};

}  // namespace annulus::cli
