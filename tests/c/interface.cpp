// The C interface where things go wrong, and what the examples do not show.
#include "annulus/annulus.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace {

constexpr int64_t offsets[] = {0, 3, 8};
constexpr int64_t falling[] = {0, 5, 3};

annulus_problem two_documents() {
  annulus_problem problem{};
  problem.query_heads = 2;
  problem.head_dim = 3;
  problem.documents = 2;
  problem.query_offsets = offsets;
  return problem;
}

/// A call that has to fail with `code` and a message that has `says`.
void expect_refusal(int got, int code, const char* says) {
  EXPECT_EQ(got, code);
  EXPECT_NE(std::string(annulus_message()).find(says), std::string::npos) << annulus_message();
}

template <class Change>
void expect_bad_problem(Change change, const char* says) {
  auto problem = two_documents();
  change(problem);
  annulus_plan* plan = nullptr;
  expect_refusal(annulus_plan_create(&problem, nullptr, 1, &plan), ANNULUS_BAD_INPUT, says);
  EXPECT_EQ(plan, nullptr);
}

template <class Change>
void expect_bad_options(Change change, const char* says) {
  const auto problem = two_documents();
  annulus_options options{};
  change(options);
  annulus_plan* plan = nullptr;
  expect_refusal(annulus_plan_create(&problem, &options, 1, &plan), ANNULUS_BAD_INPUT, says);
}

TEST(CInterface, NamesWhatIsWrongWithAProblem) {
  expect_bad_problem([](auto& problem) { problem.documents = 0; }, "documents");
  expect_bad_problem([](auto& problem) { problem.query_offsets = nullptr; }, "query_offsets");
  expect_bad_problem([](auto& problem) { problem.mask = "diagonal"; }, "mask");
  expect_bad_problem([](auto& problem) { problem.logit_scale = "huge"; }, "logit_scale");
  expect_bad_problem([](auto& problem) { problem.key_heads = 3; }, "3");
  expect_bad_problem([](auto& problem) { problem.head_dim = 0; }, "dim");
  expect_bad_problem([](auto& problem) { problem.key_offsets = falling; }, "key_offsets");
}

TEST(CInterface, NamesWhatIsWrongWithOptions) {
  expect_bad_options([](auto& options) { options.precision = "fp8"; }, "precision");
  expect_bad_options([](auto& options) { options.sharding = "round"; }, "sharding");
  expect_bad_options([](auto& options) { options.key_sharding = "round"; }, "key_sharding");
  expect_bad_options([](auto& options) { options.backend = "abacus"; }, "backend");
  expect_bad_options([](auto& options) { options.threads = -1; }, "threads");
  expect_bad_options([](auto& options) { options.threads = 1 << 30; }, "threads");
}

class CAttention : public testing::Test {
 protected:
  CAttention() {
    EXPECT_EQ(annulus_plan_create(&problem_, nullptr, 1, &plan_), ANNULUS_OK);
    EXPECT_EQ(annulus_attention_create_self(plan_, &attention_), ANNULUS_OK);
  }
  ~CAttention() override {
    annulus_attention_destroy(attention_);
    annulus_plan_destroy(plan_);
  }

  annulus_problem problem_ = two_documents();
  annulus_plan* plan_ = nullptr;
  annulus_attention* attention_ = nullptr;
  std::vector<float> x_ = std::vector<float>(8 * 2 * 3, 1.F);
  std::vector<float> out_ = std::vector<float>(8 * 2 * 3);
};

TEST_F(CAttention, RefusesNull) {
  const auto forward = [&](const float* q, float* out) {
    return annulus_forward(attention_, q, x_.data(), x_.data(), out, nullptr, nullptr, 0);
  };
  expect_refusal(forward(nullptr, out_.data()), ANNULUS_BAD_INPUT, "q is NULL");
  expect_refusal(forward(x_.data(), nullptr), ANNULUS_BAD_INPUT, "out is NULL");
  EXPECT_EQ(forward(x_.data(), out_.data()), ANNULUS_OK);
  for (const float value : out_) EXPECT_NEAR(value, 1, 1e-6);
  expect_refusal(annulus_plan_rows(nullptr, 0, nullptr, nullptr), ANNULUS_BAD_INPUT, "plan");
  int64_t rows = 0;
  expect_refusal(annulus_plan_rows(plan_, 0, &rows, nullptr), ANNULUS_BAD_INPUT, "key_rows");
  expect_refusal(annulus_plan_rows(plan_, 1, &rows, &rows), ANNULUS_BAD_INPUT, "rank is 1");
  expect_refusal(annulus_plan_create(nullptr, nullptr, 1, &plan_), ANNULUS_BAD_INPUT, "problem");
}

