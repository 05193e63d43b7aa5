// The backends, the fastest of a device first: one line each.
// clang-format off
#define ANNULUS_BACKENDS(backend) \
  backend(cpu)                    \
  backend(reference)              \
  backend(cuda)                   \
  backend(cudnn)
// clang-format on

#include <array>

#include "annulus/kernels/backend.hpp"

namespace annulus::kernels {
namespace backend {
#define ANNULUS_DECLARE(name) extern const Backend name;
ANNULUS_BACKENDS(ANNULUS_DECLARE)
}  // namespace backend

std::span<const Backend* const> backends() {
#define ANNULUS_ADDRESS(name) &backend::name,
  static constexpr std::array all{ANNULUS_BACKENDS(ANNULUS_ADDRESS)};
  return all;
}

}  // namespace annulus::kernels
