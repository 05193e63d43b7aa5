#include "ring/gradient_buffers.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "ring/packed_rows.hpp"

namespace annulus::ring {
GradientBuffers::GradientBuffers(const Plan& plan, int rank, const KeyValueGradients& own,
                                 const SharedNode& node, BufferPool& pool,
                                 const kernels::BackwardPass& pass)
    : plan_(plan),
      rank_(rank),
      type_(accumulator_of(plan.data_type())),
      own_(own),
      node_(node),
      pool_(pool),
      pass_(pass) {
  const auto zero = sums_of(rank);
  device::clear(*pool.stream(), zero.dk);
  device::clear(*pool.stream(), zero.dv);
  std::size_t held = 0;
  std::size_t arriving = 0;
  for (const auto& [reads, hop] : plan.program(rank)) {
    if (hop.from >= 0) held = std::max(held, bytes(hop.receive_owner));
    if (hop.to >= 0) arriving = std::max(arriving, bytes(hop.send_owner));
  }
  if (!node.shares()) {
    for (auto& place : places_) place = pool.take(held);
  }
  arriving_ = pool.take(arriving);
}

GradientBuffers::~GradientBuffers() {
  for (auto& place : places_) pool_.give(std::move(place));
  pool_.give(std::move(arriving_));
}

std::size_t GradientBuffers::bytes(int owner) const {
  return static_cast<std::size_t>(plan_.gradient_bytes(owner));
}

KeyValueGradients GradientBuffers::unpacked(std::span<std::byte> data, int owner) const {
  const auto& problem = plan_.problem();
  const Index rows = plan_.key_rows(owner);
  const auto view = [&](std::byte* at, Index dim) {
    return packed_view<void>(at, type_, rows, problem.key_heads, dim);
  };
  const auto key_bytes = row_bytes(type_, rows, problem.key_heads, problem.head_dim);
  return {view(data.data(), problem.head_dim), view(data.data() + key_bytes, problem.output_dim())};
}

std::span<std::byte> GradientBuffers::at(std::size_t place, int owner) {
  if (node_.shares()) return node_.arrival_sums(place, plan_.gradient_bytes(owner));
  return places_[place].bytes().first(bytes(owner));
}

KeyValueGradients GradientBuffers::sums(const Read& read, std::size_t step) {
  if (read.holder == rank_) return sums_of(read.owner);
  return unpacked(node_.sums(read.owner, read.holder, step), read.owner);
}

KeyValueGradients GradientBuffers::sums_of(int owner) {
  if (owner == rank_) {
    return node_.shares() ? unpacked(node_.sums(rank_, rank_, 0), rank_) : own_;
  }
  ensure(owner == held_owner_, "a rank sums gradients of a shard that it does not hold");
  return unpacked(at(held_, owner), owner);
}

void GradientBuffers::hold(int owner, std::size_t step) {
  held_ = node_.shares() ? node_.place(rank_, step) : 1 - held_;
  leaving_owner_ = std::exchange(held_owner_, owner);
  if (owner < 0 || owner == rank_) return;
  const auto sums = at(held_, owner);
  pool_.stream()->clear(sums.data(), sums.size());
}

std::span<const std::byte> GradientBuffers::leaving(int owner) {
  ensure(owner == leaving_owner_, "a rank sends gradients of a shard that it did not hold");
  return at(1 - held_, owner);
}

std::span<std::byte> GradientBuffers::arrival(int owner) {
  return arriving_.bytes().first(bytes(owner));
}

void GradientBuffers::arrived(int owner) {
  const auto to = sums_of(owner);
  const auto from = unpacked(arrival(owner), owner);
  pass_.add(to.dk, from.dk);
  pass_.add(to.dv, from.dv);
}

void GradientBuffers::finish() {
  if (!node_.shares()) return;
  const auto from = sums_of(rank_);
  device::copy(*pool_.stream(), own_.dk, from.dk);
  device::copy(*pool_.stream(), own_.dv, from.dv);
}

}  // namespace annulus::ring
