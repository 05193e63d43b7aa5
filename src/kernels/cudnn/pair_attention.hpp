#pragma once
// Attention of some queries over some keys as a library of the device's vendor computes it. cuDNN
// is one implementation, the tests have another.

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

/// Consecutive rows of queries and of keys in device memory, and where their attention goes.
/// Query head h reads key head h / (heads / key_heads).
struct PairArguments {
  DataType type = DataType::bfloat16;  ///< of q, k, v and out: bf16 or fp16
  PairMask mask = PairMask::full;
  Index queries = 0;
  Index keys = 0;
  int heads = 0;
  int key_heads = 0;
  float scale = 1;       ///< z = scale * <q, k>, positive
  InputRows q{};         ///< (queries, H, d)
  InputRows k{};         ///< (keys, G, d)
  InputRows v{};         ///< (keys, G, d_v)
  void* out = nullptr;   ///< (queries, H, d_v), dense
  float* lse = nullptr;  ///< (H, queries), dense, natural base
};

/// Attention of pairs on one stream. Used by one thread at a time.
class PairAttention {
 public:
  virtual ~PairAttention() = default;
  /// Enqueues. Pointers must stay valid until the stream has come to the end of it. Throws
  /// InputError where the library does not take such a pair, Error where it fails.
  virtual void enqueue(const PairArguments& arguments) = 0;
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
