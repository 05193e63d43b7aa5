#include "kernels/cudnn/backward.hpp"

#include <utility>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"
#include "annulus/device/device_tensor.hpp"
#include "kernels/cuda/device_sums.hpp"
#include "kernels/cudnn/limits.hpp"

namespace annulus::kernels::gpu {
namespace {

/// cuDNN has no gradients of one query and one key. With a query of zeros beside it, whose dout is
/// zero as well, it has: this one adds nothing to those of keys and values.
bool needs_another_query(const Piece& piece) {
  return piece.queries == 1 && piece.keys == 1;
}

Index queries_given(const Piece& piece) {
  return needs_another_query(piece) ? 2 : piece.queries;
}

/// The rows of a piece, of those of a pass, and zeros where it needs another one.
class RowsGiven {
 public:
  RowsGiven(const StreamPointer& stream, DataType type, const InputRows& all, Index heads,
            const Piece& piece)
      : rows_(rows_from(all, piece.query, type)) {
    if (!needs_another_query(piece)) return;
    two_ = device::DeviceTensor(stream, type, 2, heads, rows_.dim);
    auto first = two_.view();
    first.rows = 1;
    device::copy(*stream, first,
                 {rows_.data, type, 1, heads, rows_.dim, rows_.row_stride, rows_.head_stride});
    rows_ = {first.data, first.row_stride, first.head_stride, rows_.dim};
  }

  [[nodiscard]] const InputRows& rows() const { return rows_; }

 private:
  InputRows rows_;
  device::DeviceTensor two_;
};

/// Dense rows that a library writes.
class RowsMade {
 public:
  RowsMade(const StreamPointer& stream, DataType type, Index rows, int heads, int dim)
      : row_numbers_(Index{heads} * dim),
        dim_(dim),
        numbers_(stream, static_cast<std::size_t>(rows * row_numbers_) * size_of(type)) {}

  [[nodiscard]] OutputRows rows() const { return {numbers_.data(), row_numbers_, dim_}; }
  /// Numbers of a row.
  [[nodiscard]] Index row_numbers() const { return row_numbers_; }
  [[nodiscard]] device::Buffer take() && { return std::move(numbers_); }

 private:
  Index row_numbers_;
  int dim_;
  device::Buffer numbers_;
};

}  // namespace

CudnnBackward::CudnnBackward(const Launcher& launcher, const PairLibrary& library, bool in_order,
                             const BackwardQueries& queries, const PassOptions& options)
    : launcher_(launcher),
      stream_(stream_for(queries.q, options)),
      type_(queries.q.type),
      in_order_(in_order),
      scale_(scale_of({.q = queries.q, .scale = queries.scale, .sink = {}})),
      pairs_(library.open(stream_)),
      q_(stream_, queries.q),
      dout_(stream_, queries.dout),
      lse_(stream_, queries.lse),
      rows_(queries.q.rows),
      heads_(narrow<int>(queries.q.heads)),
      key_heads_(narrow<int>(options.key_heads)),
      along_(stream_,
             static_cast<std::size_t>(rows_ * heads_ * options.value_dim) * size_of(type_)),
      dq_(launcher, stream_, type_, rows_ * heads_ * queries.q.dim) {
  ensure(queries.dout.type == type_ && queries.dout.has_shape(rows_, heads_, options.value_dim) &&
             queries.lse.has_shape(rows_, heads_, 1),
         "the gradient of the output and lse have the shapes of the pass");
  mean_ = device_means(launcher, stream_, queries, dout_.rows());
  launcher_.along(type_,
                  {.dout = dout_.rows(),
                   .mean = mean_.data(),
                   .rows = narrow<int>(rows_),
                   .heads = heads_,
                   .along = along_.data()},
                  *stream_);
}

void CudnnBackward::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                               TensorView dk, TensorView dv, const Poll& poll) {
  ensure(k.heads == key_heads_ && v.heads == key_heads_ && k.dim == q_.rows().dim &&
             v.dim == dout_.rows().dim && k.rows == v.rows && k.type == type_ && v.type == type_ &&
             dk.has_shape(k.rows, k.heads, k.dim) && dv.has_shape(v.rows, v.heads, v.dim),
         "keys, values and their gradients have the shapes of the pass");
  const auto pieces = pieces_of(blocks);
  if (!pieces.empty()) {
    const AlignedRows keys(stream_, k);
    const AlignedRows values(stream_, v);
    for (const auto& piece : pieces) {
      accumulate(piece, keys.rows(), values.rows(), dense_sums(dk), dense_sums(dv));
    }
  }
  if (poll) poll();
}

