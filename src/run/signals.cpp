#include "run/signals.hpp"

#include <csignal>
#include <initializer_list>

#include "annulus/results/partial_files.hpp"

namespace annulus::run {
namespace {

/// Runs once: by then the signal ends the process again, as it does when it comes once more.
void end_by(int signal) {
  results::remove_partial_files();
  static_cast<void>(std::raise(signal));
}

}  // namespace

void handle_signals() {
  struct sigaction ending {};
  ending.sa_handler = end_by;
  ending.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGXCPU}) {
    struct sigaction before {};
    // What is ignored stays ignored: nohup.
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_DFL) {
      static_cast<void>(::sigaction(signal, &ending, nullptr));
    }
  }
  // A file that becomes too large is an error of the call that writes.
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
}

}  // namespace annulus::run
