#pragma once
// What kernels are given: pointers into device memory, and shapes. Plain values, passed by copy;
// nothing is owned. Tables (rows, heads) and (rows, heads, dim) are dense and row-major.

#include <cstdint>

#include "annulus/base/index.hpp"
#include "kernels/cuda/tile_list.hpp"

namespace annulus::kernels::gpu {

/// Rows of q, k, v or dout: element c of row i, head h is element i * row_stride + h * head_stride
/// + c of `data`. Every row starts at a multiple of 16 bytes. `dim` may be less than that of the
/// kernel, which then computes as if zeros followed.
struct InputRows {
  const void* data = nullptr;
  Index row_stride = 0;
  Index head_stride = 0;
  int dim = 0;
};

/// The softmax states of all rows and heads, see SoftmaxState: natural base, kept from the first
/// block to the last. Kernels sum the keys of a panel in fp32, and panels here in fp64.
struct DeviceState {
  float* maximum = nullptr;     ///< (rows, H): m
  double* sum = nullptr;        ///< (rows, H): l
  double* moment = nullptr;     ///< (rows, H): s; only with statistics, as the next two
  double* squares = nullptr;    ///< (rows, H): u
  float* self_logit = nullptr;  ///< (rows, H)
  double* values = nullptr;     ///< (rows, H, d_v): O
};

/// Sums high + low of (rows, heads, dim), where low is what rounding to fp32 has taken from the
/// sum. Without low it is lost, which is as well where each sum is added to once. Such sums may
/// start with what is added: what high holds before does not count.
struct DeviceSums {
  float* high = nullptr;
  float* low = nullptr;
  bool starts = false;
};

/// Accumulates the visible pairs of a list of query tiles into the state. Query head h reads key
/// head h / group.
struct ForwardArguments {
  InputRows q{};
  InputRows k{};
  InputRows v{};
  Index rows = 0;                ///< of q
  Index keys = 0;                ///< rows of k and v
  const float* scale = nullptr;  ///< (rows, H): z = scale * <q, k>
  int heads = 0;                 ///< H
  int group = 1;                 ///< H / G
  int shared = 1;                ///< query heads that share a tile: 1, or all of a key head
  DeviceState state{};
  DeviceTileList tiles{};  ///< of queries
};

/// The state before the first block: the identity, or one key with logit sink[h] and value 0.
struct StartArguments {
  DeviceState state{};
  const float* sink = nullptr;  ///< (H), or null
  int rows = 0;
  int heads = 0;
  int value_dim = 0;
};

/// What consecutive rows of a pass see of some keys: rows first, first + 1, ..., `rows` of them.
struct PieceOutput {
  const void* out = nullptr;  ///< (rows, H, d_v): Sum p v with p = e^(z - lse)
  const float* lse =
      nullptr;  ///< (H, rows): ln Sum e^z, natural base; -inf where a row saw nothing
  Index first = 0;
  int rows = 0;
};

/// Merges a piece into what rows have seen before it: the states of rows first, first + 1, ...,
/// `rows` of them, which are all that the piece has.
struct MergePieceArguments {
  DeviceState before{};         ///< without statistics; absent: nothing but the sinks
  const float* sink = nullptr;  ///< (H), where `before` is absent; or null
  PieceOutput piece{};
  DeviceState after{};  ///< likewise; may be `before`
  Index first = 0;
  int rows = 0;
  int heads = 0;
  int value_dim = 0;
};

/// The same for all rows of a pass, and what follows from their states instead of these, see
/// write_row. `lse` and `lse_low` may be null.
struct FinishPieceArguments {
  DeviceState before{};         ///< without statistics; absent: nothing but the sinks
  const float* sink = nullptr;  ///< (H), where `before` is absent; or null
  PieceOutput piece{};
  int rows = 0;
  int heads = 0;
  int value_dim = 0;
  float* out = nullptr;      ///< (rows, H, d_v)
  float* lse = nullptr;      ///< (rows, H), as the next one
  float* lse_low = nullptr;  ///< what rounding took from lse
};

/// Numbers of a stored state before its values, see state_width.
inline constexpr int stored_scalars = 5;

/// States as store_state writes them, state_width(d_v) numbers of each row and head: those of row
/// i, head h begin at element i * row_stride + h * head_stride of `data`.
template <class Number>
struct StoredStates {
  Number* data = nullptr;
  Index row_stride = 0;
  Index head_stride = 0;
};

/// A tile whose streaming rows were cut into parts, each with states of its own: those of part p
/// begin at row state_row + p * rows.
struct TileParts {
  int row = 0;  ///< first local row
  int rows = 0;
  int state_row = 0;
  int parts = 0;
};

/// Merges the states of the parts of tiles into those of their rows, part after part.
struct MergePartsArguments {
  DeviceState state{};
  DeviceState parts{};
  const TileParts* tiles = nullptr;  ///< on the device
  int count = 0;                     ///< of `tiles`
  int heads = 0;
  int value_dim = 0;
};

/// Writes the states of all rows and heads.
struct WriteStatesArguments {
  DeviceState state{};
  StoredStates<float> to{};
  int rows = 0;
  int heads = 0;
  int value_dim = 0;
};

/// Merges stored states of all rows and of heads first_head, first_head + 1, ..., `heads` of them.
struct MergeStatesArguments {
  DeviceState state{};
  StoredStates<const float> from{};
  int rows = 0;
  int heads = 0;
  int first_head = 0;
  int all_heads = 0;  ///< H of the state
  int value_dim = 0;
};

/// What follows from the state, see write_row. Everything but `out` may be null.
struct FinishArguments {
  DeviceState state{};
  int rows = 0;
  int heads = 0;
  int value_dim = 0;
  float* out = nullptr;      ///< (rows, H, d_v)
  float* lse = nullptr;      ///< (rows, H), as everything below
  float* lse_low = nullptr;  ///< what rounding took from lse
  /// On the device: a table for each of statistics::All, in their order, null where it is not
  /// wanted.
  float* const* statistics = nullptr;
};

/// Sums of queries that every tile of keys adds to, one after the other, in the steps of TurnTiles.
/// At first tickets and counts are zero, and the sums are, or what calls before have left.
struct QueryTurns {
  std::uint32_t* tickets = nullptr;  ///< one number: tiles that blocks have taken
  /// (steps, H, all_gradients_counts): additions that are made. Null: tiles add in any order.
  std::uint32_t* counts = nullptr;
  float* sums = nullptr;  ///< (steps, H, columns * dim): see StepSums
};

/// What kernels of gradients read of every row and head.
struct QueryNumbersArguments {
  const float* scale = nullptr;    ///< (rows, H), as the next three
  const float* lse = nullptr;      ///< natural base; -inf where a row sees nothing
  const float* lse_low = nullptr;  ///< or null: zeros
  const float* mean = nullptr;     ///< <dout, out>
  int rows = 0;
  int heads = 0;
  /// (rows, H, query_numbers): scale; lse, the lowest number instead of -inf; lse_low in base 2;
  /// -mean.
  float* queries = nullptr;
};

/// Adds the gradients of the visible pairs of a list of tiles to sums, a panel at a time. With
/// p = e^((z - lse) - lse_low) and dz = p (<dout, v> - mean):
/// kernels over query tiles add Sum_j dz k_j to `query_sums`,
/// kernels over key tiles add Sum scale dz q to `dk` and Sum p dout to `dv`,
/// and that of all gradients, over key tiles, does so and adds Sum_j dz k_j to `turns.sums`.
struct GradientArguments {
  InputRows q{};
  InputRows k{};
  InputRows v{};
  InputRows dout{};
  Index rows = 0;                  ///< of q and dout
  Index keys = 0;                  ///< rows of k and v
  const float* queries = nullptr;  ///< (rows, H, query_numbers), see QueryNumbersArguments
  /// The scale of all queries, where they have one of at most 1: sums of dk may then be multiplied
  /// by it, and products with fp16 lose nothing. Or 0.
  float one_scale = 0;
  int heads = 0;
  int group = 1;
  double* query_sums = nullptr;  ///< (rows, H, d)
  DeviceSums dk{};               ///< (keys, G, d)
  DeviceSums dv{};               ///< (keys, G, d_v)
  DeviceTileList tiles{};
  QueryTurns turns{};  ///< of the kernel of all gradients, whose tiles are TurnTiles
};

/// Adds the sums of steps to those of their rows.
struct FoldStepsArguments {
  const StepRows* steps = nullptr;  ///< on the device
  int count = 0;                    ///< of `steps`
  int heads = 0;
  int query_dim = 0;             ///< d
  const float* sums = nullptr;   ///< those of QueryTurns
  double* query_sums = nullptr;  ///< (rows, H, d)
};

/// From Sum_j dz k_j to dq = scale times that, and dscale = <q, that>.
struct QueryGradientArguments {
  InputRows q{};
  const float* scale = nullptr;        ///< (rows, H)
  const double* query_sums = nullptr;  ///< (rows, H, d)
  int rows = 0;
  int heads = 0;
  float* dq = nullptr;      ///< (rows, H, d)
  float* dscale = nullptr;  ///< (rows, H); or null
};

/// mean = <dout, out> of every row and head.
struct MeanArguments {
  InputRows dout{};
  const float* out = nullptr;  ///< (rows, H, d_v)
  int rows = 0;
  int heads = 0;
  float* mean = nullptr;  ///< (rows, H)
};

/// The scales of all rows and heads, see LogitScales, rounded to fp32 once.
struct ScaleTableArguments {
  const double* row_numbers = nullptr;  ///< of row i, head h: i * row_stride + h * head_stride
  Index row_stride = 0;
  Index head_stride = 0;                 ///< 0 where heads share the number of a row
  const double* head_factors = nullptr;  ///< (H)
  int rows = 0;
  int heads = 0;
  float* scale = nullptr;  ///< (rows, H)
};

/// The vector along dout whose product with dout is the mean: mean dout / |dout|^2, or zeros.
struct AlongArguments {
  InputRows dout{};             ///< of an even dimension
  const float* mean = nullptr;  ///< (rows, H)
  int rows = 0;
  int heads = 0;
  void* along = nullptr;  ///< (rows, H, d_v), in the type of dout
};

/// (rows, heads) to (heads, rows).
struct TransposeArguments {
  const float* from = nullptr;
  float* to = nullptr;
  Index rows = 0;
  Index heads = 0;
};

/// sums += factor * more, `count` numbers each.
struct AddArguments {
  float* sums = nullptr;
  const float* more = nullptr;
  float factor = 1;
  Index count = 0;
};

/// after = before + piece, `count` numbers, of which the piece has those from `first` on.
struct AddPieceArguments {
  const float* before = nullptr;  ///< or null: zeros
  const void* piece = nullptr;    ///< `piece_count` numbers of 16 bits
  Index first = 0;
  Index piece_count = 0;
  float* after = nullptr;  ///< may be `before`
  Index count = 0;
};

}  // namespace annulus::kernels::gpu
