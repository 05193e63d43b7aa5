#pragma once
// Starts kernels. Needs no CUDA headers: a GPU is one implementation, the model of the tests
// another.

#include <memory>

#include "annulus/attention/problem.hpp"
#include "annulus/base/data_type.hpp"
#include "annulus/device/stream.hpp"
#include "kernels/cuda/arguments.hpp"

namespace annulus::kernels::gpu {

using device::Stream;

/// The instructions that the kernels of attention and of its gradients are made of.
enum class KernelPath {
  mma,     ///< of compute capability 8.0 and later
  hopper,  ///< of 9.0 alone: the kernels in device/hopper
};

/// What a user may wish of kernels.
struct KernelWish {
  KernelPath path = KernelPath::mma;
  /// Whether sums of queries that several tiles of keys add to have the same bits every time.
  bool in_order = true;
};

/// What the environment says. ANNULUS_CUDA: mma or hopper, the path; ANNULUS_CUDA_SUMS: ordered or
/// unordered. The defaults where they are not set. Throws InputError for anything else.
[[nodiscard]] KernelWish wished_kernels();

/// What a pass is compiled for.
struct KernelChoice {
  DataType type = DataType::bfloat16;  ///< of q, k, v and dout: bf16, fp16 or fp32
  int dim = 64;                        ///< one of head_dims, or of hopper_dims
  bool statistics = false;             ///< whether the state has moments, squares and self logits
  bool few_rows = false;               ///< of the forward pass: whether its tiles are those of few
  KernelPath path = KernelPath::mma;
  bool in_order = true;  ///< see KernelWish
};

/// The choice for inputs of this type and these head dimensions: the next of head_dims, or of
/// hopper_dims on that path, which fp32 does not have and leaves. Throws InputError where there is
/// none, or for fp64.
[[nodiscard]] KernelChoice choose_kernel(DataType type, Index head_dim, Index value_dim,
                                         KernelPath path = KernelPath::mma);

/// The same for tiles of few rows, which are on one path only.
[[nodiscard]] KernelChoice of_few_rows(const KernelChoice& choice);

/// Rows of the tiles that each kernel expects in its list; see query_tiles and key_tiles.
[[nodiscard]] int forward_tile_rows(const KernelChoice& choice);
/// Streaming rows of a step of the forward kernel.
[[nodiscard]] int forward_step_rows(const KernelChoice& choice);
[[nodiscard]] int query_gradient_tile_rows(const KernelChoice& choice);
[[nodiscard]] int key_gradient_tile_rows(const KernelChoice& choice);
/// Streaming rows of a step of the kernel over key tiles.
[[nodiscard]] int key_gradient_step_rows(const KernelChoice& choice);

/// What a device has: bytes of shared memory for one thread block, and for all that run on a
/// multiprocessor at once, and how many of these there are.
struct Multiprocessors {
  int block_bytes = 0;
  int bytes = 0;
  int count = 1;
};

/// Whether there is a kernel of all gradients for a choice, a device has the shared memory that it
/// needs, and as many warps of it run on a multiprocessor as of the kernel over key tiles, as they
/// do on the path for Hopper, where a multiprocessor has one block.
[[nodiscard]] bool sums_all_gradients(const KernelChoice& choice, const Multiprocessors& device);
/// Thread blocks of it that a device runs at once.
[[nodiscard]] int all_gradients_blocks_at_once(const KernelChoice& choice,
                                               const Multiprocessors& device);
/// Rows of its tiles of keys, rows of queries of a step, and counts of one, each of a part of its
/// sums that has turns of its own: of a warp, or on the other path of a warpgroup.
[[nodiscard]] int all_gradients_tile_rows(const KernelChoice& choice);
[[nodiscard]] int all_gradients_step_rows(const KernelChoice& choice);
[[nodiscard]] int all_gradients_counts(const KernelChoice& choice);
/// Additions to a sum of queries that it may make in fp32: with the keys of a tile, which each of
/// them is a sum over, as many terms one after the other as a panel has.
[[nodiscard]] int all_gradients_most_turns(const KernelChoice& choice);

/// Throws Error where arguments do not fit a kernel: rows that do not start at multiples of 16
/// bytes, more elements than the kernel has, dimensions or heads that contradict one another.
void check_arguments(const KernelChoice& choice, const ForwardArguments& arguments);
void check_arguments(const KernelChoice& choice, const GradientArguments& arguments);

/// Enqueues kernels on a stream and returns; pointers must stay valid until it has come to the end
/// of them. Throws Error as check_arguments does and where a kernel does not start, and InputError
/// on a device that cannot run it.
class Launcher {
 public:
  virtual ~Launcher() = default;

  /// A stream that it starts kernels on, see Kernel::open_stream.
  [[nodiscard]] virtual std::shared_ptr<Stream> open_stream(int place_on_node) const = 0;

  /// Thread blocks of a forward kernel that the device of a stream runs at once: what keeps all of
  /// it busy.
  [[nodiscard]] virtual int blocks_at_once(const KernelChoice& choice, Stream& stream) const = 0;

  /// Of the device of a stream.
  [[nodiscard]] virtual Multiprocessors multiprocessors(Stream& stream) const = 0;

  virtual void write(const ScaleTableArguments& arguments, Stream& stream) const = 0;
  virtual void write(const QueryNumbersArguments& arguments, Stream& stream) const = 0;
  virtual void start(const StartArguments& arguments, Stream& stream) const = 0;
  virtual void forward(const KernelChoice& choice, const ForwardArguments& arguments,
                       Stream& stream) const = 0;
  virtual void merge(const MergeStatesArguments& arguments, Stream& stream) const = 0;
  virtual void merge(const MergePartsArguments& arguments, Stream& stream) const = 0;
  virtual void write(const WriteStatesArguments& arguments, Stream& stream) const = 0;
  virtual void finish(const FinishArguments& arguments, Stream& stream) const = 0;

  /// Over query tiles.
  virtual void add_query_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                   Stream& stream) const = 0;
  /// Over key tiles.
  virtual void add_key_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                 Stream& stream) const = 0;
  /// Over key tiles, those of both in one kernel, where sums_all_gradients says that it is there.
  virtual void add_all_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                 Stream& stream) const = 0;
  virtual void fold(const KernelChoice& choice, const FoldStepsArguments& arguments,
                    Stream& stream) const = 0;
  virtual void finish(const KernelChoice& choice, const QueryGradientArguments& arguments,
                      Stream& stream) const = 0;

  virtual void mean(const KernelChoice& choice, const MeanArguments& arguments,
                    Stream& stream) const = 0;
  virtual void add(const AddArguments& arguments, Stream& stream) const = 0;

  /// What pieces are brought together with: bf16 or fp16 is the `type` of theirs.
  virtual void merge(DataType type, const MergePieceArguments& arguments, Stream& stream) const = 0;
  virtual void finish(DataType type, const FinishPieceArguments& arguments,
                      Stream& stream) const = 0;
  virtual void add(DataType type, const AddPieceArguments& arguments, Stream& stream) const = 0;
  virtual void along(DataType type, const AlongArguments& arguments, Stream& stream) const = 0;
  virtual void transpose(const TransposeArguments& arguments, Stream& stream) const = 0;
};

}  // namespace annulus::kernels::gpu
