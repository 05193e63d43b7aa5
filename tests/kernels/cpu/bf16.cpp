// bf16 where the CPU multiplies it, and where it is widened.
#include "kernels/cpu/bf16.hpp"

#include "kernels/cpu/kernels_under_test.hpp"
#include "support/rounded_factors.hpp"

namespace annulus::test {
namespace {

class CpuBFloat16 : public ForwardKernel {};
INSTANTIATE_TEST_SUITE_P(, CpuBFloat16, testing::ValuesIn(cpu_kernels()),
                         name_of_test<KernelUnderTest>);

TEST_P(CpuBFloat16, IsMultipliedWhereTheMachineAndTheTargetCanAndItIsFaster) {
  if (!machine_has_bf16_pairs()) {
    EXPECT_FALSE(kernels::multiplies_bf16());
    EXPECT_FALSE(kernels::multiplies_bf16_tiles());
  } else if (!kernels::multiplies_bf16_tiles()) {
    EXPECT_EQ(kernels::multiplies_bf16(), kernels::measure_bf16_speeds(true, false).pairs > 1);
  }
  EXPECT_EQ(kernels::cpu().factor_type(DataType::bfloat16),
            kernels::multiplies_bf16() || kernels::multiplies_bf16_tiles() ? DataType::bfloat16
                                                                           : DataType::float32);
  const kernels::WidenedBFloat16ForTest widened;
  EXPECT_FALSE(kernels::multiplies_bf16());
  EXPECT_FALSE(kernels::multiplies_bf16_tiles());
  EXPECT_EQ(kernels::cpu().factor_type(DataType::bfloat16), DataType::float32);
}

TEST(CpuBFloat16Choice, IsTheFasterWayUnlessAskedOtherwise) {
  const auto choose = [](std::string_view wish, double pairs, double tiles) {
    const auto choice = kernels::choose_bf16(wish, {pairs, tiles});
    return std::pair(choice.pairs, choice.tiles);
  };
  const std::pair widened(false, false);
  const std::pair pairs(true, false);
  EXPECT_EQ(choose("auto", 1.87, 0), pairs);
  EXPECT_EQ(choose("auto", 0.48, 0), widened);
  EXPECT_EQ(choose("dot", 0.48, 7), pairs);
  EXPECT_EQ(choose("widen", 1.87, 7), widened);
  EXPECT_EQ(choose("auto", 1.87, 7), std::pair(true, true));
  EXPECT_EQ(choose("auto", 0.48, 7), std::pair(false, true));
  EXPECT_EQ(choose("auto", 1.87, 1.5), pairs);
  EXPECT_EQ(choose("auto", 0.48, 0.9), widened);
  EXPECT_EQ(choose("amx", 0.48, 0.9), std::pair(false, true));
}

TEST(CpuBFloat16Choice, RefusesWhatIsNotThereAndSaysWhatIs) {
  const auto message_for = [](std::string_view wish, double pairs = 0) {
    try {
      static_cast<void>(kernels::choose_bf16(wish, {.pairs = pairs}));
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message_for("auto"), "");
  EXPECT_EQ(message_for("widen"), "");
  EXPECT_EQ(message_for("yes"), "ANNULUS_BF16=yes: expected auto, amx, dot or widen");
  EXPECT_EQ(message_for("dot"),
            "ANNULUS_BF16=dot: this machine, or the instruction set in use, has no dot products of "
            "bf16; expected auto or widen");
  EXPECT_EQ(message_for("amx"),
            "ANNULUS_BF16=amx: this machine, or the instruction set in use, has no tile registers "
            "(AMX-BF16); expected auto or widen");
  EXPECT_NE(message_for("amx", 1.9).find("expected auto, dot or widen"), std::string::npos);
}

TEST_P(CpuBFloat16, OtherTypesAreNeverRounded) {
  EXPECT_EQ(kernels::cpu().factor_type(DataType::float64), DataType::float64);
  EXPECT_EQ(kernels::cpu().factor_type(DataType::float32), DataType::float32);
  EXPECT_EQ(kernels::cpu().factor_type(DataType::float16), DataType::float32);
}

// The bounds of fp32, as the kernel then says that it does not round weights.
TEST_P(CpuBFloat16, WidenedIsFp32) {
  const kernels::WidenedBFloat16ForTest widened;
  for (const auto* mask : {"full", "causal", "window:60,30"}) {
    expect_outputs(random_problem<BFloat16>({.query_heads = 4,
                                             .key_heads = 2,
                                             .head_dim = 33,
                                             .value_dim = 17,
                                             .documents = Documents::single(307),
                                             .mask = Mask::parse(mask)},
                                            5),
                   {{}, {.sharding = Sharding::striped, .shards = 3}});
  }
}

/// Root of the mean square of what is off.
template <class T>
double error_of(const Tensor<T>& got, const Tensor<double>& exact) {
  double sum = 0;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double difference = static_cast<double>(got.values[i]) - exact.values[i];
    sum += difference * difference;
  }
  return std::sqrt(sum / static_cast<double>(got.values.size()));
}

TEST_P(CpuBFloat16, ErrorIsAtMostTwiceThatOfAReferenceWithRoundedWeights) {
  for (const double size : {0.1, 1.0, 10.0, 1000.0}) {
    auto whole = random_problem<BFloat16>(
        {.head_dim = 64, .documents = Documents::single(311, 1009)}, 5, size);
    const auto exact = direct(whole).out;
    const auto reference = with_rounded_factors(whole, random_dout<BFloat16>(whole.problem));
    EXPECT_LE(error_of(attend_by(kernels::cpu(), whole).out, exact),
              2 * error_of(reference.out, exact))
        << size;
  }
}

/// One value column, 16 queries on 40 keys.
WholeProblem<BFloat16> small_problem() {
  return {.problem = {.head_dim = 3,
                      .documents = Documents::single(16, 40),
                      .logit_scale = LogitScale::parse("none:base=1")},
          .q = {16, 1, 3},
          .k = {40, 1, 3},
          .v = {40, 1, 3},
          .gain = {},
          .sink = {},
          .table = {}};
}

// The dot product takes denormal numbers as zero: what they would have added is below the smallest
// normal number.
TEST_P(CpuBFloat16, DenormalInputsAreAsGoodAsZero) {
  auto whole = small_problem();
  for (auto* tensor : {&whole.q, &whole.k, &whole.v}) {
    for (auto& value : tensor->values) value = BFloat16(0x1.8p-130);
  }
  const auto got = attend_by(kernels::cpu(), whole);
  for (const float value : got.out.values) EXPECT_NEAR(value, 0x1.8p-130, 0x1p-126);
  for (const float lse : got.lse.values) {
    EXPECT_NEAR(static_cast<double>(lse), std::log(40.0), 8 * unit_roundoff(DataType::float32));
  }
}

TEST_P(CpuBFloat16, LogitsAtTheEndsOfTheRange) {
  auto whole = small_problem();
  for (Index i = 0; i < 16; ++i) whole.q.at(i, 0, 1) = BFloat16(i % 2 == 0 ? 0x1p63 : -0x1p63);
  for (Index j = 0; j < 40; ++j) {
    whole.k.at(j, 0, 1) = BFloat16(j % 2 == 0 ? -0x1.8p63 : 0x1.8p63);
    whole.v.at(j, 0, 2) = BFloat16(static_cast<double>(j % 2));
  }
  const auto got = attend_by(kernels::cpu(), whole);
  for (Index i = 0; i < 16; ++i) {
    EXPECT_EQ(got.out.at(i, 0, 2), i % 2 == 0 ? 1.0F : 0.0F);
    EXPECT_EQ(got.lse.at(i, 0, 0), 0x1.8p126F);
    EXPECT_EQ(got.statistic("participation").at(i, 0, 0), 20.0F);
  }
}

}  // namespace
}  // namespace annulus::test
