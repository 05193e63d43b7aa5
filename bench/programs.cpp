// What it takes to derive the program of one rank, by schedule and number of ranks:
//   build/bench/programs [--benchmark_filter=NAME]
// Time is to grow with the steps of the rank, and with nothing else.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

#include "annulus/plan/plan.hpp"

namespace annulus {
namespace {

void derive(benchmark::State& state, const std::string& schedule, Pass pass) {
  const auto ranks = static_cast<int>(state.range(0));
  Problem problem{.documents = Documents::single(Index{4096} * ranks), .mask = Mask::causal()};
  problem.query_heads = 32;
  problem.key_heads = 8;
  problem.head_dim = 128;
  const auto plan = make_plan(problem, even_topology(ranks, std::min(ranks, 8)),
                              {.sharding = Sharding::zigzag, .schedule = parse_schedule(schedule)});
  std::size_t steps = 0;
  for (auto _ : state) {
    const auto program = plan.program(ranks / 3, pass);
    steps = program.steps.size();
    benchmark::DoNotOptimize(program.steps.data());
  }
  state.counters["steps"] = static_cast<double>(steps);
  state.counters["per_step"] =
      benchmark::Counter(static_cast<double>(steps), benchmark::Counter::kIsIterationInvariantRate |
                                                         benchmark::Counter::kInvert);
}

}  // namespace
}  // namespace annulus

int main(int argc, char** argv) {
  using annulus::Pass;
  for (const auto* schedule : {"ring", "node-ring", "bidirectional", "double-ring:8", "tiles",
                               "heads:8", "heads:8+tiles"}) {
    for (const auto pass : {Pass::forward, Pass::backward}) {
      benchmark::RegisterBenchmark(
          (std::string(schedule) + "/" + std::string(name_of(pass))).c_str(),
          [schedule, pass](benchmark::State& state) { annulus::derive(state, schedule, pass); })
          ->RangeMultiplier(8)
          ->Range(64, 32768)
          ->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
