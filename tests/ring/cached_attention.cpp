// Tokens that come one by one or in chunks, over a cache on any number of ranks: the same attention
// as one forward pass.
#include <gtest/gtest.h>

#include <numeric>

#include "annulus/base/error.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/kernels/cpu.hpp"
#include "support/decode.hpp"
#include "support/expect_close.hpp"

namespace annulus::test {
namespace {

constexpr int rank_counts[] = {1, 2, 3, 4, 5, 8};

std::vector<Index> first_rows(Index count) {
  std::vector<Index> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), Index{0});
  return rows;
}

template <class T>
void expect_decodes(WholeProblem<T> whole, const char* what) {
  const auto expected = direct(whole);
  for (const auto name : kernels::backend_names(DeviceKind::cpu)) {
    const auto& kernel = kernels::find_backend(name, data_type_of<T>);
    const auto bounds = bounds_of(whole, kernel);
    for (const int ranks : rank_counts) {
      SCOPED_TRACE(std::string(what) + ", " + std::string(name) + ", P = " + std::to_string(ranks));
      expect_close(decode(whole, whole.problem, ranks, kernel, one_by_one), expected, bounds);
      expect_close(decode(whole, whole.problem, ranks, kernel, chunks_then_one_by_one), expected,
                   bounds);
      for (const auto sharding : all_shardings()) {
        expect_close(decode(whole, whole.problem, ranks, kernel, chunks_then_one_by_one, sharding),
                     expected, bounds);
      }
      if (testing::Test::HasFailure()) return;
    }
  }
}

Problem sequence_of(Index n) {
  return {.query_heads = 4,
          .key_heads = 2,
          .head_dim = 7,
          .value_dim = 5,
          .documents = Documents::single(n),
          .mask = Mask::causal()};
}

TEST(CachedAttention, IsOneCausalForwardForEveryLogitScale) {
  for (const auto name : LogitScale::names()) {
    auto problem = sequence_of(31);
    problem.logit_scale = LogitScale::parse(name);
    expect_decodes(random_problem<double>(problem, 3), std::string(name).c_str());
  }
  auto problem = sequence_of(31);
  for (const auto* scale : {"critical:gamma=0.7,length=visible,base=rsqrt_d", "ssmax:length=global",
                            "llama4:floor=4", "grok:train_length=8"}) {
    problem.logit_scale = LogitScale::parse(scale);
    expect_decodes(random_problem<float>(problem, 3), scale);
  }
}

TEST(CachedAttention, KnowsWindowsSequencesSinksAndGains) {
  auto problem = sequence_of(0);
  problem.documents = Documents::packed({0, 13, 14, 14, 43});
  problem.logit_scale = LogitScale::critical(0.4);
  for (const auto* mask : {"causal", "window:5", "window:0"}) {
    problem.mask = Mask::parse(mask);
    auto whole = random_problem<double>(problem, 5);
    whole.gain = {0.5, -1.0, 0.0, 2.0};
    whole.sink = {0.3, -std::numeric_limits<double>::infinity(), 4.0, -2.0};
    expect_decodes(whole, mask);
  }
}

TEST(CachedAttention, KnowsHalfPrecision) {
  expect_decodes(random_problem<BFloat16>(sequence_of(29), 5), "bf16");
  expect_decodes(random_problem<Float16>(sequence_of(29), 5), "fp16");
}

TEST(CachedAttention, TakesLongChunksInPieces) {
  auto problem = sequence_of(5003);
  problem.query_heads = 1;
  problem.key_heads = 1;
  auto whole = random_problem<float>(problem, 5);
  const auto at_once = [](const std::vector<Index>& left, int) { return left; };
  expect_close(decode(whole, problem, 3, kernels::cpu(), at_once), direct(whole),
               bounds_of(whole, kernels::cpu()));
}

// Where nobody says how long a sequence will be, global scales see what is there: in a causal
// sequence, what the query sees.
TEST(CachedAttention, OpenEndedSequencesScaleWithWhatIsThere) {
  auto problem = sequence_of(31);
  problem.logit_scale = LogitScale::parse("critical:length=visible");
  auto whole = random_problem<double>(problem, 5);
  auto open = problem;
  open.documents = Documents::single(0);
  open.logit_scale = LogitScale::parse("critical:length=global");
  for (const int ranks : rank_counts) {
    expect_close(decode(whole, open, ranks, kernels::cpu(), one_by_one), direct(whole),
                 bounds_of(whole, kernels::cpu()));
  }
}

