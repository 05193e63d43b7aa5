#pragma once
// What ranks of the model of NCCL pass to each other.

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace annulus::test {

/// What one call of a rank asks for, in memory of its device.
struct NcclCall {
  enum class Kind { send, receive, gather, broadcast };
  Kind kind;
  const std::byte* from;
  std::byte* to;
  std::size_t bytes;
  int peer;        ///< the other end, or the root
  int number = 0;  ///< of a collective: how many of its rank came before
  bool posted = false;
  bool copied = false;
  bool done = false;

  [[nodiscard]] bool is_collective() const {
    return kind == Kind::gather || kind == Kind::broadcast;
  }
};
using NcclCallPointer = std::shared_ptr<NcclCall>;

/// The calls of all ranks of a communicator that the devices have come to. Not thread-safe.
class NcclMessages {
 public:
  explicit NcclMessages(int ranks) : ranks_(ranks) {}

  /// Notes that `rank` has asked for a call, which connects it with those that do the same.
  void connect(int rank, const NcclCall& call);
  [[nodiscard]] bool connected(int rank, const NcclCall& call) const;

  /// Does what can be done of a call, the device of whose `rank` has come to it. Memory of others
  /// is read when all that take part are there. Returns what does not fit, or nothing.
  [[nodiscard]] std::string advance(int rank, const NcclCallPointer& call);
  /// Forgets a call whose rank has aborted.
  void drop(const NcclCallPointer& call);

 private:
  /// Messages from one rank to another, in their order.
  struct Channel {
    std::deque<NcclCallPointer> sends;
    std::deque<NcclCallPointer> receives;
    bool sender_connects = false;
    bool receiver_connects = false;
  };

  void post(int rank, const NcclCallPointer& call);
  [[nodiscard]] std::string pass(int from, int to);
  [[nodiscard]] std::string pass_to_all(int rank, NcclCall& call);

  int ranks_;
  std::set<int> connected_;
  std::map<std::pair<int, int>, Channel> channels_;
  std::map<int, std::map<int, NcclCallPointer>> collectives_;  // by number and rank
};

}  // namespace annulus::test
