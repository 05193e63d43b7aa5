#pragma once
// Attention of some queries over some keys as a library of the device's vendor computes it, and its
// gradients. cuDNN is one implementation, the tests have another.

#include <memory>
#include <string>

#include "annulus/base/data_type.hpp"
#include "annulus/device/stream.hpp"
#include "kernels/cuda/arguments.hpp"

namespace annulus::kernels::gpu {

/// Which keys a query of a pair sees. Every query sees some.
enum class PairMask {
  full,    ///< all of them
  causal,  ///< query i keys 0 to i, of as many keys as queries
};

/// Consecutive rows of queries and of keys in device memory. Query head h reads key head
/// h / (heads / key_heads).
struct Pair {
  DataType type = DataType::bfloat16;  ///< of q, k, v and everything that is not a number of a row:
                                       ///< bf16 or fp16
  PairMask mask = PairMask::full;
  Index queries = 0;
  Index keys = 0;
  int heads = 0;
  int key_heads = 0;
  float scale = 1;  ///< z = scale * <q, k>, positive
  InputRows q{};    ///< (queries, H, d)
  InputRows k{};    ///< (keys, G, d)
  InputRows v{};    ///< (keys, G, d_v)
};

/// Where the attention of a pair goes.
struct PairOutputs {
  void* out = nullptr;   ///< (queries, H, d_v), dense
  float* lse = nullptr;  ///< (H, queries), dense, natural base
};

/// Rows that are written: element c of row i, head h is element i * row_stride + h * dim + c.
struct OutputRows {
  void* data = nullptr;
  Index row_stride = 0;
  int dim = 0;
};

/// What else the gradients of a pair are made of, and where they go. With p = e^(z - lse) and
/// dz = p (<dout, v> - <dout, out>): dq = scale Sum_j dz k_j, dk_j = Sum scale dz q,
/// dv_j = Sum p dout.
struct PairGradients {
  InputRows out{};             ///< (queries, H, d_v), of which <dout, out> alone matters
  InputRows dout{};            ///< likewise
  const float* lse = nullptr;  ///< (H, queries), dense: finite numbers, of any more keys
  OutputRows dq{};             ///< (queries, H, d)
  OutputRows dk{};             ///< (keys, G, d)
  OutputRows dv{};             ///< (keys, G, d_v)
  bool in_order = true;        ///< whether they have the same bits every time
};

/// Some heads of a pair: `count` key heads from `first` on, and the query heads that read them.
[[nodiscard]] Pair heads_of(Pair pair, int first, int count);
/// The gradients of these heads of `pair`.
[[nodiscard]] PairGradients heads_of(PairGradients gradients, const Pair& pair, int first);

/// Attention of pairs on one stream. Used by one thread at a time.
class PairAttention {
 public:
  virtual ~PairAttention() = default;
  /// Both enqueue. Pointers must stay valid until the stream has come to the end of it. Throw
  /// InputError where the library does not take such a pair, Error where it fails.
  virtual void forward(const Pair& pair, const PairOutputs& outputs) = 0;
  /// Not for a pair of one query and one key.
  virtual void backward(const Pair& pair, const PairGradients& gradients) = 0;
};

/// A library that computes attention of pairs.
class PairLibrary {
 public:
  virtual ~PairLibrary() = default;
  /// Why it cannot be used in this process; empty where it can.
  [[nodiscard]] virtual std::string problem() const = 0;
  /// Attention on `stream`, of a GPU. Throws Error where the library fails.
  [[nodiscard]] virtual std::unique_ptr<PairAttention> open(
      const std::shared_ptr<device::Stream>& stream) const = 0;
};

}  // namespace annulus::kernels::gpu
