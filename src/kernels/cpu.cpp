#include "annulus/kernels/cpu.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "kernels/cpu_backward_pass.hpp"
#include "kernels/cpu_pass.hpp"
#include "kernels/cpu_tile.hpp"

namespace annulus::kernels {
namespace {

class Cpu final : public Kernel {
 public:
  [[nodiscard]] std::string_view name() const override { return "cpu"; }

  [[nodiscard]] bool supports(DataType type) const override {
    return type == DataType::float32 || type == DataType::float64;
  }

  [[nodiscard]] std::unique_ptr<ForwardPass> forward(const Queries& queries,
                                                     const PassOptions& options) const override {
    if (is_double(queries.q.type)) return std::make_unique<CpuForward<double>>(queries, options);
    return std::make_unique<CpuForward<float>>(queries, options);
  }

  [[nodiscard]] std::unique_ptr<BackwardPass> backward(const BackwardQueries& queries,
                                                       const PassOptions& options) const override {
    if (is_double(queries.q.type)) return std::make_unique<CpuBackward<double>>(queries, options);
    return std::make_unique<CpuBackward<float>>(queries, options);
  }

 private:
  /// fp64 rather than fp32; throws for all other types.
  static bool is_double(DataType type) {
    if (type == DataType::float64 || type == DataType::float32) return type == DataType::float64;
    throw InputError(fmt::format(
        "backend 'cpu' does not compute in precision {}; expected fp32 or fp64", name_of(type)));
  }
};

}  // namespace

const Kernel& cpu() {
  static const Cpu kernel;
  return kernel;
}

std::string simd_target() {
  return tile_functions<float>().target;
}

}  // namespace annulus::kernels
