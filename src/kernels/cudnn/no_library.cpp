// A build without cuDNN.
#include "annulus/base/error.hpp"
#include "annulus/kernels/cudnn.hpp"
#include "kernels/cudnn/library.hpp"

namespace annulus::kernels {
namespace gpu {
namespace {

class NoCudnn final : public PairLibrary {
 public:
  [[nodiscard]] std::string problem() const override { return cudnn_problem(); }
  [[nodiscard]] std::unique_ptr<PairAttention> open(
      const std::shared_ptr<device::Stream>&) const override {
    throw InputError(problem());
  }
};

}  // namespace

const PairLibrary& cudnn_library() {
  static const NoCudnn library;
  return library;
}

}  // namespace gpu

std::string cudnn_version() {
  return {};
}

std::string cudnn_problem() {
  return "this build has no cuDNN; build with -DANNULUS_CUDNN=ON";
}

}  // namespace annulus::kernels
