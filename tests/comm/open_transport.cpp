// Transports by name: what is refused, and what `auto` means.
#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/transport.hpp"

namespace annulus::comm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string refusal_of(const std::string& text, const Job& job = {}) {
  try {
    static_cast<void>(open_transport(text, job));
  } catch (const InputError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// The name and the number of the ranks that `text` opens.
std::pair<std::string, int> opened(const std::string& text, const Job& job = {}) {
  std::pair<std::string, int> seen;
  const int code = open_transport(text, job)([&](Communicator& ranks, Communicator& files) {
    EXPECT_EQ(ranks.size(), files.size());
    if (ranks.rank() == 0) seen = {std::string(ranks.name()), ranks.size()};
    return ranks.rank();
  });
  EXPECT_EQ(code, seen.second - 1) << "the largest exit code is that of all";
  return seen;
}

TEST(OpenTransport, ByName) {
  EXPECT_EQ(opened("self"), std::pair(std::string("self"), 1));
  EXPECT_EQ(opened("threads:3"), std::pair(std::string("threads"), 3));
  EXPECT_EQ(opened("auto"), std::pair(std::string("self"), 1));
}

TEST(OpenTransport, UnknownNamesAreRefusedWithThoseThatThereAre) {
  for (const auto* text : {"carrier", "", "mpi:3", "self:1"}) {
    EXPECT_THAT(refusal_of(text), AllOf(HasSubstr("unknown transport '" + std::string(text) + "'"),
                                        HasSubstr("expected auto, self, threads:P, mpi or nccl")));
  }
}

TEST(OpenTransport, ThreadsNeedTheirNumber) {
  for (const auto* text : {"threads", "threads:", "threads:0", "threads:x", "threads:10000",
                           "threads:-1", "threads:2 ", "threads:2,3"}) {
    EXPECT_THAT(refusal_of(text),
                AllOf(HasSubstr("expected threads:P"), HasSubstr("from 1 to 512")))
        << text;
  }
}

TEST(OpenTransport, WhatIsInOneProcessRefusesSeveral) {
  const Job job{.launched = true, .processes = 2};
  EXPECT_EQ(refusal_of("self", job), "self runs in one process, and 2 were started");
  EXPECT_EQ(refusal_of("threads:2", job), "threads:2 runs in one process, and 2 were started");
}

TEST(OpenTransport, WhatTheBuildLacksSaysHowToGetIt) {
  for (const auto* transport : transports()) {
    if (transport->missing.empty()) continue;
    EXPECT_THAT(refusal_of(std::string(transport->name)),
                AllOf(HasSubstr("is not in this build"), HasSubstr("-DANNULUS_")));
  }
}

}  // namespace
}  // namespace annulus::comm
