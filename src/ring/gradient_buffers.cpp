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

void clear(TensorView view) {
  with_accumulator(view.type, [&]<class T>() {
    for (Index i = 0; i < view.rows; ++i) {
      for (Index h = 0; h < view.heads; ++h) std::fill_n(view.row<T>(i, h), view.dim, T{0});
    }
  });
}

}  // namespace

GradientBuffers::GradientBuffers(const Plan& plan, int rank, const KeyValueGradients& own,
                                 BufferPool& pool)
    : plan_(plan), rank_(rank), type_(accumulator_of(plan.data_type)), own_(own), pool_(pool) {
  clear(own.dk);
  clear(own.dv);
  std::size_t held = 0;
  std::size_t arriving = 0;
  for (const auto& step : plan.steps) {
    const auto& hop = step.ranks[static_cast<std::size_t>(rank)].hop;
    if (hop.from >= 0) held = std::max(held, bytes(hop.receive_owner));
    if (hop.to >= 0) arriving = std::max(arriving, bytes(hop.send_owner));
  }
  held_ = pool.take(held);
  leaving_ = pool.take(held);
  arriving_ = pool.take(arriving);
}

GradientBuffers::~GradientBuffers() {
  for (auto* buffer : {&held_, &leaving_, &arriving_}) pool_.give(std::move(*buffer));
}

std::size_t GradientBuffers::bytes(int owner) const {
  return static_cast<std::size_t>(plan_.gradient_bytes(owner));
}

KeyValueGradients GradientBuffers::unpacked(std::byte* data, int owner) const {
  const auto& problem = plan_.problem;
  const Index rows = plan_.key_rows(owner);
  const auto view = [&](std::byte* at, Index dim) {
    return packed_view<void>(at, type_, rows, problem.key_heads, dim);
  };
  const auto key_bytes = row_bytes(type_, rows, problem.key_heads, problem.head_dim);
  return {view(data, problem.head_dim), view(data + key_bytes, problem.output_dim())};
}

KeyValueGradients GradientBuffers::sums(int owner) {
  if (owner == rank_) return own_;
  ensure(owner == held_owner_, "a rank sums gradients of a shard that it does not hold");
  return unpacked(held_.data(), owner);
}

void GradientBuffers::hold(int owner) {
  std::swap(held_, leaving_);
  leaving_owner_ = std::exchange(held_owner_, owner);
  if (owner >= 0 && owner != rank_) std::fill_n(held_.begin(), bytes(owner), std::byte{0});
}

std::span<const std::byte> GradientBuffers::leaving(int owner) const {
  ensure(owner == leaving_owner_, "a rank sends gradients of a shard that it did not hold");
  return std::span(leaving_).first(bytes(owner));
}

std::span<std::byte> GradientBuffers::arrival(int owner) {
  return std::span(arriving_).first(bytes(owner));
}

void GradientBuffers::arrived(int owner) {
  const auto to = sums(owner);
  const auto from = unpacked(arriving_.data(), owner);
  add(to.dk, from.dk);
  add(to.dv, from.dv);
}

}  // namespace annulus::ring
