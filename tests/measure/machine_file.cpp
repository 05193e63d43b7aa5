// Machines as files, and costs from times.
#include "annulus/measure/machine_file.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "measure/least_squares.hpp"

namespace annulus::measure {
namespace {

TEST(MachineFile, ReadsBackWhatItWrote) {
  for (const auto& machine : known_machines()) {
    const auto text = machine_text(machine);
    const auto read = parse_machine(text, "file");
    EXPECT_EQ(machine_text(read), text);
    EXPECT_EQ(read.memory, machine.memory);
    EXPECT_EQ(read.links, machine.links);
    ASSERT_EQ(read.kernels.size(), machine.kernels.size());
    EXPECT_EQ(read.kernels.back().type, machine.kernels.back().type);
    EXPECT_EQ(read.kernels.back().pass, machine.kernels.back().pass);
    EXPECT_NEAR(read.kernels.back().per_pair, machine.kernels.back().per_pair,
                1e-3 * machine.kernels.back().per_pair);
  }
}

std::string message_of(const std::string& text) {
  try {
    (void)parse_machine(text, "file");
  } catch (const InputError& error) {
    return error.what();
  }
  return {};
}

/// The text of a machine with one line in place of another.
std::string with(const std::string& line, const std::string& other) {
  auto text = machine_text(find_machine("zen4"));
  const auto at = text.find(line);
  EXPECT_NE(at, std::string::npos) << line;
  return text.replace(at, text.find('\n', at) - at, other);
}

TEST(MachineFile, NamesWhatIsWrong) {
  EXPECT_EQ(message_of("a machine").rfind("file:1: not TOML", 0), 0U);
  EXPECT_EQ(message_of(with("cores", "cores = 0")), "file: cores: 0; expected 1 to 1048576");
  EXPECT_EQ(message_of(with("memory", "memory = \"lent\"")),
            "file: memory: 'lent'; expected shared or separate");
  EXPECT_EQ(message_of(with("latency", "latency = -1")),
            "file: inside: latency: -1; expected seconds, at least 0");
  EXPECT_EQ(message_of(with("bytes_per_second", "bytes_per_second = 0")),
            "file: inside: bytes_per_second: 0; expected a number above 0");
  EXPECT_EQ(message_of(with("per_pair", "per_pair = 0")),
            "file: kernel 1: per_pair: 0; expected seconds above 0");
  EXPECT_EQ(message_of(with("per_row", "")), "file: kernel 1: per_row: this key is missing");
  EXPECT_NE(message_of(with("links", "links = 1\nwheels = 3")).find("wheels: no such key"),
            std::string::npos);
  const auto text = machine_text(find_machine("zen4"));
  const auto first = text.find("\n[[kernel]]");
  const auto second = text.find("\n[[kernel]]", first + 1);
  EXPECT_EQ(message_of(text + text.substr(first, second - first)),
            "file: kernel: two of fp64, forward pass, head_dim 64; expected one");
  EXPECT_EQ(message_of("kernel = 1\n" + with("name", "name = \"x\"")).rfind("file:", 0), 0U);
}

TEST(LeastSquares, FindsCostsThatAddUp) {
  const std::vector<double> costs{3e-9, 0, 2e-7, 1e-5};
  const std::vector<std::vector<double>> rows{
      {1e6, 1e3, 1e3, 1}, {1e4, 1e4, 10, 3}, {1e5, 10, 1e4, 50}, {10, 10, 10, 100}, {1e6, 1, 1, 1}};
  std::vector<double> times;
  for (const auto& row : rows) {
    double time = 0;
    for (std::size_t i = 0; i < costs.size(); ++i) time += row[i] * costs[i];
    times.push_back(time);
  }
  const auto found = nonnegative_least_squares(rows, times);
  for (std::size_t i = 0; i < costs.size(); ++i) {
    EXPECT_NEAR(found[i], costs[i], 1e-3 * (costs[i] + 1e-9)) << i;
  }
}

TEST(LeastSquares, MinimisesRelativeErrorsAndStaysAboveZero) {
  // One cost for two times: the weights of the errors are 1 / time.
  const auto one = nonnegative_least_squares({{1}, {1}}, {1, 2});
  EXPECT_NEAR(one.front(), (1.0 + 0.5) / (1.0 + 0.25), 1e-12);
  // Times that fall where a number grows have it cost nothing.
  const auto none = nonnegative_least_squares({{1, 1}, {1, 2}}, {2, 1});
  EXPECT_EQ(none.back(), 0);
}

}  // namespace
}  // namespace annulus::measure
