#include "ring/shard_buffers.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "ring/packed_rows.hpp"

namespace annulus::ring {

ShardBuffers::ShardBuffers(const Plan& plan, int rank, const KeysAndValues& own)
    : plan_(plan), rank_(rank), own_(own) {
  bool sends_own = false;
  std::size_t largest = 0;
  for (const auto& step : plan.steps) {
    const auto& hop = step.ranks[static_cast<std::size_t>(rank)].hop;
    sends_own = sends_own || (hop.to >= 0 && hop.send_owner == rank);
    if (hop.from >= 0) largest = std::max(largest, bytes(hop.receive_owner));
  }
  current_.resize(largest);
  next_.resize(largest);
  if (sends_own) {
    own_packed_.resize(bytes(rank));
    std::byte* const keys_end = pack_rows(own_packed_.data(), own.keys, 0, own.keys.rows);
    pack_rows(keys_end, own.values, 0, own.values.rows);
  }
}

std::size_t ShardBuffers::bytes(int owner) const {
  return static_cast<std::size_t>(plan_.payload_bytes(owner));
}

KeysAndValues ShardBuffers::held(int owner) const {
  if (owner == rank_) return own_;
  const auto packed_shard = packed(owner);
  const auto& problem = plan_.problem;
  const Index rows = plan_.key_rows(owner);
  const auto view = [&](const std::byte* data, Index dim) {
    return packed_view<const void>(data, plan_.data_type, rows, problem.key_heads, dim);
  };
  const auto key_bytes = row_bytes(plan_.data_type, rows, problem.key_heads, problem.head_dim);
  return {view(packed_shard.data(), problem.head_dim),
          view(packed_shard.data() + key_bytes, problem.output_dim())};
}

std::span<const std::byte> ShardBuffers::packed(int owner) const {
  if (owner == rank_) return own_packed_;
  ensure(owner == current_owner_, "a rank uses a shard that it does not hold");
  return std::span(current_).first(bytes(owner));
}

std::span<std::byte> ShardBuffers::arrival(int owner) {
  return std::span(next_).first(bytes(owner));
}

void ShardBuffers::arrived(int owner, bool keep) {
  if (keep && current_owner_ >= 0) {
    kept_.push_back(
        {current_owner_, std::exchange(current_, std::vector<std::byte>(next_.size()))});
  }
  std::swap(current_, next_);
  current_owner_ = owner;
}

void ShardBuffers::hold(HeldShards::Shard shard) {
  ensure(shard.owner < 0 || shard.packed.size() >= bytes(shard.owner),
         "a shard that is held has the bytes of its owner");
  current_ = std::move(shard.packed);
  current_.resize(std::max(current_.size(), next_.size()));
  current_owner_ = shard.owner;
}

HeldShards ShardBuffers::let_go() {
  HeldShards all{.shards = std::move(kept_), .present = true};
  if (current_owner_ >= 0) all.shards.push_back({current_owner_, std::move(current_)});
  current_owner_ = -1;
  return all;
}

}  // namespace annulus::ring
