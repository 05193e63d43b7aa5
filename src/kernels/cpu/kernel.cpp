#include "annulus/kernels/cpu.hpp"

#include "annulus/base/data_type.hpp"
#include "annulus/kernels/backend.hpp"
#include "kernels/cpu/backward_pass.hpp"
#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/pass.hpp"
#include "kernels/cpu/tile_functions.hpp"

namespace annulus::kernels {
namespace {

/// Calls use(functions) with those that compute on inputs of a type.
template <class Use>
auto with_functions(DataType type, Use use) {
  if (type == DataType::bfloat16 && multiplies_bf16_tiles()) return use(amx_functions());
  if (type == DataType::bfloat16 && multiplies_bf16()) return use(tile_functions<BFloat16>());
  return with_accumulator(accumulator_of(type),
                          [&]<class T>() { return use(tile_functions<T>()); });
}

class Cpu final : public Kernel {
 public:
  [[nodiscard]] std::string_view name() const override { return "cpu"; }

  [[nodiscard]] bool supports(DataType) const override { return true; }

  [[nodiscard]] DataType factor_type(DataType type) const override {
    const bool rounds =
        type == DataType::bfloat16 && (multiplies_bf16() || multiplies_bf16_tiles());
    return rounds ? type : accumulator_of(type);
  }

  /// The keys that are summed together, in a lane of vectors of 16 bytes; sums of values, and of
  /// gradients, are those of a tile and then of fewer tiles, or of tile registers, whose sums go on
  /// from one product of 32 terms to the next: to those of 12 tiles, or of a panel of gradients.
  [[nodiscard]] Index longest_sum(DataType type) const override {
    constexpr Index lanes = 16 / sizeof(float);
    constexpr Index sum = summed_tiles * key_tile<float> / lanes;
    constexpr Index product = 2 * tile_size;
    static_assert(sum >= key_tile<BFloat16> + summed_tiles);
    static_assert(sum >= product + summed_tiles * key_tile<BFloat16> / product &&
                  sum >= product + gradient_panel / product);
    return accumulator_of(type) == DataType::float32 ? sum : Kernel::longest_sum(type);
  }

  [[nodiscard]] std::unique_ptr<ForwardPass> forward(const Queries& queries,
                                                     const PassOptions& options) const override {
    return with_functions(
        queries.q.type,
        [&]<class E>(const TileFunctions<E>& functions) -> std::unique_ptr<ForwardPass> {
          return std::make_unique<CpuForward<E>>(queries, options, functions);
        });
  }

  [[nodiscard]] std::unique_ptr<BackwardPass> backward(const BackwardQueries& queries,
                                                       const PassOptions& options) const override {
    return with_functions(
        queries.q.type,
        [&]<class E>(const TileFunctions<E>& functions) -> std::unique_ptr<BackwardPass> {
          return std::make_unique<CpuBackward<E>>(queries, options, functions);
        });
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

namespace backend {
extern const Backend cpu{
    .name = "cpu",
    .description = "vector code for CPUs, SSE4 to AVX-512 chosen at run time, with threads",
    .automatic = true,
    .kernel = kernels::cpu,
};
}  // namespace backend

}  // namespace annulus::kernels