/// Asks for statistics of keys that are all alike.
class CStatistics : public CAttention {
 protected:
  int forward(const std::vector<annulus_statistic>& statistics) {
    annulus_outputs outputs{};
    outputs.statistics = statistics.data();
    outputs.statistic_count = static_cast<int64_t>(statistics.size());
    return annulus_forward(attention_, x_.data(), x_.data(), x_.data(), out_.data(), nullptr,
                           &outputs, 0);
  }
  std::map<std::string, std::vector<float>> tables_;
  annulus_statistic wanted(const char* name) {
    return {name, tables_.try_emplace(name, 8 * 2).first->second.data()};
  }
};

TEST_F(CStatistics, AreWrittenByName) {
  std::vector<annulus_statistic> all;
  while (const char* name = annulus_statistic_name(static_cast<int>(all.size()))) {
    all.push_back(wanted(name));
  }
  EXPECT_EQ(annulus_statistic_name(-1), nullptr);
  ASSERT_EQ(forward(all), ANNULUS_OK);
  EXPECT_NEAR(tables_["entropy"][0], std::log(3.), 1e-6);
  EXPECT_NEAR(tables_["entropy"][15], std::log(5.), 1e-6);
  EXPECT_NEAR(tables_["self_probability"][15], 0.2, 1e-6);
  const auto together = tables_;
  for (const auto& statistic : all) {
    tables_[statistic.name].assign(8 * 2, 0);
    ASSERT_EQ(forward({statistic}), ANNULUS_OK);
    EXPECT_EQ(tables_, together) << statistic.name;
  }
}

TEST_F(CStatistics, NamesWhatIsWrong) {
  const auto entropy = wanted("entropy");
  expect_refusal(forward({entropy, wanted("enthalpy")}), ANNULUS_BAD_INPUT,
                 "statistics[1]: unknown statistic 'enthalpy'; expected one of entropy, ");
  expect_refusal(forward({entropy, entropy}), ANNULUS_BAD_INPUT, "statistics[1]: entropy twice");
  expect_refusal(forward({{nullptr, entropy.values}}), ANNULUS_BAD_INPUT, "name is NULL");
  expect_refusal(forward({{"entropy", nullptr}}), ANNULUS_BAD_INPUT,
                 "statistics[0].values is NULL");
  annulus_outputs outputs{};
  const auto attend = [&](int64_t count) {
    outputs.statistic_count = count;
    return annulus_forward(attention_, x_.data(), x_.data(), x_.data(), out_.data(), nullptr,
                           &outputs, 0);
  };
  expect_refusal(attend(1), ANNULUS_BAD_INPUT, "statistics is NULL");
  expect_refusal(attend(-1), ANNULUS_BAD_INPUT, "statistic_count is -1");
}

TEST_F(CAttention, RefusesATableThatIsNotAskedFor) {
  const std::vector<double> table(16, 1.0);
  annulus_inputs inputs{};
  inputs.logit_scale = table.data();
  expect_refusal(annulus_forward(attention_, x_.data(), x_.data(), x_.data(), out_.data(), &inputs,
                                 nullptr, 0),
                 ANNULUS_BAD_INPUT, "logit_scale");
}

TEST_F(CAttention, RefusesNumbersThatAreNone) {
  const auto forward = [&](const double* gain, const double* sink) {
    annulus_inputs inputs{};
    inputs.gain = gain;
    inputs.sink = sink;
    return annulus_forward(attention_, x_.data(), x_.data(), x_.data(), out_.data(), &inputs,
                           nullptr, 0);
  };
  const double nan[] = {1, std::nan("")};
  const double infinite[] = {1, HUGE_VAL};
  const double no_sink[] = {-HUGE_VAL, 0};
  expect_refusal(forward(nan, nullptr), ANNULUS_BAD_INPUT, "gain[1] is nan");
  expect_refusal(forward(nullptr, nan), ANNULUS_BAD_INPUT, "sink[1] is nan");
  expect_refusal(forward(nullptr, infinite), ANNULUS_BAD_INPUT, "sink[1] is inf");
  EXPECT_EQ(forward(nullptr, no_sink), ANNULUS_OK);
}

