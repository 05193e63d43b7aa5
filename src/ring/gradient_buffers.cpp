#include "ring/gradient_buffers.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "ring/packed_rows.hpp"

namespace annulus::ring {
namespace {

void add(TensorView to, ConstTensorView from) {
  with_accumulator(to.type, [&]<class T>() {
    for (Index i = 0; i < to.rows; ++i) {
      for (Index h = 0; h < to.heads; ++h) {
        T* sum = to.row<T>(i, h);
        const T* more = from.row<T>(i, h);
        for (Index c = 0; c < to.dim; ++c) sum[c] += more[c];
      }
    }
  });
}

/// Overwrites `to`.
void copy(TensorView to, ConstTensorView from) {
  with_accumulator(to.type, [&]<class T>() {
    for (Index i = 0; i < to.rows; ++i) {
      for (Index h = 0; h < to.heads; ++h) std::copy_n(from.row<T>(i, h), to.dim, to.row<T>(i, h));
    }
  });
}

void clear(TensorView view) {
  with_accumulator(view.type, [&]<class T>() {
    for (Index i = 0; i < view.rows; ++i) {
      for (Index h = 0; h < view.heads; ++h) std::fill_n(view.row<T>(i, h), view.dim, T{0});
    }
  });
}

}  // namespace

GradientBuffers::GradientBuffers(const Plan& plan, int rank, const KeyValueGradients& own,
                                 const Node& node, BufferPool& pool)
    : plan_(plan),
      rank_(rank),
      type_(accumulator_of(plan.data_type)),
      own_(own),
      node_(node),
      pool_(pool) {
  const auto zero = sums_of(rank);
  clear(zero.dk);
  clear(zero.dv);
  std::size_t held = 0;
  std::size_t arriving = 0;
  for (const auto& step : plan.steps) {
    const auto& hop = step.ranks[static_cast<std::size_t>(rank)].hop;
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
  const auto& problem = plan_.problem;
  const Index rows = plan_.key_rows(owner);
  const auto view = [&](std::byte* at, Index dim) {
    return packed_view<void>(at, type_, rows, problem.key_heads, dim);
  };
  const auto key_bytes = row_bytes(type_, rows, problem.key_heads, problem.head_dim);
  return {view(data.data(), problem.head_dim), view(data.data() + key_bytes, problem.output_dim())};
}

std::span<std::byte> GradientBuffers::at(std::size_t place, int owner) {
  if (node_.shares()) return node_.arrival_sums(place, plan_.gradient_bytes(owner));
  return std::span(places_[place]).first(bytes(owner));
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
  if (owner >= 0 && owner != rank_) std::ranges::fill(at(held_, owner), std::byte{0});
}

std::span<const std::byte> GradientBuffers::leaving(int owner) {
  ensure(owner == leaving_owner_, "a rank sends gradients of a shard that it did not hold");
  return at(1 - held_, owner);
}

std::span<std::byte> GradientBuffers::arrival(int owner) {
  return std::span(arriving_).first(bytes(owner));
}

void GradientBuffers::arrived(int owner) {
  const auto to = sums_of(owner);
  const auto from = unpacked(arrival(owner), owner);
  add(to.dk, from.dk);
  add(to.dv, from.dv);
}

void GradientBuffers::finish() {
  if (!node_.shares()) return;
  const auto from = sums_of(rank_);
  copy(own_.dk, from.dk);
  copy(own_.dv, from.dv);
}

}  // namespace annulus::ring
