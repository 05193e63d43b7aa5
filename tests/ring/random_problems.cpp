// Random problems over the whole space of options: forward and backward, by ranks against the
// definition, and the definition's gradients against central differences; and token by token over
// a cache, where no query looks ahead.
//
// ANNULUS_RANDOM_PROBLEMS says how many, ANNULUS_RANDOM_SEED with which first seed: a failure names
// the seed of its problem, and that seed with one problem repeats it.
#include <gtest/gtest.h>

#include <cstdlib>

#include "annulus/kernels/backend.hpp"
#include "support/decode.hpp"
#include "support/expect_close.hpp"
#include "support/gpu_under_test.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

/// Choices that a seed makes.
class Choice {
 public:
  explicit Choice(unsigned seed) : random_(seed) {}

  /// Any of first .. last.
  Index number(Index first, Index last) {
    return std::uniform_int_distribution<Index>(first, last)(random_);
  }
  bool happens(double probability) { return std::bernoulli_distribution(probability)(random_); }
  double normal() { return std::normal_distribution<double>()(random_); }
  template <class Container>
  auto of(const Container& all) {
    return all[static_cast<std::size_t>(number(0, static_cast<Index>(std::size(all)) - 1))];
  }

 private:
  std::mt19937_64 random_;
};

/// Lengths of documents, some of them 0 or 1.
std::vector<Index> offsets(Choice& choice, Index documents) {
  std::vector<Index> all{0};
  for (Index i = 0; i < documents; ++i) {
    const Index length = choice.happens(0.2) ? choice.number(0, 1) : choice.number(1, 30);
    all.push_back(all.back() + length);
  }
  return all;
}

Documents random_documents(Choice& choice) {
  const Index count = choice.happens(0.5) ? 1 : choice.number(1, 5);
  auto queries = offsets(choice, count);
  if (choice.happens(0.6)) return Documents::packed(std::move(queries));
  return Documents::packed(std::move(queries), offsets(choice, count));
}

Mask random_mask(Choice& choice) {
  switch (choice.number(0, 3)) {
    case 0:
      return Mask::full();
    case 1:
      return Mask::causal();
    case 2:
      return Mask::window(choice.number(0, 40));
    default:
      return Mask::window(choice.number(0, 12), choice.number(0, 12));
  }
}

LogitScale random_scale(Choice& choice) {
  static const std::vector<std::string> all{"none",
                                            "none:base=0.3",
                                            "critical:gamma=0.5",
                                            "critical:gamma=-0.2,length=visible",
                                            "ssmax:s=0.7",
                                            "ssmax:length=global",
                                            "su:base_length=8",
                                            "qwen:train_length=8",
                                            "yarn:factor=16",
                                            "llama4:floor=4,coefficient=0.3",
                                            "ministral:original=4,beta=0.5",
                                            "grok:train_length=4",
                                            "infoscale:train_length=16"};
  return choice.happens(0.1) ? LogitScale::table() : LogitScale::parse(choice.of(all));
}

Problem random_shape(Choice& choice) {
  const Index key_heads = choice.number(1, 3);
  const Index d = choice.happens(0.1) ? choice.number(60, 130) : choice.number(1, 20);
  return {.query_heads = key_heads * choice.number(1, 3),
          .key_heads = key_heads,
          .head_dim = d,
          .value_dim = choice.happens(0.5) ? 0 : choice.number(1, 20),
          .documents = random_documents(choice),
          .mask = random_mask(choice),
          .logit_scale = random_scale(choice)};
}

template <class T>
WholeProblem<T> random_whole(Choice& choice, unsigned seed) {
  const auto problem = random_shape(choice);
  auto whole = random_problem<T>(problem, seed, choice.happens(0.1) ? 30 : 1);
  if (choice.happens(0.1)) whole.k.values.assign(whole.k.values.size(), T{1});  // all keys equal
  for (Index h = 0; h < problem.query_heads && choice.happens(0.9); ++h) {
    whole.gain.push_back(choice.happens(0.1) ? 0.0 : choice.normal());
  }
  whole.gain.resize(whole.gain.empty() ? 0 : static_cast<std::size_t>(problem.query_heads), 1.0);
  if (choice.happens(0.4)) {
    for (Index h = 0; h < problem.query_heads; ++h) {
      whole.sink.push_back(choice.happens(0.2) ? -std::numeric_limits<double>::infinity()
                                               : 5 * choice.normal());
    }
  }
  return whole;
}

/// Any backend; the model of a GPU less often, since it takes its time.
template <class T>
const kernels::Kernel& random_kernel(Choice& choice) {
  if (choice.happens(0.1) && !std::is_same_v<T, double>) return *choice.of(gpus_under_test());
  return kernels::find_backend(choice.of(kernels::backend_names(DeviceKind::cpu)), data_type_of<T>);
}

