#include "annulus/kernels/reference.hpp"

#include "annulus/kernels/backend.hpp"
#include "kernels/reference/passes.hpp"

namespace annulus::kernels {
namespace {

class Reference final : public Kernel {
 public:
  [[nodiscard]] std::string_view name() const override { return "reference"; }
  [[nodiscard]] bool supports(DataType) const override { return true; }
  [[nodiscard]] std::unique_ptr<ForwardPass> forward(const Queries& queries,
                                                     const PassOptions& options) const override {
    return reference_forward(queries, options);
  }
  [[nodiscard]] std::unique_ptr<BackwardPass> backward(const BackwardQueries& queries,
                                                       const PassOptions& options) const override {
    return reference_backward(queries, options);
  }
};

}  // namespace

const Kernel& reference() {
  static const Reference kernel;
  return kernel;
}

namespace backend {
extern const Backend reference{
    .name = "reference",
    .description = "fp64 loops, by which the others are judged",
    .automatic = true,
    .kernel = kernels::reference,
};
}  // namespace backend

}  // namespace annulus::kernels
