// What is not whole yet, and what becomes of it.

#include "results/replacement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "annulus/results/partial_files.hpp"
#include "results/scratch.hpp"

namespace annulus::results {
namespace {

using ::testing::HasSubstr;

TEST(Replacement, LeavesNothingUnlessCommitted) {
  const Scratch scratch;
  {
    const Replacement replacement(scratch / "o.h5");
    EXPECT_EQ(scratch.entries(), 1);
  }
  EXPECT_EQ(scratch.entries(), 0);
}

// Or it would fail where the file takes its place: after all the work.
TEST(Replacement, RefusesNamesThatAreTooLongAtOnce) {
  const auto folder = std::filesystem::temp_directory_path();
  EXPECT_NO_THROW(static_cast<void>(output_target(folder / std::string(255, 'x'), "--trace")));
  try {
    static_cast<void>(output_target(folder / std::string(256, 'x'), "--trace"));
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find(": a name of 256 bytes; expected at most 255"),
              std::string::npos)
        << error.what();
  }
}

TEST(Replacement, KnowsItsOwnLeftovers) {
  const Scratch scratch;
  const Replacement at_work(scratch / "o.h5");
  std::ofstream(scratch / ".o.h5.partial-0123456789abcdef") << "left by a run that was killed";
  std::ofstream(scratch / ".o.h5.partial-0123456789abcdef.lock") << "left by MPI";
  std::ofstream(scratch / ".other.h5.partial-0123456789abcdef") << "another's";
  remove_leftovers(scratch / "o.h5");
  EXPECT_TRUE(std::filesystem::exists(at_work.temporary()));
  EXPECT_TRUE(std::filesystem::exists(scratch / ".other.h5.partial-0123456789abcdef"));
  EXPECT_EQ(scratch.entries(), 2);
}

TEST(Replacement, GoesWithAProcessThatASignalEnds) {
  const Scratch scratch;
  Replacement one(scratch / "a.h5");
  const Replacement two(scratch / "b.h5");
  one.commit();
  remove_partial_files();
  EXPECT_EQ(scratch.entries(), 1);
  EXPECT_TRUE(std::filesystem::exists(scratch / "a.h5"));
}

TEST(Replacement, TakesNoPlaceThatWasTakenMeanwhile) {
  const Scratch scratch;
  Replacement replacement(scratch / "o.h5");
  std::ofstream(scratch / "o.h5") << "precious";
  EXPECT_THAT(input_error_of([&] { replacement.commit(/*replace=*/false); }),
              HasSubstr("has appeared"));
}

/// In a process of its own, as a limit cannot be raised again.
void write_beyond_limit(const std::string& path) {
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{1000, 1000};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(3);
  const Replacement replacement(path);
  const std::vector<std::byte> bytes(2000);
  int thrown = 0;
  for (const bool reserve : {false, true}) {
    try {
      reserve ? replacement.file().reserve(2000) : replacement.file().write(0, bytes);
    } catch (const Error& error) {
      if (error.what() == "--output " + path + ": cannot be written: File too large") ++thrown;
    }
  }
  ::_exit(thrown == 2 ? 0 : 1);
}

TEST(PosixFile, SaysWhyAndWhere) {
  const Scratch scratch;
  const pid_t child = ::fork();
  if (child == 0) write_beyond_limit(scratch / "o.h5");
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(PosixFile, IsClaimedOnce) {
  const Scratch scratch;
  const auto path = scratch / "o.h5";
  PosixFile first(path, O_CREAT | O_RDWR, path);
  const PosixFile second(path, O_RDWR, path);
  EXPECT_EQ(first.claim(), Claim::granted);
  EXPECT_EQ(second.claim(), Claim::refused);
  first = PosixFile();
  EXPECT_EQ(second.claim(), Claim::granted);
}

}  // namespace
}  // namespace annulus::results