TEST(CachedAttention, ContinuesAPrefillByTheRing) {
  const Index n = 67;
  const Index prefix = 50;
  auto problem = sequence_of(n);
  problem.logit_scale = LogitScale::parse("ssmax:s=0.6");
  auto whole = random_problem<double>(problem, 5);
  const auto expected = direct(whole);
  const auto bounds = bounds_of(whole, kernels::cpu());
  for (const int ranks : rank_counts) {
    for (const auto sharding : all_shardings()) {
      Outputs<double> got(n, problem.query_heads, problem.output_dim());
      comm::run_threads(ranks, [&](comm::Communicator& communicator) {
        // The ring knows the prefix alone; with `visible` lengths it need not know more.
        auto known = problem;
        known.documents = Documents::single(prefix);
        const WholeProblem<double> first{.problem = known,
                                         .q = take_rows(whole.q, first_rows(prefix)),
                                         .k = take_rows(whole.k, first_rows(prefix)),
                                         .v = take_rows(whole.v, first_rows(prefix)),
                                         .gain = {},
                                         .sink = {},
                                         .table = {}};
        const auto plan = plan_by(kernels::cpu(), first, communicator.topology(), sharding);
        CachedAttention attention(problem, DataType::float64, communicator, kernels::cpu());
        attend(first, communicator, plan, kernels::cpu(), got);
        CacheChunk held;
        for (int rank = 0; rank < plan.ranks(); ++rank) held.shards.push_back(plan.key_shard(rank));
        const auto rows = rows_of(held, communicator.rank(), known.documents);
        attention.append(held, take_rows(whole.k, rows).view(), take_rows(whole.v, rows).view());
        for (Index i = prefix; i < n; ++i) {
          const auto chunk = attention.layout().next(std::vector<Index>{1});
          const auto row = rows_of(chunk, communicator.rank(), problem.documents);
          attention.append(chunk, take_rows(whole.k, row).view(), take_rows(whole.v, row).view());
          Outputs<double> local(static_cast<Index>(row.size()), 4, 5);
          attention.attend(chunk, take_rows(whole.q, row).view(), local.out.view(),
                           {.lse = local.lse.view()});
          put_rows(got.out, row, local.out);
          put_rows(got.lse, row, local.lse);
        }
      });
      expect_close("out", got.out.values, expected.out.values, bounds.out.values);
      expect_close("lse", got.lse.values, expected.lse.values, bounds.lse.values);
    }
  }
}

TEST(CachedAttention, KeepsAnEvenShareOfTheCache) {
  const auto problem = sequence_of(64);
  const auto whole = random_problem<float>(problem, 5);
  std::vector<Index> bytes(4);
  comm::run_threads(4, [&](comm::Communicator& communicator) {
    CachedAttention attention(problem, DataType::float32, communicator, kernels::cpu());
    for (int step = 0; step < 64; ++step) {
      const auto chunk = attention.layout().next(std::vector<Index>{1});
      const auto rows = rows_of(chunk, communicator.rank(), problem.documents);
      attention.append(chunk, take_rows(whole.k, rows).view(), take_rows(whole.v, rows).view());
    }
    bytes[static_cast<std::size_t>(communicator.rank())] = attention.bytes();
  });
  for (const Index own : bytes) EXPECT_EQ(own, 16 * 2 * (7 + 5) * 4);
}

TEST(CachedAttention, RefusesWhatDoesNotFit) {
  auto self = comm::self();
  auto problem = sequence_of(3);
  CachedAttention attention(problem, DataType::float32, self, kernels::cpu());
  const Tensor<float> q(3, 4, 7);
  const Tensor<float> k(3, 2, 7);
  const Tensor<float> v(3, 2, 5);
  Tensor<float> out(3, 4, 5);
  const auto chunk = attention.layout().next(std::vector<Index>{3});
  EXPECT_THROW(attention.attend(chunk, q.view(), out.view()), InputError);  // not there yet
  EXPECT_THROW(attention.append(chunk, v.view(), v.view()), Error);
  EXPECT_EQ(attention.layout().length(0), 0);
  attention.append(chunk, k.view(), v.view());
  EXPECT_THROW(attention.append(attention.layout().next(std::vector<Index>{3}), k.view(), v.view()),
               InputError);  // longer than its document
  EXPECT_THROW(attention.attend(chunk, k.view(), out.view()), Error);
  EXPECT_THROW(attention.attend({.shards = {}}, q.view(), out.view()), InputError);
  EXPECT_THROW(attention.attend({.shards = {{annulus::Run{.document = 1, .count = 3}}}}, q.view(),
                                out.view()),
               InputError);
  EXPECT_THROW(CachedAttention(problem, DataType::float32, self, kernels::cpu(), 0), InputError);
  problem.query_heads = 3;
  EXPECT_THROW(CachedAttention(problem, DataType::float32, self, kernels::cpu()), InputError);
}

}  // namespace
}  // namespace annulus::test
