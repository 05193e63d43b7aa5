#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include "annulus/results/study_file.hpp"
#include "results/scratch.hpp"
#include "results/study_contents.hpp"
#include "results/study_sample.hpp"

namespace annulus::results {
namespace {

constexpr int all_points = 30;

/// Resumes the study and writes at most `points` points, then waits to be killed: so that the
/// number of kills does not hang on how fast a disk is. Ends with 0 when all are written. The pipe
/// gets a byte after each point.
[[noreturn]] void write_points(const std::string& path, int points, int pipe) {
  int status = 1;
  try {
    StudyFile file(path, sample_layout(), sample_provenance(), Existing::resume);
    for (Index point = 0; point < all_points; ++point) {
      if (file.finished(point)) continue;
      if (points-- == 0) ::pause();
      file.write_point(point, sample_values(point));
      if (::write(pipe, "", 1) != 1) ::_exit(2);
    }
    file.complete();
    status = 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  ::_exit(status);
}

int count_and_check(const std::string& path) {
  const auto contents = read_study(path);
  int finished = 0;
  for (std::size_t i = 0; i < contents.finished.size(); ++i) {
    if (contents.finished[i] == 0) continue;
    ++finished;
    const auto values = sample_values(static_cast<Index>(i));
    EXPECT_EQ(contents.entropy[i], values[0]);
    for (std::size_t layer = 0; layer < 7; ++layer) {
      EXPECT_EQ(contents.output_cosine[7 * i + layer], values[1 + layer]);
    }
  }
  return finished;
}

/// Microseconds that writing a point takes here.
double time_of_a_point(const std::string& path) {
  StudyFile file(path, sample_layout(), sample_provenance(), Existing::refuse);
  const auto start = std::chrono::steady_clock::now();
  for (Index point = 0; point < all_points; ++point) file.write_point(point, sample_values(point));
  const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
  return time.count() / all_points;
}

TEST(StudyFileKilled, AtAnyMomentHoldsEveryFinishedPoint) {
  const Scratch scratch;
  const auto path = scratch / "r.h5";
  std::mt19937 random(20260131);
  std::uniform_int_distribution<int> points(0, 3);
  std::uniform_real_distribution<double> delay(0, 2 * time_of_a_point(scratch / "timed.h5"));
  int finished = 0;
  int kills = 0;
  for (bool done = false; !done;) {
    ASSERT_LT(kills, 200) << "the study makes no progress";
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const int wait = points(random);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_points(path, wait + 2, ends[1]);
    ::close(ends[1]);
    char byte = 0;
    int written = 0;
    while (written < wait && ::read(ends[0], &byte, 1) == 1) ++written;
    std::this_thread::sleep_for(std::chrono::duration<double, std::micro>(delay(random)));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      done = true;
    } else {
      ++kills;
    }
    while (::read(ends[0], &byte, 1) == 1) ++written;
    ::close(ends[0]);
    finished += written;
    if (!std::filesystem::exists(path)) {
      EXPECT_EQ(finished, 0);
      continue;
    }
    // The child may have been killed between the point on disk and the byte in the pipe.
    const int in_file = count_and_check(path);
    EXPECT_GE(in_file, finished);
    EXPECT_LE(in_file, finished + 1);
    finished = in_file;
  }
  EXPECT_EQ(finished, all_points);
  EXPECT_GE(kills, all_points / 5 - 1);
}

}  // namespace
}  // namespace annulus::results