/// Ranks against the definition.
template <class T>
void expect_ranks_agree(Choice& choice, WholeProblem<T>& whole, unsigned seed) {
  const int ranks = choice.of(std::array{1, 2, 3, 4, 5, 8});
  const auto sharding = choice.of(all_shardings());
  auto spread =
      choice.happens(0.3) ? Spread(sharding, choice.of(all_shardings())) : Spread(sharding);
  spread.per_node = choice.of(nodes_for(ranks));
  const auto& kernel = random_kernel<T>(choice);
  auto schedules = schedules_for(ranks, whole.problem.query_heads);
  if (!kernel.merges_states()) {
    std::erase_if(schedules, [](const auto& schedule) { return schedule.queries_travel(); });
  }
  if (choice.happens(0.5) && !schedules.empty()) spread = spread.by(choice.of(schedules));
  SCOPED_TRACE("P = " + std::to_string(ranks) + ", " + spread.text() + ", " +
               std::string(kernel.name()));
  const auto expected = direct(whole);
  const auto bounds = bounds_of(whole, kernel);
  const int threads = static_cast<int>(choice.number(1, 3));
  expect_close(attend_by_ranks(whole, ranks, spread, kernel, threads), expected, bounds,
               Sharpness::any);
  const auto dout = random_dout<T>(whole.problem, seed);
  expect_close(gradients_by_ranks(whole, dout, ranks, spread, kernel, choice.happens(0.8)),
               direct_gradients_of(whole, dout), gradient_bounds_of(whole, dout, kernel),
               Sharpness::any);
  if (kernel.device() == DeviceKind::cpu && whole.problem.documents.self_attention() &&
      whole.problem.mask.right() == 0 && choice.happens(0.5)) {
    SCOPED_TRACE("decode");
    const auto steps = choice.happens(0.5) ? one_by_one : chunks_then_one_by_one;
    expect_close(decode(whole, whole.problem, ranks, kernel, steps), expected, bounds,
                 Sharpness::any);
  }
}

/// The derivative of Sum <dout, out> along one random direction of all inputs at once.
void expect_derivative(Choice& choice, WholeProblem<double> whole, unsigned seed) {
  const auto dout = random_dout<double>(whole.problem, seed);
  const auto gradients = direct_gradients_of(whole, dout);
  // Steps must be small against the scale on which weights change; gains move as well.
  auto moving = whole;
  for (auto& gain : moving.gain) gain = 1 + std::abs(gain);
  const double rate = largest_logit(moving);
  const double step = 1e-3 / (1 + std::sqrt(rate) + rate);
  double exact = 0;
  double size = 0;
  std::vector<std::pair<double*, double>> moves;
  const auto move = [&](std::vector<double>& inputs, const std::vector<double>& of) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (std::isinf(inputs[i])) continue;
      const double direction = choice.normal();
      moves.emplace_back(&inputs[i], direction);
      exact += of[i] * direction;
      size += std::abs(of[i] * direction);
    }
  };
  move(whole.q.values, gradients.dq.values);
  move(whole.k.values, gradients.dk.values);
  move(whole.v.values, gradients.dv.values);
  move(whole.gain, gradients.dgain);
  move(whole.sink, gradients.dsink);
  const auto loss = [&](double offset) {
    for (auto& [x, direction] : moves) *x += offset * direction;
    const auto result = direct(whole);
    for (auto& [x, direction] : moves) *x -= offset * direction;
    double sum = 0;
    for (std::size_t i = 0; i < dout.values.size(); ++i) {
      sum += dout.values[i] * result.out.values[i];
    }
    return sum;
  };
  const double difference =
      (8 * (loss(step) - loss(-step)) - (loss(2 * step) - loss(-2 * step))) / (12 * step);
  EXPECT_NEAR(exact, difference, 1e-7 * (1 + size));
}

unsigned number_from(const char* name, unsigned otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(value, nullptr, 10));
}

TEST(RandomProblems, ForwardAndBackward) {
  const unsigned count = number_from("ANNULUS_RANDOM_PROBLEMS", 500);
  const unsigned first = number_from("ANNULUS_RANDOM_SEED", 1);
  for (unsigned seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("ANNULUS_RANDOM_PROBLEMS=1 ANNULUS_RANDOM_SEED=" + std::to_string(seed));
    Choice choice(seed);
    if (choice.happens(0.5)) {
      auto whole = random_whole<double>(choice, seed);
      expect_ranks_agree(choice, whole, seed);
      expect_derivative(choice, whole, seed);
    } else {
      const auto type =
          choice.of(std::array{DataType::float32, DataType::bfloat16, DataType::float16});
      with_element(type, [&]<class T>() {
        auto whole = random_whole<T>(choice, seed);
        expect_ranks_agree(choice, whole, seed);
      });
    }
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace annulus::test
