#pragma once
// Ranks as threads of one process: tests without a launcher, and several ranks on one GPU.

#include <functional>
#include <memory>
#include <vector>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

struct ThreadWorld;

/// The communicators of ranks whose threads are the caller's: each is used by one thread, which
/// says how it ended, so that no other waits for it in vain.
class ThreadRanks {
 public:
  /// Throws InputError for fewer than one rank.
  explicit ThreadRanks(int ranks);
  /// Ranks as if on the nodes of `topology`. Throws InputError for a topology that makes no sense.
  explicit ThreadRanks(const Topology& topology);
  ThreadRanks(const ThreadRanks&) = delete;
  ThreadRanks& operator=(const ThreadRanks&) = delete;

  [[nodiscard]] int size() const { return static_cast<int>(communicators_.size()); }
  [[nodiscard]] Communicator& communicator(int rank) {
    return *communicators_[static_cast<std::size_t>(rank)];
  }
  /// The rank has returned: whoever still waits for it gets an Error.
  void leave(int rank);
  /// The rank has failed: every wait ends with an Error.
  void give_up(int rank);
  /// The rank whose failure the others' follow from; -1 where none has failed.
  [[nodiscard]] int first_to_fail() const;

 private:
  std::shared_ptr<ThreadWorld> world_;
  std::vector<std::unique_ptr<Communicator>> communicators_;
};

/// Runs `body` on `ranks` threads, each with its own communicator, and returns when all are done.
/// Where one throws, the waits of the others end with an Error, and the first exception that was
/// not such a consequence is thrown again here. Throws InputError for fewer than one rank.
void run_threads(int ranks, const std::function<void(Communicator&)>& body);

/// The same, as if the ranks were on the nodes of `topology`: what crosses nodes is sent, although
/// it could be read in place. Throws InputError for a topology that makes no sense.
void run_threads(const Topology& topology, const std::function<void(Communicator&)>& body);

}  // namespace annulus::comm
