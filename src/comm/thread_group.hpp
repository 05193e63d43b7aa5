#pragma once
// What ranks that are threads share.

#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "annulus/base/index.hpp"
#include "annulus/plan/topology.hpp"
#include "comm/thread_messages.hpp"

namespace annulus::comm {

/// All ranks of one run_threads, whatever groups they form: one lock, and who is no longer there.
struct ThreadWorld {
  explicit ThreadWorld(int ranks)
      : left(static_cast<std::size_t>(ranks)), changed(static_cast<std::size_t>(ranks)) {}

  /// The rank throws: every wait ends.
  void give_up(int rank);
  /// The rank has returned: whoever still waits for it waits in vain.
  void leave(int rank);
  /// Something has changed that the rank may wait for, or any rank. Others sleep on: with one
  /// condition for all of them, most of the time of small messages is spent on waking up in vain.
  void wake(int rank) { changed[static_cast<std::size_t>(rank)].notify_one(); }
  void wake_all();

  // With the lock held:

  /// Ends every wait with this message, unless they have one already.
  void fail(int rank, std::string message);
  /// Throws Error where a rank has given up or failed.
  void check() const;
  /// Throws Error, in the name of `rank`, where `peer`, for which it waits, has left.
  void check_present(int rank, int peer);
  /// Sleeps until the rank is woken, or for no reason.
  void wait(int rank, std::unique_lock<std::mutex>& lock) {
    changed[static_cast<std::size_t>(rank)].wait(lock);
  }

  std::mutex mutex;
  int first_to_fail = -1;  ///< none yet
  std::string reason;      ///< what the waits of the others end with
  std::vector<bool> left;

 private:
  std::vector<std::condition_variable> changed;  ///< by rank
};

/// Ranks 0 .. ranks - 1 of a world, with their collectives and the messages between them.
class ThreadGroup {
 public:
  using Contributions = std::vector<std::vector<std::byte>>;

  /// Ranks on the nodes of `topology`, which names all of them.
  ThreadGroup(std::shared_ptr<ThreadWorld> world, Topology topology);

  [[nodiscard]] int ranks() const { return topology_.ranks; }
  [[nodiscard]] const Topology& topology() const { return topology_; }
  [[nodiscard]] ThreadWorld& world() { return *world_; }
  /// With the world's lock held.
  [[nodiscard]] ThreadMessages& messages() { return messages_; }

  /// Collective. What every rank brings, by rank. Shared and immutable, so that a rank that gives
  /// up takes nothing away that others still read.
  [[nodiscard]] std::shared_ptr<const Contributions> gather(int rank, std::vector<std::byte> mine);

  /// Collective. Everybody's region, by rank, which lives as long as anybody holds it.
  [[nodiscard]] std::vector<std::shared_ptr<std::byte>> share(int rank,
                                                              std::shared_ptr<std::byte> region);

  /// The group of the first `ranks` ranks that the `call`-th call of each rank asks for.
  [[nodiscard]] std::shared_ptr<ThreadGroup> first(Index call, int ranks);

 private:
  std::shared_ptr<ThreadWorld> world_;
  Topology topology_;
  ThreadMessages messages_;
  std::vector<std::shared_ptr<std::byte>> regions_;
  Contributions pending_;
  int arrived_ = 0;
  Index round_ = 0;
  std::shared_ptr<const Contributions> published_;
  std::map<Index, std::shared_ptr<ThreadGroup>> children_;
};

}  // namespace annulus::comm
