#include "cli/commands.hpp"

namespace annulus::cli {

std::unique_ptr<Command> make_attend();
std::unique_ptr<Command> make_study();
std::unique_ptr<Command> make_report();
std::unique_ptr<Command> make_plan_command();
std::unique_ptr<Command> make_verify();
std::unique_ptr<Command> make_info();
std::unique_ptr<Command> make_bench_kernel();
std::unique_ptr<Command> make_bench_strong();
std::unique_ptr<Command> make_bench_weak();
std::unique_ptr<Command> make_bench_decode();
std::unique_ptr<Command> make_bench_machine();

std::vector<CommandEntry> make_commands() {
  std::vector<CommandEntry> all;
  const auto add = [&](const char* group, const char* name, const char* description,
                       std::unique_ptr<Command> command) {
    all.push_back({group, name, description, std::move(command)});
  };
  add("", "attend", "attention of the q, k, v in an HDF5 file", make_attend());
  add("", "study", "a grid of experiments on attention scaling", make_study());
  add("", "report", "the pictures that belong to results files", make_report());
  add("", "plan", "who holds, sends and computes what, without running it", make_plan_command());
  add("", "verify", "compare a shape with the fp64 reference", make_verify());
  add("", "info", "what this build and this machine have", make_info());
  add("", "bench", "measure speed", nullptr);
  add("bench", "kernel", "one rank alone, against the peak of its cores", make_bench_kernel());
  add("bench", "strong", "the same problems on more and more ranks", make_bench_strong());
  add("bench", "weak", "a problem that grows with the ranks", make_bench_weak());
  add("bench", "decode", "one new token over a cache on all ranks", make_bench_decode());
  add("bench", "machine", "what plans are predicted from, of this machine", make_bench_machine());
  return all;
}

}  // namespace annulus::cli
