// That a check can fail: a right result is VALID, and one with a single element off by a tenth of
// the largest is not, nor one of zeros.
#include "annulus/verify/validation.hpp"

#include <gtest/gtest.h>

#include <array>

#include "annulus/comm/self.hpp"
#include "annulus/comm/threads.hpp"
#include "annulus/kernels/cpu.hpp"
#include "verify/outputs.hpp"
#include "verify/perturbed.hpp"

namespace annulus::test {
namespace {

using verify::Checked;

constexpr std::array all_types{DataType::float64, DataType::float32, DataType::bfloat16,
                               DataType::float16};

Problem problem_with(Index length, const char* mask) {
  return {.query_heads = 4,
          .key_heads = 2,
          .head_dim = 16,
          .value_dim = 12,
          .documents = Documents::packed({0, length / 3, length}),
          .mask = Mask::parse(mask)};
}

verify::Validation validate(const Problem& problem, DataType type, Checked what,
                            const kernels::Kernel& kernel) {
  auto self = comm::self();
  const auto plan = make_plan(problem, self.topology(), {.data_type = type});
  return verify::validate_plan(plan, self, kernel, 2, what, 1);
}

/// What is wrong with `perturbation` is said of its output. Gradients may be off with it, as they
/// follow from out and lse.
void expect_invalid(const Problem& problem, DataType type, Checked what,
                    const Perturbation& perturbation) {
  SCOPED_TRACE(std::string(name_of(type)) + ", " + problem.mask.name() + ", " +
               std::string(name_of(what)) + ": " + perturbation.output + "[" +
               std::to_string(perturbation.element) + "] off by " +
               std::to_string(perturbation.tenths) + " tenths");
  const PerturbedKernel kernel(kernels::cpu(), perturbation);
  const auto validation = validate(problem, type, what, kernel);
  EXPECT_FALSE(validation.valid());
  for (const auto& deviation : validation.deviations) {
    if (deviation.name != perturbation.output) continue;
    EXPECT_FALSE(deviation.valid())
        << deviation.error << " of " << deviation.largest << ", bound " << deviation.bound;
  }
}

TEST(Validation, SeesATenthOfTheLargestElementInEveryOutput) {
  Index element = 0;
  for (const auto type : all_types) {
    for (const auto* mask : {"full", "causal", "window:20,5"}) {
      const auto problem = problem_with(79, mask);
      EXPECT_TRUE(validate(problem, type, Checked::backward, kernels::cpu()).valid());
      for (const auto& kind : verify::output_kinds(problem, Checked::backward)) {
        element += 17;
        const std::string name(kind.name);
        expect_invalid(problem, type, Checked::backward, {name, element, element % 2 ? 1.0 : -1.0});
        expect_invalid(problem, type, Checked::backward, {.output = name});
      }
    }
  }
}

// Bounds that grew with the square of the length would not. A tenth is harder to see than zeros,
// which are off by as much as there is.
TEST(Validation, SeesItInLongSequences) {
  const Problem problem{
      .query_heads = 2, .key_heads = 1, .head_dim = 8, .documents = Documents::single(1009)};
  for (const auto type : {DataType::float32, DataType::bfloat16}) {
    EXPECT_TRUE(validate(problem, type, Checked::backward, kernels::cpu()).valid());
    for (const auto* output : {"out", "dq", "dk", "dv"}) {
      expect_invalid(problem, type, Checked::backward, {output, 1001, 1});
    }
  }
}

TEST(Validation, SeesItInDecode) {
  for (const auto type : all_types) {
    const auto problem = problem_with(67, "causal");
    EXPECT_TRUE(validate(problem, type, Checked::decode, kernels::cpu()).valid());
    expect_invalid(problem, type, Checked::decode, {"out", 0, 1});
    expect_invalid(problem, type, Checked::decode, {"out", 0, 0});
  }
}

TEST(Validation, SeesZerosBeforeAnythingIsTimed) {
  auto self = comm::self();
  for (const auto type : all_types) {
    for (const auto* output : {"out", "dq", "dk", "dv"}) {
      const PerturbedKernel kernel(kernels::cpu(), {.output = output});
      EXPECT_FALSE(verify::validate_briefly(problem_with(5000, "causal"), self, {.data_type = type},
                                            kernel, 1, Checked::backward, 1))
          << name_of(type) << ", " << output;
    }
  }
}

// Where every query sees one key, gradients of queries and keys are nothing but rounding errors.
TEST(Validation, BoundsVanishWithTheGradients) {
  for (const auto type : all_types) {
    const auto validation =
        validate(problem_with(61, "window:0"), type, Checked::backward, kernels::cpu());
    EXPECT_TRUE(validation.valid());
    for (const auto& deviation : validation.deviations) {
      if (deviation.name != "dq" && deviation.name != "dk") continue;
      EXPECT_EQ(deviation.largest, 0);
      EXPECT_LE(deviation.bound, 1e4 * unit_roundoff(accumulator_of(type))) << deviation.name;
    }
  }
}

// A backend that keeps no statistics is checked as far as it goes, gradients too.
TEST(Validation, OfABackendWithoutStatistics) {
  auto self = comm::self();
  const WithoutStatistics kernel;
  const auto problem = problem_with(79, "causal");
  for (const auto pass : {Pass::forward, Pass::backward}) {
    const auto what = verify::checked_of(pass, Statistics::off);
    EXPECT_EQ(verify::name_of(what), name_of(pass));
    EXPECT_TRUE(verify::validate_briefly(problem, self, {.data_type = DataType::float32}, kernel, 1,
                                         what, 1));
    std::vector<std::string> names;
    for (const auto& deviation : validate(problem, DataType::float32, what, kernel).deviations) {
      EXPECT_TRUE(deviation.valid()) << deviation.name;
      names.push_back(deviation.name);
    }
    const std::vector<std::string> forward{"out", "lse"};
    const std::vector<std::string> backward{"out", "lse", "dq", "dk", "dv", "dgain"};
    EXPECT_EQ(names, pass == Pass::forward ? forward : backward);
  }
  for (const auto* output : {"out", "dq", "dk", "dv", "dgain"}) {
    expect_invalid(problem, DataType::float32, Checked::backward_without_statistics,
                   {output, 5, 1});
  }
}

TEST(Validation, IsTheSameOnAllRanks) {
  const auto problem = problem_with(97, "causal");
  comm::run_threads(3, [&](comm::Communicator& communicator) {
    const auto plan = make_plan(problem, communicator.topology(), {.data_type = DataType::float32});
    const auto validation =
        verify::validate_plan(plan, communicator, kernels::cpu(), 1, Checked::backward, 1);
    std::vector<std::string> names;
    for (const auto& deviation : validation.deviations) {
      EXPECT_TRUE(deviation.valid()) << deviation.name;
      EXPECT_GT(deviation.bound, 0) << deviation.name;
      names.push_back(deviation.name);
    }
    EXPECT_EQ(names, (std::vector<std::string>{"out", "lse", "entropy", "effective_keys",
                                               "participation", "max_probability", "max_logit",
                                               "self_probability", "dq", "dk", "dv", "dgain"}));
  });
}

}  // namespace
}  // namespace annulus::test
