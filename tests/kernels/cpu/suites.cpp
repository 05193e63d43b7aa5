// The cases of every backend on the CPU.
#include "annulus/kernels/reference.hpp"
#include "kernels/cpu/kernels_under_test.hpp"

namespace annulus::test {
namespace {

KernelUnderTest reference() {
  const std::vector types{DataType::float64, DataType::float32, DataType::bfloat16,
                          DataType::float16};
  return {.name = "reference",
          .open =
              [] {
                return std::shared_ptr<const kernels::Kernel>(&kernels::reference(),
                                                              [](const auto*) {});
              },
          .types = types,
          .types_of_many = {DataType::float64},
          .head_dims = {1, 2, 64},
          .value_dims = {1, 8},
          .lengths = {1, 2, 31}};
}

std::vector<KernelUnderTest> on_the_cpu() {
  auto kernels = cpu_kernels();
  kernels.push_back(reference());
  return kernels;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(, ForwardKernel, testing::ValuesIn(on_the_cpu()),
                         name_of_test<KernelUnderTest>);
INSTANTIATE_TEST_SUITE_P(, BackwardKernel, testing::ValuesIn(on_the_cpu()),
                         name_of_test<KernelUnderTest>);
INSTANTIATE_TEST_SUITE_P(, EitherPass, testing::ValuesIn(both_passes(on_the_cpu())),
                         name_of_test<PassUnderTest>);

}  // namespace annulus::test
