#include "ring/shard_buffers.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "annulus/base/error.hpp"

namespace annulus::ring {
namespace {

/// Copies the rows of `view` behind `to` and returns where they end.
std::byte* pack(std::byte* to, ConstTensorView view) {
  const std::size_t element = size_of(view.type);
  const std::size_t bytes = static_cast<std::size_t>(view.dim) * element;
  const auto* from = static_cast<const std::byte*>(view.data);
  for (Index i = 0; i < view.rows; ++i) {
    for (Index h = 0; h < view.heads; ++h, to += bytes) {
      const Index offset = i * view.row_stride + h * view.head_stride;
      std::memcpy(to, from + static_cast<std::size_t>(offset) * element, bytes);
    }
  }
  return to;
}

}  // namespace

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
    pack(pack(own_packed_.data(), own.keys), own.values);
  }
}

std::size_t ShardBuffers::bytes(int owner) const {
  return static_cast<std::size_t>(plan_.payload_bytes(owner));
}

KeysAndValues ShardBuffers::held(int owner) const {
  if (owner == rank_) return own_;
  const auto packed_shard = packed(owner);
  const auto& problem = plan_.problem;
  const auto view = [&](const std::byte* data, Index dim) {
    return ConstTensorView{.data = data,
                           .type = plan_.data_type,
                           .rows = plan_.key_rows(owner),
                           .heads = problem.key_heads,
                           .dim = dim,
                           .row_stride = problem.key_heads * dim,
                           .head_stride = dim};
  };
  const auto keys = view(packed_shard.data(), problem.head_dim);
  const auto key_bytes =
      static_cast<std::size_t>(keys.rows * keys.row_stride) * size_of(plan_.data_type);
  return {keys, view(packed_shard.data() + key_bytes, problem.output_dim())};
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
