#include "annulus/attention/logit_scale.hpp"

#include <cmath>

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

using testing::AllOf;
using testing::HasSubstr;

double beta(const char* text, QueryPlace place, Index head_dim = 64) {
  return LogitScale::parse(text).beta(place, head_dim);
}

/// A query of a causal document that sees everything up to itself.
QueryPlace causal(Index document_length, Index position) {
  return {.document_length = document_length, .visible = position + 1, .position = position};
}

std::string message_of(const char* text) {
  try {
    (void)LogitScale::parse(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

// Ten digits are given, so half a unit of the last one.
constexpr double digits = 5.1e-11;

TEST(LogitScale, Qwen) {
  const auto at = [](Index n) { return beta("qwen", causal(40000, n - 1)); };
  EXPECT_EQ(at(2047), 1);
  EXPECT_EQ(at(2048), 1);
  EXPECT_NEAR(at(2049), 1.0000640245, digits);
  EXPECT_NEAR(at(4096), 12. / 11, 1e-15);
  EXPECT_NEAR(at(8192), 13. / 11, 1e-15);
  EXPECT_NEAR(at(32768), 15. / 11, 1e-15);
}

TEST(LogitScale, Su) {
  EXPECT_NEAR(beta("su", causal(1 << 20, 4095)), 4. / 3, 1e-15);
  EXPECT_NEAR(beta("su", causal(1 << 20, 262143)), 2, 1e-15);
  EXPECT_EQ(beta("su:base_length=64", causal(1 << 20, 4095)), 2);
}

TEST(LogitScale, Llama4) {
  const auto at = [](Index i) { return beta("llama4", causal(1 << 20, i)); };
  EXPECT_EQ(at(0), 1);
  EXPECT_EQ(at(8190), 1);
  EXPECT_NEAR(at(8191), 1.0693147181, digits);
  EXPECT_NEAR(at(16383), 1.1098612289, digits);
  EXPECT_NEAR(at(131071), 1.2833213344, digits);
}

TEST(LogitScale, Ministral) {
  const auto at = [](Index i) { return beta("ministral", causal(1 << 20, i)); };
  EXPECT_EQ(at(16383), 1);
  EXPECT_NEAR(at(16384), 1.0693147181, digits);
  EXPECT_NEAR(at(131072), 1.2197224577, digits);
}

TEST(LogitScale, Yarn) {
  EXPECT_NEAR(beta("yarn", causal(8, 3)), 1.2964769928, digits);
  EXPECT_NEAR(beta("yarn:factor=32", causal(8, 3)), 1.8132604340, digits);
  EXPECT_NEAR(beta("yarn:factor=40", causal(8, 3)), 1.8738542071, digits);
  EXPECT_EQ(beta("yarn:factor=1", causal(8, 3)), 1);
  EXPECT_EQ(beta("yarn:factor=0.5", causal(8, 3)), 1);  // nothing is stretched
}

TEST(LogitScale, Grok) {
  EXPECT_EQ(beta("grok", causal(1 << 20, 1024)), 1);
  EXPECT_NEAR(beta("grok", causal(1 << 20, 1025)), std::log(1025.) / std::log(1024.), 1e-15);
  EXPECT_NEAR(beta("grok", causal(1 << 20, 1 << 15)), 1.5, 1e-15);
}

TEST(LogitScale, Infoscale) {
  const auto expected = [](double n, double d) {
    return std::sqrt((1 - std::pow(n, -2 / d)) / (1 - std::pow(2048, -2 / d)));
  };
  EXPECT_NEAR(beta("infoscale", causal(1 << 20, 2047)), 1, 1e-15);
  EXPECT_NEAR(beta("infoscale", causal(1 << 20, 65535)), expected(65536, 64), 1e-14);
  EXPECT_NEAR(beta("infoscale", causal(1 << 20, 65535), 128), expected(65536, 128), 1e-14);
  EXPECT_EQ(beta("infoscale", causal(1 << 20, 0)), 0);
}

TEST(LogitScale, CriticalAndSsmaxDifferInLengthAndBase) {
  EXPECT_NEAR(beta("critical:gamma=2", causal(1024, 10)), 2 * std::log(1024.), 1e-15);
  EXPECT_NEAR(beta("ssmax:s=0.43", causal(1024, 10)), 0.43 * std::log(11.), 1e-15);
  EXPECT_NEAR(beta("critical:length=visible", causal(1024, 10)), std::log(11.), 1e-15);
  EXPECT_NEAR(beta("ssmax:length=global", causal(1024, 10)), std::log(1024.), 1e-15);
  EXPECT_EQ(LogitScale::parse("critical").base(64), 1);
  EXPECT_EQ(LogitScale::parse("ssmax").base(64), 0.125);
  EXPECT_EQ(LogitScale::critical(2).name(), LogitScale::parse("critical:gamma=2").name());
}

TEST(LogitScale, DefaultsOfBaseAndLength) {
  for (const auto name : LogitScale::names()) {
    const auto scale = LogitScale::parse(name);
    EXPECT_EQ(scale.base(16), name == "critical" ? 1 : 0.25) << name;
    const bool visible = name == "ssmax" || name == "su" || name == "infoscale";
    EXPECT_THAT(scale.name(), HasSubstr(visible ? "length=visible" : "length=global"));
  }
}

TEST(LogitScale, NoQueryMakesAnythingButNumbers) {
  // Queries before the first key, queries that see nothing, documents of one key.
  for (const auto name : LogitScale::names()) {
    for (const QueryPlace place : {QueryPlace{3, 0, -7}, QueryPlace{1, 1, 0}, QueryPlace{0, 0, 0},
                                   QueryPlace{Index{1} << 40, Index{1} << 40, Index{1} << 40}}) {
      EXPECT_TRUE(std::isfinite(LogitScale::parse(name).beta(place, 1))) << name;
    }
  }
}

TEST(LogitScale, ParseReadsWhatNameWrites) {
  for (const auto* text : {"none", "critical:gamma=0.1", "qwen:train_length=4096,base=0.3",
                           "llama4:floor=3,coefficient=1e-3,length=visible", "table",
                           "yarn:mscale=-0.5,base=rsqrt_d"}) {
    const auto scale = LogitScale::parse(text);
    EXPECT_EQ(LogitScale::parse(scale.name()).name(), scale.name()) << text;
  }
}

TEST(LogitScale, BadTextsSayWhatExists) {
  EXPECT_THAT(message_of("sqrt"), AllOf(HasSubstr("'sqrt'"), HasSubstr("infoscale, table")));
  EXPECT_THAT(message_of("critical:beta=2"), AllOf(HasSubstr("'beta'"), HasSubstr("gamma, base")));
  EXPECT_THAT(message_of("critical:gamma"), HasSubstr("key=value"));
  EXPECT_THAT(message_of("critical:gamma=two"), HasSubstr("a number"));
  EXPECT_THAT(message_of("critical:gamma=nan"), HasSubstr("a number"));
  EXPECT_THAT(message_of("critical:gamma=inf"), HasSubstr("a number"));
  EXPECT_THAT(message_of("critical:gamma="), HasSubstr("a number"));
  EXPECT_THAT(message_of("critical:gamma=1,"), HasSubstr("key=value"));
  EXPECT_THAT(message_of("critical:gamma=1,gamma=2"), HasSubstr("twice"));
  EXPECT_THAT(message_of("critical:length=local"), HasSubstr("global or visible"));
  EXPECT_THAT(message_of("critical:base=d"), HasSubstr("rsqrt_d or a number"));
  EXPECT_THAT(message_of("qwen:train_length=1"), HasSubstr("above 1"));
  EXPECT_THAT(message_of("su:base_length=1"), HasSubstr("above 1"));
  EXPECT_THAT(message_of("llama4:floor=0"), HasSubstr("above 0"));
  EXPECT_THAT(message_of("critical:"), HasSubstr("key=value"));
}

}  // namespace
}  // namespace annulus