TEST_F(CAttention, RefusesAPlanForOtherRanks) {
  annulus_plan* plan = nullptr;
  ASSERT_EQ(annulus_plan_create(&problem_, nullptr, 3, &plan), ANNULUS_OK);
  annulus_attention* attention = nullptr;
  expect_refusal(annulus_attention_create_self(plan, &attention), ANNULUS_BAD_INPUT, "3 ranks");
  EXPECT_EQ(attention, nullptr);
  annulus_plan_destroy(plan);
}

TEST_F(CAttention, PlansAsText) {
  size_t needed = 0;
  ASSERT_EQ(annulus_plan_text(plan_, nullptr, 0, &needed), ANNULUS_OK);
  std::string text(needed, 'x');
  ASSERT_EQ(annulus_plan_text(plan_, text.data(), needed, nullptr), ANNULUS_OK);
  EXPECT_EQ(text.back(), '\0');
  EXPECT_NE(text.find("ring over 1 rank"), std::string::npos);
  ASSERT_EQ(annulus_plan_text(plan_, text.data(), 5, &needed), ANNULUS_OK);
  EXPECT_STREQ(text.c_str(), "ring");
  int64_t bytes = 0;
  ASSERT_EQ(annulus_plan_memory(plan_, 0, 1, &bytes), ANNULUS_OK);
  EXPECT_GT(bytes, 8 * 2 * 3 * 4 * 8);
}

TEST_F(CAttention, DecodeGoesOnAfterAPrefill) {
  const int64_t open_ended[] = {0, 0, 0};
  auto problem = problem_;
  problem.query_offsets = open_ended;
  problem.mask = "causal";
  annulus_options options{};
  options.sharding = "zigzag";
  annulus_cache* cache = nullptr;
  expect_refusal(annulus_cache_create_self(&problem, &options, &cache), ANNULUS_BAD_INPUT,
                 "sharding");
  ASSERT_EQ(annulus_cache_create_self(&problem, nullptr, &cache), ANNULUS_OK);
  int64_t rows = 0;
  ASSERT_EQ(annulus_cache_next_of_plan(cache, plan_, &rows), ANNULUS_OK);
  ASSERT_EQ(rows, 8);
  ASSERT_EQ(annulus_cache_append(cache, x_.data(), x_.data()), ANNULUS_OK);
  expect_refusal(annulus_cache_append(cache, x_.data(), x_.data()), ANNULUS_BAD_INPUT, "sequence");
  expect_refusal(annulus_cache_next_of_plan(cache, plan_, &rows), ANNULUS_BAD_INPUT, "sequence");
  const int64_t far_too_many[] = {0, INT64_MAX};
  expect_refusal(annulus_cache_next(cache, far_too_many, &rows), ANNULUS_BAD_INPUT, "sequence 1");
  const int64_t counts[] = {0, 1};
  ASSERT_EQ(annulus_cache_next(cache, counts, &rows), ANNULUS_OK);
  ASSERT_EQ(rows, 1);
  int64_t sequence = -1;
  int64_t position = -1;
  ASSERT_EQ(annulus_cache_tokens(cache, &sequence, &position), ANNULUS_OK);
  EXPECT_EQ(sequence, 1);
  EXPECT_EQ(position, 5);
  ASSERT_EQ(annulus_cache_append(cache, x_.data(), x_.data()), ANNULUS_OK);
  std::vector<float> lse(2);
  annulus_outputs outputs{};
  outputs.lse = lse.data();
  ASSERT_EQ(annulus_cache_attend(cache, x_.data(), out_.data(), nullptr, &outputs), ANNULUS_OK);
  EXPECT_NEAR(lse[0], std::log(6.) + 3 / std::sqrt(3.), 1e-6);
  annulus_cache_destroy(cache);
}

TEST(CInterface, DestroysNothing) {
  annulus_plan_destroy(nullptr);
  annulus_attention_destroy(nullptr);
  annulus_cache_destroy(nullptr);
  EXPECT_STRNE(annulus_version(), "");
}

}  // namespace
