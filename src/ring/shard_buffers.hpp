#pragma once
// The keys and values that a rank holds: its own, and two buffers that take turns.

#include <cstddef>
#include <span>
#include <vector>

#include "annulus/base/tensor_view.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "ring/buffer_pool.hpp"

namespace annulus::ring {

/// Keys and values of one shard.
struct KeysAndValues {
  ConstTensorView keys;    ///< (rows, G, d)
  ConstTensorView values;  ///< (rows, G, d_v)
};

/// What travels is packed, all keys and then all values of a shard, so that a hop is one message.
/// Memory is one packed copy of the own shard, if it travels, and at most two receive buffers:
/// O(n / P), whatever the number of steps.
class ShardBuffers {
 public:
  /// Borrows `own`, the rank's keys and values; takes buffers from `pool` and gives them back.
  ShardBuffers(const Plan& plan, int rank, const KeysAndValues& own, BufferPool& pool);
  ShardBuffers(const ShardBuffers&) = delete;
  ShardBuffers& operator=(const ShardBuffers&) = delete;
  ~ShardBuffers();

  /// The shard of `owner`, which is the rank itself or whose shard arrived last.
  [[nodiscard]] KeysAndValues held(int owner) const;
  /// The same as bytes to send. The own shard is packed when it is first asked for.
  [[nodiscard]] std::span<const std::byte> packed(int owner);
  /// Where the shard of `owner` is to arrive, while the one held stays in use.
  [[nodiscard]] std::span<std::byte> arrival(int owner);
  /// What has arrived is now held. What was held until now is kept for let_go() where `keep`.
  void arrived(int owner, bool keep = false);

  /// The owner of the shard that arrived last; -1 where none has.
  [[nodiscard]] int current_owner() const { return current_owner_; }
  /// Holds a shard that came from elsewhere.
  void hold(HeldShards::Shard shard);
  /// Gives away what was kept and what is held, when all has been sent.
  [[nodiscard]] HeldShards let_go();

 private:
  [[nodiscard]] std::size_t bytes(int owner) const;
  [[nodiscard]] std::span<const std::byte> received(int owner) const;

  const Plan& plan_;
  int rank_;
  KeysAndValues own_;
  BufferPool& pool_;
  Buffer own_packed_;
  Buffer current_;
  Buffer next_;
  int current_owner_ = -1;
  std::vector<HeldShards::Shard> kept_;
};

}  // namespace annulus::ring
