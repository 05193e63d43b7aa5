#pragma once
// Decode, and prefill in chunks: attention of new tokens over keys and values that stay where they
// are.

#include <vector>

#include "annulus/base/tensor_view.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/cache_layout.hpp"
#include "annulus/ring/growing_rows.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus {

/// A cache of keys and values that is spread over the ranks of a communicator, and attention over
/// it. Every rank keeps the rows that it appended. Queries travel: all ranks meet them with their
/// own keys, and the partial states are merged on the way back to the rank that has the query, in
/// log2 P rounds. Scales see the position of a query in its whole sequence, so n tokens appended
/// and attended one by one give what one forward pass over n tokens gives.
class CachedAttention {
 public:
  /// An empty cache of problem.documents.count() sequences, kept in `type`. The key lengths of the
  /// documents are those that the sequences have in the end, which is what logit scales with
  /// length=global see; of a sequence of length 0 they see the tokens that are there so far.
  /// The cache lies in memory of the device that the kernel computes on, the rank's as in
  /// RingAttention. Borrows `communicator` and `kernel`. Throws InputError where the kernel does
  /// not compute with the type or has no states to merge, or for a problem that makes no sense.
  /// `threads` per rank, at least 1.
  CachedAttention(const Problem& problem, DataType type, comm::Communicator& communicator,
                  const kernels::Kernel& kernel, int threads = 1);

  /// Where the tokens are; next() of it says which rank takes which of the next tokens.
  [[nodiscard]] const CacheLayout& layout() const { return layout_; }

  /// Appends the rank's rows of a chunk, which is the same on all ranks: k (rows, G, d) and
  /// v (rows, G, d_v) in the order of its shard, in memory of the host or of the device, where the
  /// copy is enqueued on stream(). Nothing is communicated: after a prefill by
  /// RingAttention, the shards that it was given are a chunk. Throws InputError as
  /// CacheLayout::append does, and where a sequence outgrows its document; Error where shapes or
  /// types do not fit.
  void append(const CacheChunk& chunk, ConstTensorView k, ConstTensorView v);

  /// Collective. Attention of the rank's rows of `chunk`, whose tokens are in the cache already:
  /// q (rows, H, d) in the type of the cache, out (rows, H, d_v) in its accumulator type; options
  /// as in RingAttention::forward, without `held`. Each in memory of the host or of the device, and
  /// written on return. A query sees what the mask shows it of the
  /// tokens that are there. Memory beside the cache is that of a few thousand rows at a time,
  /// whatever the length of the chunk. Throws as RingAttention::forward does.
  PassReport attend(const CacheChunk& chunk, ConstTensorView q, TensorView out,
                    const ForwardOptions& options = {});

  /// What the rank computes on: tensors on a device that other streams wrote must be there.
  [[nodiscard]] const std::shared_ptr<device::Stream>& stream() const { return stream_; }

  /// Bytes of the keys and values that this rank holds.
  [[nodiscard]] Index bytes() const;

 private:
  /// Keys and values of one sequence.
  struct Rows {
    GrowingRows keys;    ///< (rows, G, d)
    GrowingRows values;  ///< (rows, G, d_v)
  };
  /// What makes the scales of the rank's rows of a chunk, on the host.
  struct Scales {
    ConstTensorView rows;           ///< (rows, 1, 1), or of a table (rows, H, 1)
    std::span<const double> heads;  ///< (H)
  };

  /// Throws InputError where a token of the chunk is not in the cache.
  void check_tokens(const CacheChunk& chunk) const;
  /// beta of the rank's rows of a chunk.
  [[nodiscard]] std::vector<double> betas_of(const CacheChunk& chunk) const;
  [[nodiscard]] kernels::PassOptions pass_options(const ForwardOptions& options) const;
  /// attend() of the only rank: it has all keys, so its states become outputs where they are.
  void attend_alone(const CacheChunk& chunk, ConstTensorView q, const Scales& scales,
                    const ForwardOutputs& wanted, const ForwardOptions& options) const;
  /// attend() of several: through the host, where queries are gathered and states are merged.
  void attend_together(const CacheChunk& chunk, ConstTensorView q, const Scales& scales,
                       const ForwardOutputs& wanted, const ForwardOptions& options,
                       PassReport& report) const;
  /// Meets the queries of all ranks, laid end to end, with the rank's own keys.
  void accumulate(kernels::ForwardPass& pass, const std::vector<Shard>& queries,
                  const kernels::Poll& poll) const;
  /// Writes rows `first` on of the outputs from the rank's `own` rows of merged states.
  void finish(TensorView states, Interval own, Index first, std::span<const double> sink,
              const ForwardOutputs& outputs) const;

  Problem problem_;
  DataType type_;
  comm::Communicator& communicator_;
  const kernels::Kernel& kernel_;
  std::shared_ptr<device::Stream> stream_;
  int threads_;
  std::shared_ptr<device::BufferPool> kernel_memory_;  // what kernels compute in, kept
  CacheLayout layout_;
  std::vector<Rows> rows_;  // of each sequence
};

}  // namespace annulus