void CudnnBackward::accumulate(const Piece& piece, const InputRows& k, const InputRows& v,
                               float* dk, float* dv) {
  const auto given = [&](DataType type, const InputRows& rows) {
    return RowsGiven(stream_, type, rows, heads_, piece);
  };
  const auto q = given(type_, q_.rows());
  const auto dout = given(type_, dout_.rows());
  const auto along = given(type_, {along_.data(), Index{heads_} * v.dim, v.dim, v.dim});
  const auto lse = given(DataType::float32, {lse_.data(), heads_, 1, 1});
  const Index queries = queries_given(piece);
  const DeviceArray<float> lse_by_head(stream_, queries * heads_);
  launcher_.transpose({.from = static_cast<const float*>(lse.rows().data),
                       .to = lse_by_head.data(),
                       .rows = queries,
                       .heads = heads_},
                      *stream_);
  RowsMade dq_made(stream_, type_, queries, heads_, k.dim);
  const RowsMade dk_made(stream_, type_, piece.keys, key_heads_, k.dim);
  const RowsMade dv_made(stream_, type_, piece.keys, key_heads_, v.dim);
  pairs_->backward({.type = type_,
                    .mask = queries == piece.queries ? piece.mask : PairMask::full,
                    .queries = queries,
                    .keys = piece.keys,
                    .heads = heads_,
                    .key_heads = key_heads_,
                    .scale = scale_,
                    .q = q.rows(),
                    .k = rows_from(k, piece.key, type_),
                    .v = rows_from(v, piece.key, type_)},
                   {.out = along.rows(),
                    .dout = dout.rows(),
                    .lse = lse_by_head.data(),
                    .dq = dq_made.rows(),
                    .dk = dk_made.rows(),
                    .dv = dv_made.rows(),
                    .in_order = in_order_});
  const Index row_numbers = dq_made.row_numbers();
  dq_.add({.numbers = std::move(dq_made).take(),
           .first = piece.query * row_numbers,
           .count = piece.queries * row_numbers});
  const auto add_to = [&](float* sums, const RowsMade& made) {
    add_piece(launcher_, *stream_, type_, sums + piece.key * made.row_numbers(), made.rows().data,
              piece.keys * made.row_numbers());
  };
  add_to(dk, dk_made);
  add_to(dv, dv_made);
}

void CudnnBackward::accumulate_first(ConstTensorView k, ConstTensorView v,
                                     std::span<const Block> blocks, TensorView dk, TensorView dv,
                                     const Poll& poll) {
  device::clear(*stream_, dk);
  device::clear(*stream_, dv);
  accumulate(k, v, blocks, dk, dv, poll);
}

void CudnnBackward::add(TensorView sums, double factor, ConstTensorView more) const {
  add_on_device(launcher_, stream_, sums, factor, more);
}

TensorView CudnnBackward::mean() const {
  return dense_view(mean_.data(), rows_, heads_, 1);
}

void CudnnBackward::write_mean(TensorView to) const {
  device::copy(*stream_, to, mean());
}

void CudnnBackward::finish(TensorView dq, TensorView dscale) {
  const DenseOutput output(stream_, dq);
  dq_.finish(output.data());
  if (dscale.present()) {
    // <q, Sum_j dz k_j> = <q, dq> / scale
    const device::DeviceTensor products(stream_, DataType::float32, rows_, heads_, 1);
    launcher_.mean({.type = type_},
                   {.dout = q_.rows(),
                    .out = output.data(),
                    .rows = narrow<int>(rows_),
                    .heads = heads_,
                    .mean = dense_sums(products.view())},
                   *stream_);
    device::clear(*stream_, dscale);
    add(dscale, 1 / static_cast<double>(scale_), products.view());
  }
  output.finish();
}

}  // namespace annulus::kernels::gpu
