#include "annulus/studies/config.hpp"

#include <fstream>
#include <utility>

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "studies/keys.hpp"

namespace annulus::studies {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;

constexpr const char* simplex = "kind='phase'\ntokens='simplex'\nn=[8,16]\nrho=0.5\ngamma=[1,2]\n";

std::string message_of(const std::string& text) {
  try {
    (void)parse_config(text, "a.toml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Config, ReadsEveryKey) {
  const auto phase = parse_config(R"(
kind = "phase"
tokens = "gaussian"
n = [1024, 4096]
rho = [0.25, 0.5]
gamma = {from = 0.0, to = 8.0, count = 33}
dimension = 512
seed = 7
precision = "fp32"
measure = ["gradient_norm"]
)",
                                  "a.toml");
  EXPECT_THAT(keys::n.of(phase), ElementsAre(1024, 4096));
  EXPECT_EQ(keys::gamma.of(phase).size(), 33U);
  EXPECT_EQ(keys::gamma.of(phase)[1], 0.25);
  EXPECT_EQ(keys::gamma.of(phase).back(), 8.0);
  EXPECT_EQ(keys::dimension.of(phase), 512);
  EXPECT_EQ(keys::seed.of(phase), 7);
  EXPECT_EQ(phase.precision, DataType::float32);
  EXPECT_THAT(std::get<std::vector<std::string>>(phase.values.at("measure")),
              ElementsAre("gradient_norm"));
  const auto depth = parse_config(
      std::string("kind='depth'\ntokens='clustered'\ndirections=4\nlayers=3\nresidual=0.5\n") +
          "n={from=4,to=64,count=3,spacing='log'}\nrho=0\ngamma=1",
      "a.toml");
  EXPECT_THAT(keys::n.of(depth), ElementsAre(4, 16, 64));
  EXPECT_EQ(std::get<Index>(depth.values.at("layers")), 3);
  EXPECT_EQ(std::get<double>(depth.values.at("residual")), 0.5);
}

TEST(Config, CanonicalTextReadsBack) {
  for (const auto& text :
       {std::string(simplex), std::string(simplex) + "measure=['gradient_norm']\nseed=3",
        std::string("kind='needle'\nn=7\nrho=0.1\ngamma={from=0.1,to=3,count=7,spacing='log'}"),
        std::string("kind='sphere'\nn=7\ngamma=1\ndimension=3\nqueries=5"),
        std::string("kind='needle'\nn=7\nrho=-0.0\ngamma={from=-0.0,to=3,count=3}"),
        std::string(
            "kind='depth'\ntokens='gaussian'\ndimension=3\nn=9\nrho=0.3\ngamma=1\nlayers=2"),
        std::string("kind='phase'\ntokens='clustered'\ndirections=3\nn=9\nrho=0.3\ngamma=1")}) {
    const auto config = parse_config(text, "a.toml");
    const auto again = parse_config(canonical(config), "canonical");
    EXPECT_EQ(canonical(again), canonical(config));
    EXPECT_EQ(again.values, config.values);
  }
}

TEST(Config, BadKeysAreNamed) {
  const std::string good = simplex;
  EXPECT_THAT(message_of(good + "layers=2"),
              AllOf(HasSubstr("a.toml: layers: no such key"), HasSubstr("simplex tokens"),
                    HasSubstr("gamma, kind, measure, n, precision, rho, seed, tokens")));
  EXPECT_THAT(message_of(good + "dimension=2"), HasSubstr("dimension: no such key"));
  EXPECT_THAT(message_of(good + "gama=2"), HasSubstr("gama: no such key"));
  EXPECT_THAT(message_of("kind='phase'\ntokens='simplex'\nn=4\nrho=0"),
              HasSubstr("gamma: this key is missing"));
  EXPECT_THAT(message_of("n=4"), HasSubstr("kind: this key is missing"));
  EXPECT_THAT(message_of("kind='faze'"), HasSubstr("expected phase, needle, sphere or depth"));
  EXPECT_THAT(message_of("kind=3"), HasSubstr("kind: expected a string"));
  EXPECT_THAT(message_of("kind='phase"), HasSubstr("a.toml:1: not TOML"));
  EXPECT_THAT(message_of("kind='phase'\nn=[1,"), HasSubstr("not TOML"));
  EXPECT_THAT(message_of("kind='needle'\nn=4\nrho=0\ngamma=1\ntokens='simplex'"),
              HasSubstr("tokens: no such key for a needle study"));
  EXPECT_THAT(message_of("kind='sphere'\nn=4\nrho=0\ngamma=1\ndimension=3"),
              HasSubstr("rho: no such key for a sphere study"));
  EXPECT_THAT(message_of("kind='needle'\nn=4\nrho=0\ngamma=1\nmeasure=['gradient_norm']"),
              HasSubstr("measure: no such key"));
}

TEST(Config, BadValuesAreNamed) {
  const auto with = [](const std::string& change) {
    const auto key = change.substr(0, change.find('='));
    std::string text = "kind='phase'\ntokens='simplex'\n" + change + "\n";
    for (const std::string line : {"n=8", "rho=0.5", "gamma=1"}) {
      if (line.substr(0, line.find('=')) != key) text += line + "\n";
    }
    return message_of(text);
  };
  EXPECT_THAT(with("n=1"), HasSubstr("n: 1; expected a whole number from 2 to 2147483648"));
  EXPECT_THAT(with("n=8.5"), HasSubstr("n: 8.5 is not a whole number"));
  EXPECT_THAT(with("n='8'"), HasSubstr("n: expected a number, a list"));
  EXPECT_THAT(with("n=[]"), HasSubstr("n: the list is empty"));
  EXPECT_THAT(with("n=[8,8]"), HasSubstr("n: 8 is there twice"));
  EXPECT_THAT(with("n={from=2,to=4,count=9,spacing='log'}"), HasSubstr("is there twice"));
  EXPECT_THAT(with("n={from=16,to=33,count=3}"), HasSubstr("n: 24.5 is not a whole number"));
  EXPECT_THAT(with("n={from=16,to=34,count=4}"), Eq("no error"));
  EXPECT_THAT(with("n={from=16,to=33,count=3,spacing='log'}"), Eq("no error"));
  EXPECT_THAT(with("n=4294967296"), HasSubstr("expected a whole number from 2 to 2147483648"));
  EXPECT_THAT(with("rho=1.0"), HasSubstr("rho: 1; expected a number: 0 or more and below 1"));
  EXPECT_THAT(with("rho=-0.1"), HasSubstr("rho: -0.1"));
  EXPECT_THAT(with("rho=nan"), HasSubstr("rho: expected"));
  EXPECT_THAT(with("gamma=-1"), HasSubstr("gamma: -1; expected a number: 0 to 10000"));
  EXPECT_THAT(with("gamma=inf"), HasSubstr("gamma: expected"));
  EXPECT_THAT(with("gamma=[1,'2']"), HasSubstr("gamma: expected"));
  EXPECT_THAT(with("gamma={from=0,to=1}"), HasSubstr("gamma: a range needs from, to and count"));
  EXPECT_THAT(with("gamma={from=0,to=1,count=0}"), HasSubstr("gamma: count"));
  EXPECT_THAT(with("gamma={from=0,to=1,count=2.5}"), HasSubstr("gamma: count"));
  EXPECT_THAT(with("gamma={from=0,to=1,count=3,spacing='log'}"), HasSubstr("above 0"));
  EXPECT_THAT(with("gamma={from=0,to=1,count=3,spacing='cubic'}"), HasSubstr("'cubic'"));
  EXPECT_THAT(with("gamma={from=0,to=1,count=3,step=1}"), HasSubstr("step: no such key"));
  EXPECT_THAT(with("measure=['hessian']"), HasSubstr("measure: 'hessian'"));
  EXPECT_THAT(with("measure='gradient_norm'"), HasSubstr("measure: expected a list"));
  EXPECT_THAT(with("precision='fp8'"),
              HasSubstr("precision: unknown precision 'fp8'; expected fp64, fp32, bf16 or fp16"));
  EXPECT_THAT(with("seed=-1"), HasSubstr("seed: -1"));
  EXPECT_THAT(with("seed=1.5"), HasSubstr("seed: expected a whole number"));
  EXPECT_THAT(
      message_of("kind='phase'\ntokens='clustered'\ndirections=3\nn=[9,10]\nrho=0\ngamma=1"),
      HasSubstr("n: 10; expected a multiple of directions, which is 3"));
  EXPECT_THAT(message_of("kind='phase'\ntokens='cubic'\nn=9\nrho=0\ngamma=1"),
              HasSubstr("tokens: 'cubic'; expected simplex, gaussian or clustered"));
  EXPECT_THAT(message_of("kind='phase'\ntokens='gaussian'\nn=9\nrho=0\ngamma=1"),
              HasSubstr("dimension: this key is missing"));
  EXPECT_THAT(message_of("kind='sphere'\nn=9\ngamma=1\ndimension=1"),
              HasSubstr("dimension: 1; expected a whole number from 2 to 16777216"));
  EXPECT_THAT(message_of("kind='depth'\ntokens='simplex'\nn=9\nrho=0\ngamma=1\nlayers=0"),
              HasSubstr("layers: 0"));
  EXPECT_THAT(message_of("kind='depth'\ntokens='simplex'\nn=9\nrho=0\ngamma=1\nlayers=2\n"
                         "residual=1e308"),
              HasSubstr("residual: 1e+308; expected a number: -1000000 to 1000000"));
}

TEST(Config, GridsThatNobodyCanWaitForAreRefusedWithTheirSize) {
  const std::string grid = "n=9\nrho={from=0,to=0.5,count=100000}\ngamma={from=0,to=1,count=";
  EXPECT_THAT(
      message_of("kind='needle'\n" + grid + "100000}"),
      HasSubstr("n x rho x gamma: a grid of 10000000000 points; expected at most 10000000"));
  EXPECT_THAT(message_of("kind='needle'\n" + grid + "100}"), Eq("no error"));
  EXPECT_THAT(message_of("kind='depth'\ntokens='simplex'\nlayers=2\n" + grid + "100}"),
              HasSubstr("n x rho x gamma x layers: a grid of 20000000 points"));
}

TEST(Config, FilesThatCannotBeRead) {
  for (const auto& [path, what] : {std::pair{"/no/such/file.toml", "there is no such file"},
                                   std::pair{"/", "cannot be read"}}) {
    try {
      (void)read_config(path);
      FAIL() << "nothing was thrown";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(path), HasSubstr(what)));
    }
  }
}

}  // namespace
}  // namespace annulus::studies
