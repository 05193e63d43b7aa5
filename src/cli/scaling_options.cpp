#include "cli/scaling_options.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "cli/option_value.hpp"

namespace annulus::cli {
namespace {

sweep::Growth parse_growth(std::string_view name) {
  if (name == "work") return sweep::Growth::work;
  if (name == "memory") return sweep::Growth::memory;
  throw InputError(fmt::format("unknown value '{}'; expected work or memory", name));
}

std::string_view name_of(sweep::Growth growth) {
  switch (growth) {
    case sweep::Growth::none:
      return "problem";
    case sweep::Growth::work:
      return "work";
    case sweep::Growth::memory:
      return "memory";
  }
  broken_invariant("unknown growth");
}

template <class Value>
std::string name_or_auto(const std::optional<Value>& value) {
  using annulus::name_of;
  return value ? std::string(name_of(*value)) : "auto";
}

/// A list of texts as TOML has it.
template <class Values, class Name>
std::string quoted(const Values& values, const Name& name) {
  std::vector<std::string> texts;
  for (const auto& value : values) texts.push_back(fmt::format("\"{}\"", name(value)));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

}  // namespace

ScalingOptions::ScalingOptions(bool is_weak)
    : weak(is_weak), growth(is_weak ? sweep::Growth::work : sweep::Growth::none) {}

void ScalingOptions::add_to(CLI::App& app) {
  add_list(app, "-n,--length", lengths, number_in(cli::lengths),
           fmt::format("keys in each sequence{}, a list ({})", weak ? " on one rank" : "",
                       cli::lengths.limits()))
      ->default_str("4096");
  if (weak) {
    add_value(app, "--constant", growth, parse_growth,
              "what a rank keeps: work (n^2 / P), or memory (n / P)")
        ->default_str("work");
  }
  shape.add_dimensions_to(app);
  add_list(app, "--mask", masks, Mask::parse,
           "full, causal, window:LEFT or window:LEFT,RIGHT, a list; a number after a comma is the "
           "RIGHT of the window before it",
           split_masks)
      ->default_str("full");
  shape.add_unswept_to(app);
  add_list(app, "--schedule", schedules, or_auto(parse_schedule),
           "auto, " + schedules_text() + "; a list")
      ->default_str("auto");
  add_list(app, "--sharding", shardings, or_auto(parse_sharding),
           "auto, contiguous, zigzag, striped or balanced, a list")
      ->default_str("auto");
  execution.add_key_sharding_to(app);
  add_list(app, "--precision", precisions, parse_data_type, "fp32, fp64, bf16 or fp16, a list")
      ->default_str("fp32");
  auto* list = add_list(app, "--pass", passes, parse_pass, "forward or backward, a list");
  list->default_str("forward");
  app.add_flag("--backward", backward, "the same as --pass backward")->excludes(list);
  execution.add_machine_to(app);
  execution.add_compute_to(app);
  add_list(app, "--ranks", ranks, number_in(WholeRange<int>{.least = 1}),
           "numbers of ranks, a list (1 to the ranks there are; default: powers of two and all). "
           "With --output also more: those are left to a job that has them")
      ->type_name("NUMBER");
  add_number(app, "--repetitions", repetitions, repetition_counts, "timed passes")
      ->default_str(fmt::format("{}", repetitions));
  add_warm_up(app, warm_up);
  add_seed(app, seed);
}

void ScalingOptions::check() const {
  if (!shape.documents.empty() && lengths.size() > 1) {
    throw InputError("--documents: gives the lengths, so --length cannot be a list");
  }
  if (weak && (!shape.documents.empty() || shape.queries)) {
    throw InputError(
        fmt::format("--{}: weak scaling grows --length, with as many queries; expected none",
                    shape.queries ? "queries" : "documents"));
  }
  for (const auto& point : points(ranks.empty() ? std::vector{1} : ranks)) {
    refuse_without(point.pass, execution.kernel(point.options.data_type));
  }
}

std::vector<int> ScalingOptions::rank_counts(int all) const {
  auto counts = ranks;
  if (counts.empty()) {
    for (int count = 1; count < all; count *= 2) counts.push_back(count);
    counts.push_back(all);
  }
  return counts;
}

std::vector<sweep::Point> ScalingOptions::points(const std::vector<int>& rank_counts) const {
  std::vector<sweep::Point> all;
  const auto add_series = [&](DataType type, Pass pass, const Mask& mask, Index length) {
    for (const auto& schedule : schedules) {
      for (const auto& sharding : shardings) {
        auto with = execution;
        with.precision = type;
        with.schedule = schedule;
        with.sharding = sharding;
        const auto options = with.plan_options();
        for (const int count : rank_counts) {
          auto one = shape;
          one.length = sweep::grown(length, count, growth);
          if (one.length > cli::lengths.most) {
            throw InputError(fmt::format("--length: {} on {} ranks is {}; expected at most {}",
                                         length, count, one.length, cli::lengths.most));
          }
          one.attention.mask = mask;
          all.push_back({one.problem(), length, count, pass, options});
        }
      }
    }
  };
  const auto wanted = backward ? std::vector{Pass::backward} : passes;
  for (const auto type : precisions) {
    for (const auto pass : wanted) {
      for (const auto& mask : masks) {
        for (const Index length : lengths) add_series(type, pass, mask, length);
      }
    }
  }
  return all;
}

std::string ScalingOptions::config(const std::vector<int>& rank_counts, int threads) const {
  const auto name = [](const auto& value) { return annulus::name_of(value); };
  const auto optional_name = [](const auto& value) { return name_or_auto(value); };
  const auto problem = points(rank_counts).front().problem;
  std::string text;
  const auto add = [&](const char* key, const std::string& value) {
    text += fmt::format("{} = {}\n", key, value);
  };
  const auto add_list = [&](const char* key, const auto& numbers) {
    add(key, fmt::format("[{}]", fmt::join(numbers, ", ")));
  };
  const auto add_text = [&](const char* key, std::string_view value) {
    add(key, fmt::format("\"{}\"", value));
  };
  const auto add_number = [&](const char* key, auto value) { add(key, fmt::format("{}", value)); };
  add_text("kind", weak ? "weak" : "strong");
  add_text("constant", name_of(growth));
  add_list("ranks", rank_counts);
  add_list("length", lengths);
  if (shape.queries) add_number("queries", *shape.queries);
  add_number("batch", shape.batch);
  if (!shape.documents.empty()) add_list("documents", shape.documents);
  add_number("heads", problem.query_heads);
  add_number("key_heads", problem.key_heads);
  add_number("head_dim", problem.head_dim);
  add_number("value_dim", problem.output_dim());
  add("mask", quoted(masks, [](const Mask& mask) { return mask.name(); }));
  add_text("logit_scale", problem.logit_scale.name());
  add("schedule", quoted(schedules, optional_name));
  add("sharding", quoted(shardings, optional_name));
  add_text("key_sharding", name_or_auto(execution.key_sharding));
  add("precision", quoted(precisions, name));
  add("pass", quoted(backward ? std::vector{Pass::backward} : passes, name));
  add_text("machine", execution.machine);
  add_number("threads", threads);
  add("backend", quoted(precisions, [&](DataType type) { return execution.kernel(type).name(); }));
  add_number("repetitions", repetitions);
  add_number("warmup", warm_up);
  add_number("seed", seed);
  return text;
}

void ScalingOptions::take_from(const std::string& config) {
  // Whether the rest is the same is for the file to say; what is no such config differs.
  try {
    const auto table = toml::parse(config);
    if (const auto* stored = table["ranks"].as_array(); stored != nullptr && ranks.empty()) {
      for (const auto& count : *stored) ranks.push_back(count.value_or(1));
    }
    if (!execution.threads) execution.threads = table["threads"].value<int>();
  } catch (const toml::parse_error&) {
    return;
  }
}

}  // namespace annulus::cli
