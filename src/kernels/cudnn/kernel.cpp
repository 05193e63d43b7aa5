#include "kernels/cudnn/kernel.hpp"

#include <fmt/format.h>

#include "annulus/base/build.hpp"
#include "annulus/base/error.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/kernels/cudnn.hpp"
#include "annulus/plan/plan.hpp"
#include "kernels/cuda/cuda_launcher.hpp"
#include "kernels/cudnn/backward.hpp"
#include "kernels/cudnn/forward.hpp"
#include "kernels/cudnn/library.hpp"

namespace annulus::kernels {
namespace gpu {
namespace {

/// Whether all runs of more than one row have the same stride.
bool have_one_stride(const Plan& plan) {
  Index stride = 0;
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    for (const auto& shard : {plan.query_shard(rank), plan.key_shard(rank)}) {
      for (const auto& run : shard) {
        if (run.count == 1) continue;
        if (stride != 0 && run.stride != stride) return false;
        stride = run.stride;
      }
    }
  }
  return true;
}

}  // namespace

void CudnnKernel::check_library() const {
  const auto problem = library_.problem();
  if (problem.empty()) return;
  throw InputError(fmt::format("backend cudnn: {}; expected --backend cuda", problem));
}

std::shared_ptr<device::Stream> CudnnKernel::open_stream(int place_on_node) const {
  check_library();
  return launcher_.open_stream(place_on_node);
}

void CudnnKernel::check(const Plan& plan) const {
  const auto& mask = plan.problem().mask;
  if (mask == Mask::full()) return;
  if (mask != Mask::causal()) {
    throw InputError(
        fmt::format("backend cudnn computes --mask full and causal, not {}; expected one of these, "
                    "or --backend cuda",
                    mask.name()));
  }
  if (have_one_stride(plan)) return;
  throw InputError(fmt::format(
      "backend cudnn: --mask causal between queries that are sharded {} and keys that are sharded "
      "{}; expected the same --key-sharding as --sharding, or --backend cuda",
      name_of(plan.sharding()), name_of(plan.key_sharding())));
}

std::unique_ptr<ForwardPass> CudnnKernel::forward(const Queries& queries,
                                                  const PassOptions& options) const {
  check_library();
  return std::make_unique<CudnnForward>(launcher_, library_, queries, options);
}

std::unique_ptr<BackwardPass> CudnnKernel::backward(const BackwardQueries& queries,
                                                    const PassOptions& options) const {
  check_library();
  return std::make_unique<CudnnBackward>(launcher_, library_, in_order_, queries, options);
}

}  // namespace gpu

const Kernel& cudnn() {
  static const gpu::CudnnKernel kernel(gpu::cuda_launcher(), gpu::cudnn_library(),
                                       gpu::wished_kernels().in_order);
  return kernel;
}

namespace backend {
extern const Backend cudnn{
    .name = "cudnn",
    .description =
        "attention of blocks and its gradients by cuDNN, brought together by kernels of this "
        "project",
    .device = DeviceKind::cuda,
    .built = [] { return build_features().cudnn; },
    .kernel = kernels::cudnn,
};
}  // namespace backend

}  // namespace annulus::kernels
