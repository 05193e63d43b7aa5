// docs/support.md says what works with what. This test computes every cell, by running it against
// the definition, and fails where the page says otherwise.
//
// ANNULUS_WRITE_SUPPORT=1 writes the page.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "annulus/base/error.hpp"
#include "annulus/comm/transport.hpp"
#include "annulus/kernels/backend.hpp"
#include "support/decode.hpp"
#include "support/expect_close.hpp"
#include "support/gpu_under_test.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

/// What a row of the table asks for, on top of a plain causal problem.
struct Option {
  std::string name;
  Problem problem;
  DataType type = DataType::float32;
  Spread spread = Sharding::contiguous;
  bool gain = false;
  bool sink = false;
};

Problem plain() {
  return {.query_heads = 2,
          .key_heads = 2,
          .head_dim = 6,
          .documents = Documents::single(37),
          .mask = Mask::causal()};
}

template <class Change>
Option with(std::string name, Change change) {
  Option option{.name = std::move(name), .problem = plain()};
  change(option);
  return option;
}

std::vector<Option> options() {
  std::vector<Option> all;
  for (const auto type :
       {DataType::float32, DataType::float64, DataType::bfloat16, DataType::float16}) {
    all.push_back(with("`--precision " + std::string(name_of(type)) + "`",
                       [&](Option& option) { option.type = type; }));
  }
  for (const auto* mask : {"full", "causal", "window:5", "window:5,3"}) {
    all.push_back(with("`--mask " + std::string(mask) + "`",
                       [&](Option& option) { option.problem.mask = Mask::parse(mask); }));
  }
  for (const auto name : LogitScale::names()) {
    all.push_back(with("`--logit-scale " + std::string(name) + "`", [&](Option& option) {
      option.problem.logit_scale = LogitScale::parse(name);
    }));
  }
  for (const auto sharding : all_shardings()) {
    all.push_back(with("`--sharding " + std::string(name_of(sharding)) + "`",
                       [&](Option& option) { option.spread = sharding; }));
  }
  all.push_back(with("keys sharded differently", [](Option& option) {
    option.spread = {Sharding::zigzag, Sharding::striped};
  }));
  all.push_back(with("grouped heads", [](Option& option) { option.problem.query_heads = 6; }));
  all.push_back(with("d_v other than d", [](Option& option) { option.problem.value_dim = 5; }));
  all.push_back(with("packed documents", [](Option& option) {
    option.problem.documents = Documents::packed({0, 1, 1, 20, 37});
  }));
  all.push_back(with(
      "batch", [](Option& option) { option.problem.documents = Documents::batch(3, 11, 11); }));
  all.push_back(with("cross attention, n_q ≠ n_k", [](Option& option) {
    option.problem.documents = Documents::packed({0, 5, 12}, {0, 19, 37});
  }));
  all.push_back(with("gains", [](Option& option) { option.gain = true; }));
  all.push_back(with("sinks", [](Option& option) { option.sink = true; }));
  return all;
}

constexpr int ranks = 3;

/// The columns of one backend.
enum class Way { forward, backward, decode };

template <class T>
bool agrees(const Option& option, Way way, const kernels::Kernel& kernel, int on_ranks = ranks) {
  auto whole = random_problem<T>(option.problem, 7);
  if (option.gain) whole.gain.assign(2, 0.7);
  if (option.sink) whole.sink.assign(2, 0.4);
  const auto close = [](const auto& got, const auto& expected, const auto& bounds) {
    return static_cast<bool>(all_close("", got.values, expected.values, bounds.values));
  };
  if (way == Way::backward) {
    const auto dout = random_dout<T>(option.problem);
    const auto expected = direct_gradients_of(whole, dout);
    const auto bounds = gradient_bounds_of(whole, dout, kernel);
    const auto got = gradients_by_ranks(whole, dout, on_ranks, option.spread, kernel, true);
    return close(got.dq, expected.dq, bounds.dq) && close(got.dk, expected.dk, bounds.dk) &&
           close(got.dv, expected.dv, bounds.dv);
  }
  const auto expected = direct(whole);
  const auto bounds = bounds_of(whole, kernel);
  const auto got = way == Way::decode
                       ? decode(whole, whole.problem, on_ranks, kernel, chunks_then_one_by_one)
                       : attend_by_ranks(whole, on_ranks, option.spread, kernel);
  return close(got.out, expected.out, bounds.out) && close(got.lse, expected.lse, bounds.lse) &&
         close(got.statistic("entropy"), expected.statistic("entropy"),
               bounds.statistic("entropy"));
}

