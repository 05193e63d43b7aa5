#include "ring/shard_buffers.hpp"

#include <utility>

#include "annulus/base/error.hpp"
#include "ring/packed_rows.hpp"

namespace annulus::ring {

ShardBuffers::ShardBuffers(const Plan& plan, int rank, const KeysAndValues& own, BufferPool& pool)
    : plan_(plan), rank_(rank), own_(own), pool_(pool) {}

ShardBuffers::~ShardBuffers() {
  for (auto* buffer : {&own_packed_, &current_, &next_}) pool_.give(std::move(*buffer));
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
    own_packed_ = pool_.take(bytes(rank_));
    std::byte* const keys_end = pack_rows(own_packed_.data(), own_.keys, 0, own_.keys.rows);
    pack_rows(keys_end, own_.values, 0, own_.values.rows);
  }
  return std::span(own_packed_).first(bytes(rank_));
}

std::span<const std::byte> ShardBuffers::received(int owner) const {
  ensure(owner == current_owner_, "a rank uses a shard that it does not hold");
  return std::span(current_).first(bytes(owner));
}

std::span<std::byte> ShardBuffers::arrival(int owner) {
  pool_.ensure_size(next_, bytes(owner));
  return std::span(next_).first(bytes(owner));
}

void ShardBuffers::arrived(int owner, bool keep) {
  if (keep && current_owner_ >= 0) {
    kept_.push_back({current_owner_, std::exchange(current_, {})});
  }
  std::swap(current_, next_);
  current_owner_ = owner;
}

void ShardBuffers::hold(HeldShards::Shard shard) {
  ensure(shard.owner < 0 || shard.packed.size() >= bytes(shard.owner),
         "a shard that is held has the bytes of its owner");
  pool_.give(std::exchange(current_, std::move(shard.packed)));
  current_owner_ = shard.owner;
}

HeldShards ShardBuffers::let_go() {
  HeldShards all{.shards = std::move(kept_), .present = true};
  if (current_owner_ >= 0) {
    all.shards.push_back({current_owner_, std::exchange(current_, {})});
  }
  current_owner_ = -1;
  pool_.give(std::exchange(own_packed_, {}));
  return all;
}

}  // namespace annulus::ring
