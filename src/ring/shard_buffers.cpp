#include "ring/shard_buffers.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "ring/packed_rows.hpp"

namespace annulus::ring {

ShardBuffers::ShardBuffers(const Plan& plan, int rank, const KeysAndValues& own,
                           const SharedNode& node, BufferPool& pool)
    : plan_(plan), rank_(rank), own_(own), node_(node), pool_(pool) {
  if (node.shares()) pack_own(node.shard(rank, rank, 0));
}

ShardBuffers::~ShardBuffers() {
  pool_.give(std::move(own_packed_));
  for (auto& place : places_) pool_.give(std::move(place));
}

std::size_t ShardBuffers::bytes(int owner) const {
  return static_cast<std::size_t>(plan_.payload_bytes(owner));
}

KeysAndValues ShardBuffers::unpacked(std::span<const std::byte> packed, int owner) const {
  const auto& problem = plan_.problem();
  const Index rows = plan_.key_rows(owner);
  const auto view = [&](const std::byte* data, Index dim) {
    return packed_view<const void>(data, plan_.data_type(), rows, problem.key_heads, dim);
  };
  const auto key_bytes = row_bytes(plan_.data_type(), rows, problem.key_heads, problem.head_dim);
  return {view(packed.data(), problem.head_dim),
          view(packed.data() + key_bytes, problem.output_dim())};
}

KeysAndValues ShardBuffers::read(const Read& read, std::size_t step) const {
  if (read.owner == rank_) return own_;
  if (read.holder == rank_) return unpacked(received(read.owner), read.owner);
  return unpacked(node_.shard(read.owner, read.holder, step), read.owner);
}

void ShardBuffers::pack_own(std::span<std::byte> to) const {
  auto& stream = *pool_.stream();
  const auto pack = [&](std::byte* begin, ConstTensorView rows) {
    device::copy(stream, packed_view<void>(begin, rows.type, rows.rows, rows.heads, rows.dim),
                 rows);
  };
  pack(to.data(), own_.keys);
  pack(to.data() + row_bytes(own_.keys.type, own_.keys.rows, own_.keys.heads, own_.keys.dim),
       own_.values);
}

std::span<const std::byte> ShardBuffers::packed(int owner) {
  if (owner != rank_) return received(owner);
  if (node_.shares()) return node_.shard(rank_, rank_, 0);
  if (own_packed_.empty()) {
    own_packed_ = pool_.take(bytes(rank_));
    pack_own(own_packed_.bytes());
  }
  return own_packed_.bytes().first(bytes(rank_));
}

std::span<const std::byte> ShardBuffers::received(int owner) const {
  ensure(owner == current_owner_, "a rank uses a shard that it does not hold");
  if (node_.shares()) return node_.arrival(current_, plan_.payload_bytes(owner));
  return places_[current_].bytes().first(bytes(owner));
}

std::span<std::byte> ShardBuffers::arrival(int owner) {
  const std::size_t next = 1 - current_;
  if (node_.shares()) return node_.arrival(next, plan_.payload_bytes(owner));
  pool_.ensure_size(places_[next], bytes(owner));
  return places_[next].bytes().first(bytes(owner));
}

void ShardBuffers::arrived(int owner, bool keep) {
  if (keep && current_owner_ >= 0) kept_.push_back(take_current());
  current_ = 1 - current_;
  current_owner_ = owner;
}

PackedShard ShardBuffers::take_current() {
  PackedShard shard{current_owner_, {}};
  if (node_.shares()) {
    const auto packed = received(current_owner_);
    shard.packed = pool_.take(packed.size());
    std::ranges::copy(packed, shard.packed.data());
  } else {
    shard.packed = std::exchange(places_[current_], {});
  }
  return shard;
}

void ShardBuffers::hold(PackedShard shard, std::size_t step) {
  ensure(shard.owner < 0 || shard.packed.size() >= bytes(shard.owner),
         "a shard that is held has the bytes of its owner");
  current_owner_ = shard.owner;
  if (node_.shares()) {
    current_ = node_.place(rank_, step);
    if (shard.owner < 0) return;
    const Index size = plan_.payload_bytes(shard.owner);
    std::copy_n(shard.packed.data(), size, node_.arrival(current_, size).begin());
    pool_.give(std::move(shard.packed));
  } else {
    pool_.give(std::exchange(places_[current_], std::move(shard.packed)));
  }
}

HeldShards ShardBuffers::let_go() {
  HeldShards all{.shards = std::move(kept_), .present = true};
  if (current_owner_ >= 0) all.shards.push_back(take_current());
  current_owner_ = -1;
  pool_.give(std::exchange(own_packed_, {}));
  return all;
}

}  // namespace annulus::ring