std::string cell(const Option& option, Way way, std::string_view backend) {
  // Tokens that are decoded go to the ranks in turns, and each is a query and a key.
  const bool is_sharding = option.name.find("shard") != std::string::npos;
  if (way == Way::decode && (is_sharding || !option.problem.documents.self_attention())) return "–";
  try {
    const auto& kernel = backend == "cuda" ? *gpus_under_test().front()
                                           : kernels::find_backend(backend, option.type);
    for (const int per_node : {1, ranks}) {
      auto spread_over_nodes = option;
      spread_over_nodes.spread.per_node = per_node;
      const bool agree = with_element(
          option.type, [&]<class T>() { return agrees<T>(spread_over_nodes, way, kernel); });
      if (!agree) return "no";
    }
    return "yes";
  } catch (const InputError&) {
    return "refused";
  }
}

constexpr int ranks_of_schedules = 4;
constexpr const char* schedules[] = {
    "ring",      "node-ring", "bidirectional",     "double-ring:2",
    "tiles:2x2", "heads:2",   "heads:2+tiles:2x1", "heads:2+bidirectional"};

/// Forward and backward by a schedule.
std::string cell(const Option& option, const char* schedule) {
  try {
    const auto& kernel = kernels::find_backend("cpu", option.type);
    auto by_schedule = option;
    by_schedule.spread = option.spread.by(parse_schedule(schedule));
    const auto agree = [&](Way way) {
      return with_element(option.type, [&]<class T>() {
        return agrees<T>(by_schedule, way, kernel, ranks_of_schedules);
      });
    };
    return agree(Way::forward) && agree(Way::backward) ? "yes" : "no";
  } catch (const InputError&) {
    return "refused";
  }
}

/// The backends of CPUs, and `cuda` on a model of a GPU.
std::vector<std::string> backends_that_run() {
  std::vector<std::string> names;
  for (const auto name : kernels::backend_names(DeviceKind::cpu)) names.emplace_back(name);
  names.emplace_back("cuda");
  return names;
}

std::string page() {
  const auto backends = backends_that_run();
  std::ostringstream text;
  text
      << "# What works with what\n\n"
         "Forward and backward, by the schedules `ring` and `node-ring`, and decode over a cache, "
         "for\n"
         "each backend. Every `yes` was run on 3 ranks, each on a node of its own and all on one,\n"
         "against the definition of attention in fp64 (with lse and entropy) when the tests of "
         "this version passed; `refused` ends with a message and exit\n"
         "code 2. `no` under decode: a query that looks ahead sees the tokens that are there, so\n"
         "the result is not that of one pass over all of them; `verify --decode` refuses it. `–`\n"
         "under decode: each token is a query and a key, and goes to the ranks in turns; refused\n"
         "as well.\n\n"
         "What `cuda` says was run on a model of a GPU (design.md), whose kernels, copies and\n"
         "streams are those of `--device cuda`; on an NVIDIA H200 the tests of the engine and the\n"
         "kernels passed as well (`test_gpu`), before the kernels were made anew: as they are now\n"
         "they have not run on a GPU. Several GPUs have never run. Its ranks form a ring whatever\n"
         "the nodes.\n\n"
         "|";
  for (const auto& backend : backends) {
    for (const auto* way : {"forward", "backward", "decode"}) {
      text << " | " << backend << " " << way;
    }
  }
  text << " |\n|---|";
  for (std::size_t i = 0; i < backends.size(); ++i) text << "---|---|---|";
  text << "\n";
  for (const auto& option : options()) {
    text << "| " << option.name;
    for (const auto& backend : backends) {
      for (const auto way : {Way::forward, Way::backward, Way::decode}) {
        text << " | " << cell(option, way, backend);
      }
    }
    text << " |\n";
  }
  text << "\nForward and backward by each schedule, with the backend cpu on " << ranks_of_schedules
       << " ranks:\n\n|";
  for (const auto* schedule : schedules) text << " | `" << schedule << "`";
  text << " |\n|---|";
  for ([[maybe_unused]] const auto* schedule : schedules) text << "---|";
  text << "\n";
  for (const auto& option : options()) {
    text << "| " << option.name;
    for (const auto* schedule : schedules) text << " | " << cell(option, schedule);
    text << " |\n";
  }
  text << "\nOther names and other keys are refused, and sizes of schedules that do not fit. "
          "Results\n"
          "are the same over every transport:\n";
  for (const auto* transport : comm::transports()) {
    text << "\n- `" << transport->syntax() << "`: " << transport->description;
  }
  text << "\n";
  return text.str();
}

TEST(SupportTable, IsWhatTheDocumentationSays) {
  std::ostringstream text;
  text << std::ifstream(ANNULUS_SUPPORT_PAGE).rdbuf();
  const auto says = text.str();
  // What follows is of the Python package, whose tests write it.
  const auto models = std::min(says.find("\n## Models of Transformers"), says.size());
  const auto is = page() + says.substr(models);
  if (std::getenv("ANNULUS_WRITE_SUPPORT") != nullptr) {
    std::ofstream(ANNULUS_SUPPORT_PAGE) << is;
    return;
  }
  EXPECT_EQ(says, is) << "ANNULUS_WRITE_SUPPORT=1 writes " << ANNULUS_SUPPORT_PAGE;
}

}  // namespace
}  // namespace annulus::test
