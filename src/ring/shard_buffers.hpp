#pragma once
// The keys and values that a rank holds, its own and what arrives, and those that its peers hold.

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "annulus/base/tensor_view.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "ring/buffer_pool.hpp"
#include "ring/shared_node.hpp"

namespace annulus::ring {

/// Keys and values of one shard.
struct KeysAndValues {
  ConstTensorView keys;    ///< (rows, G, d)
  ConstTensorView values;  ///< (rows, G, d_v)
};

/// What travels is packed, all keys and then all values of a shard, so that a hop is one message.
/// Memory is one packed copy of the own shard, if it travels or is read by peers, and at most two
/// places for what arrives: O(n / P), whatever the number of steps. The places are the pool's, or
/// the node's where peers read them.
class ShardBuffers {
 public:
  /// Borrows all of these. Packs `own`, the rank's keys and values, where peers are to read it.
  ShardBuffers(const Plan& plan, int rank, const KeysAndValues& own, const SharedNode& node,
               BufferPool& pool);
  ShardBuffers(const ShardBuffers&) = delete;
  ShardBuffers& operator=(const ShardBuffers&) = delete;
  ~ShardBuffers();

  /// What the rank reads in `step`.
  [[nodiscard]] KeysAndValues read(const Read& read, std::size_t step) const;
  /// The shard of `owner`, which is the rank itself or whose shard arrived last, as bytes to send.
  /// The own shard is packed when it is first asked for.
  [[nodiscard]] std::span<const std::byte> packed(int owner);
  /// Where the shard of `owner` is to arrive, while the one held stays in use.
  [[nodiscard]] std::span<std::byte> arrival(int owner);
  /// What has arrived is now held. What was held until now is kept for let_go() where `keep`.
  void arrived(int owner, bool keep = false);

  /// The owner of the shard that arrived last; -1 where none has.
  [[nodiscard]] int current_owner() const { return current_owner_; }
  /// Holds a shard that came from elsewhere, in the place that the rank uses in `step`.
  void hold(PackedShard shard, std::size_t step);
  /// Gives away what was kept and what is held, when all has been sent.
  [[nodiscard]] HeldShards let_go();

 private:
  [[nodiscard]] std::size_t bytes(int owner) const;
  [[nodiscard]] std::span<const std::byte> received(int owner) const;
  [[nodiscard]] KeysAndValues unpacked(std::span<const std::byte> packed, int owner) const;
  /// The shard held, and its memory with it where that is the rank's own.
  [[nodiscard]] PackedShard take_current();
  void pack_own(std::span<std::byte> to) const;

  const Plan& plan_;
  int rank_;
  KeysAndValues own_;
  const SharedNode& node_;
  BufferPool& pool_;
  Buffer own_packed_;
  std::array<Buffer, 2> places_;  // empty where the node's are used
  std::size_t current_ = 0;       // the place of the shard that arrived last
  int current_owner_ = -1;
  std::vector<PackedShard> kept_;
};

}  // namespace annulus::ring
