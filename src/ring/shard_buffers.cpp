#include "ring/shard_buffers.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "ring/packed_rows.hpp"

namespace annulus::ring {

ShardBuffers::ShardBuffers(const Plan& plan, int rank, const KeysAndValues& own)
    : plan_(plan), rank_(rank), own_(own) {
  std::size_t largest = 0;
  for (const auto& step : plan.steps) {
    const auto& hop = step.ranks[static_cast<std::size_t>(rank)].hop;
    if (hop.from >= 0) largest = std::max(largest, bytes(hop.receive_owner));
  }
  current_.resize(largest);
  next_.resize(largest);
}

std::size_t ShardBuffers::bytes(int owner) const {
  return static_cast<std::size_t>(plan_.payload_bytes(owner));
}

KeysAndValues ShardBuffers::held(int owner) const {
  if (owner == rank_) return own_;
  const auto packed_shard = received(owner);
  const auto& problem = plan_.problem;
  const Index rows = plan_.key_rows(owner);
  const auto view = [&](const std::byte* data, Index dim) {
    return packed_view<const void>(data, plan_.data_type, rows, problem.key_heads, dim);
  };
  const auto key_bytes = row_bytes(plan_.data_type, rows, problem.key_heads, problem.head_dim);
  return {view(packed_shard.data(), problem.head_dim),
          view(packed_shard.data() + key_bytes, problem.output_dim())};
}

std::span<const std::byte> ShardBuffers::packed(int owner) {
  if (owner != rank_) return received(owner);
  if (own_packed_.empty()) {
    own_packed_.reserve(bytes(rank_));
    append_rows(own_packed_, own_.keys, 0, own_.keys.rows);
    append_rows(own_packed_, own_.values, 0, own_.values.rows);
  }
  return own_packed_;
}

std::span<const std::byte> ShardBuffers::received(int owner) const {
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
  own_packed_ = {};
  return all;
}

}  // namespace annulus::ring
