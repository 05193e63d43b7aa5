// What a plan says a pass costs, against what it costs: bytes that are sent, and memory.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string>

#include "annulus/base/tensor.hpp"
#include "annulus/comm/threads.hpp"
#include "annulus/kernels/cpu.hpp"
#include "annulus/plan/cost.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "support/schedules.hpp"

namespace annulus::test {
namespace {

struct Reports {
  PassReport forward;
  PassReport backward;
};

/// Runs a plan on zeros.
Reports run(const Plan& plan, comm::Communicator& communicator, bool backward) {
  const auto& problem = plan.problem();
  const int rank = communicator.rank();
  const auto sums = accumulator_of(plan.data_type());
  const Index rows = plan.query_rows(rank);
  const Index keys = plan.key_rows(rank);
  const Tensor q(plan.data_type(), rows, problem.query_heads, problem.head_dim);
  const Tensor k(plan.data_type(), keys, problem.key_heads, problem.head_dim);
  const Tensor v(plan.data_type(), keys, problem.key_heads, problem.output_dim());
  Tensor out(sums, rows, problem.query_heads, problem.output_dim());
  Tensor lse(sums, rows, problem.query_heads, 1);
  RingAttention attention(plan, communicator, kernels::cpu());
  HeldShards held;
  Reports reports;
  reports.forward = attention.forward(q.view(), k.view(), v.view(), out.view(),
                                      {.lse = lse.view(), .held = backward ? &held : nullptr});
  if (!backward) return reports;
  const Tensor dout(plan.data_type(), rows, problem.query_heads, problem.output_dim());
  Tensor dq(sums, rows, problem.query_heads, problem.head_dim);
  Tensor dk(sums, keys, problem.key_heads, problem.head_dim);
  Tensor dv(sums, keys, problem.key_heads, problem.output_dim());
  reports.backward = attention.backward({.q = q.view(),
                                         .k = k.view(),
                                         .v = v.view(),
                                         .out = std::as_const(out).view(),
                                         .lse = std::as_const(lse).view(),
                                         .dout = dout.view(),
                                         .held = std::move(held)},
                                        {.dq = dq.view(), .dk = dk.view(), .dv = dv.view()});
  return reports;
}

TEST(Resources, BytesSentAreThoseOfThePlan) {
  Problem problem{.query_heads = 2, .key_heads = 1, .head_dim = 3, .value_dim = 2};
  for (const auto& documents :
       {Documents::single(67), Documents::packed({0, 30, 31, 67}), Documents::single(5, 40)}) {
    problem.documents = documents;
    for (const auto* mask : {"full", "causal", "window:9", "window:5,11"}) {
      problem.mask = Mask::parse(mask);
      for (const auto sharding : all_shardings()) {
        for (const auto& topology :
             {Topology{.ranks = 1}, Topology{.ranks = 2}, Topology{.ranks = 3},
              Topology{.ranks = 5}, Topology{.ranks = 8}, even_topology(3, 3), even_topology(4, 2),
              even_topology(6, 2), even_topology(9, 3)}) {
          const int ranks = topology.ranks;
          SCOPED_TRACE(std::string(mask) + " " + std::string(name_of(sharding)) + " " +
                       std::to_string(ranks));
          auto nodes = topology;
          if (nodes.node_of.empty()) nodes = even_topology(ranks, 1);
          auto schedules = schedules_for(ranks, problem.query_heads);
          schedules.push_back(fitting_schedule(topology));
          for (const auto& schedule : schedules) {
            SCOPED_TRACE(name_of(schedule));
            const auto plan = make_plan(
                problem, topology,
                {.sharding = sharding, .schedule = schedule, .data_type = DataType::bfloat16});
            const auto forward = cost_of(plan);
            const auto backward = cost_of(plan, Pass::backward);
            comm::run_threads(nodes, [&](comm::Communicator& communicator) {
              const auto at = static_cast<std::size_t>(communicator.rank());
              const auto reports = run(plan, communicator, true);
              EXPECT_EQ(reports.forward.bytes_sent, forward.ranks[at].bytes_sent);
              EXPECT_EQ(reports.backward.bytes_sent, backward.ranks[at].bytes_sent);
            });
          }
        }
      }
    }
  }
}

// (P - 1) gradients of every shard travel; of the shards themselves the last one is there already.
TEST(Resources, TheBackwardVolumeIsTheClosedForm) {
  const Problem problem{
      .query_heads = 8, .key_heads = 2, .head_dim = 64, .documents = Documents::single(1024)};
  for (const int ranks : {2, 4, 8}) {
    const auto plan =
        make_plan(problem, {.ranks = ranks},
                  {.sharding = Sharding::contiguous, .data_type = DataType::bfloat16});
    for (const auto& rank : cost_of(plan, Pass::backward).ranks) {
      const Index shard = 2 * (1024 / ranks) * 2 * 64;
      EXPECT_EQ(rank.bytes_sent, (ranks - 2) * shard * 2 + (ranks - 1) * shard * 4);
      EXPECT_LE(rank.bytes_sent, (ranks - 1) * shard * (2 + 4));
    }
  }
}

/// A number of bytes in /proc/self/status, or 0.
Index status_bytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  std::string word;
  while (file >> word) {
    Index kilobytes = 0;
    if (word == key + ":" && file >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

/// Forgets the largest resident size so far. False where the system does not let us.
bool reset_peak() {
  std::ofstream file("/proc/self/clear_refs");
  return static_cast<bool>(file << "5" << std::flush);
}

/// Mask, sharding, pass, type, ranks of a node, and schedule.
using MemoryCase = std::tuple<const char*, Sharding, Pass, DataType, int, const char*>;
class Memory : public testing::TestWithParam<MemoryCase> {};

std::string name_of_case(const testing::TestParamInfo<Memory::ParamType>& info) {
  const auto [mask, sharding, pass, type, per_node, schedule] = info.param;
  auto name = std::string(mask) + "_" + std::string(name_of(sharding)) + "_" +
              std::string(name_of(type)) + (pass == Pass::backward ? "_backward" : "_forward") +
              "_nodes_of_" + std::to_string(per_node) + "_" + schedule;
  std::ranges::replace_if(
      name, [](char letter) { return !std::isalnum(letter); }, '_');
  return name;
}

TEST_P(Memory, IsWhatThePlanSays) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep what is freed";
#endif
  const auto [mask, sharding, pass, type, per_node, schedule] = GetParam();
  // Large blocks go back to the system when they are freed, so that the peak is what was in use.
  mallopt(M_MMAP_THRESHOLD, 1 << 16);
  mallopt(M_TRIM_THRESHOLD, 1 << 16);
  const int ranks = 4;
  const auto plan =
      make_plan({.query_heads = 4,
                 .key_heads = 2,
                 .head_dim = 64,
                 .documents = Documents::single(65536),
                 .mask = Mask::parse(mask)},
                even_topology(ranks, per_node),
                {.sharding = sharding, .schedule = parse_schedule(schedule), .data_type = type});
  Index expected = 0;
  for (int rank = 0; rank < ranks; ++rank) expected += memory_of(plan, rank, pass).total();
  const Index before = status_bytes("VmRSS");
  if (before == 0 || !reset_peak()) GTEST_SKIP() << "no peak of the resident size here";
  // Values of the state are first written after what a step needed at its start may be gone.
  const double least = pass == Pass::forward ? 0.75 : 0.9;
  double measured = 0;
  double ratio = 0;
  // Ranks that a loaded machine runs one after the other do not hold the most at the same time.
  for (int attempt = 0; attempt < 5 && ratio < least; ++attempt) {
    comm::run_threads(even_topology(ranks, per_node), [&](comm::Communicator& communicator) {
      run(plan, communicator, pass == Pass::backward);
    });
    measured = static_cast<double>(status_bytes("VmHWM") - before);
    ratio = measured / static_cast<double>(expected);
  }
  RecordProperty("measured_bytes", std::to_string(static_cast<Index>(measured)));
  RecordProperty("planned_bytes", std::to_string(expected));
  EXPECT_LE(ratio, 1.1) << measured << " bytes measured, " << expected << " planned";
  EXPECT_GE(ratio, least) << measured << " bytes measured, " << expected << " planned";
}

// A narrow window keeps the work small and still sends shards around, far with zigzag.
INSTANTIATE_TEST_SUITE_P(
    Ring, Memory,
    testing::Values(
        MemoryCase("window:300", Sharding::contiguous, Pass::forward, DataType::float32, 1, "ring"),
        MemoryCase("window:300", Sharding::zigzag, Pass::forward, DataType::float32, 1, "ring"),
        MemoryCase("window:300", Sharding::zigzag, Pass::forward, DataType::bfloat16, 1, "ring"),
        MemoryCase("window:300", Sharding::contiguous, Pass::backward, DataType::float32, 1,
                   "ring"),
        MemoryCase("window:300", Sharding::zigzag, Pass::backward, DataType::float32, 1, "ring"),
        MemoryCase("window:300,300", Sharding::contiguous, Pass::backward, DataType::float32, 1,
                   "ring"),
        MemoryCase("window:300", Sharding::striped, Pass::backward, DataType::bfloat16, 1, "ring"),
        MemoryCase("window:300", Sharding::zigzag, Pass::forward, DataType::float32, 4,
                   "node-ring"),
        MemoryCase("window:300", Sharding::zigzag, Pass::backward, DataType::float32, 4,
                   "node-ring"),
        MemoryCase("window:300", Sharding::zigzag, Pass::forward, DataType::bfloat16, 2,
                   "node-ring"),
        MemoryCase("window:300", Sharding::zigzag, Pass::backward, DataType::float32, 2,
                   "node-ring"),
        MemoryCase("window:300", Sharding::zigzag, Pass::forward, DataType::float32, 1,
                   "double-ring:2"),
        MemoryCase("window:300", Sharding::zigzag, Pass::backward, DataType::float32, 1,
                   "double-ring:2"),
        MemoryCase("window:300", Sharding::striped, Pass::forward, DataType::float32, 1,
                   "tiles:2x2"),
        MemoryCase("window:300", Sharding::striped, Pass::backward, DataType::bfloat16, 1,
                   "tiles:2x2"),
        MemoryCase("window:300", Sharding::striped, Pass::backward, DataType::float32, 1,
                   "tiles:4x1"),
        MemoryCase("window:300", Sharding::striped, Pass::forward, DataType::float32, 1, "heads:2"),
        MemoryCase("window:300", Sharding::striped, Pass::backward, DataType::float32, 1,
                   "heads:2+tiles:2x1")),
    name_of_case);

}  // namespace
}  // namespace annulus::test
