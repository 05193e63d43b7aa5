#pragma once
// The output file of `annulus attend`: rows in the input's order, whatever the sharding.

#include <memory>
#include <span>
#include <string>

#include "annulus/attention/documents.hpp"
#include "annulus/base/tensor_view.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/plan/run.hpp"
#include "annulus/results/provenance.hpp"
#include "annulus/results/study_file.hpp"

namespace annulus::results {

/// Which rows an array has.
enum class RowsOf { queries, keys };

/// A file of attention outputs in the making. It appears under its name, whole, with commit();
/// until then it is `.NAME.partial-<random>` beside it, which goes with this object, or stays
/// behind where the process is killed. All ranks write: collectively with MPI, in turns where they
/// are threads.
class AttentionOutput {
 public:
  /// What is known before computing.
  struct Options {
    Documents documents;
    bool has_batch_axis = false;  ///< as in the input: a leading axis, one entry per document
    Provenance provenance;
    Existing existing = Existing::refuse;     ///< or overwrite
    Index largest_transfer = Index{1} << 28;  ///< bytes that one transfer writes at most
  };

  /// Collective. Throws InputError naming --output, on every rank, where the file exists and may
  /// not be overwritten, or where it cannot be written. Borrows `communicator`, which is of self,
  /// threads or MPI.
  AttentionOutput(const std::string& path, comm::Communicator& communicator, Options options);
  AttentionOutput(AttentionOutput&&) noexcept;
  ~AttentionOutput();

  /// Collective. Writes the array `name`, such as /out, of shape (n, heads, dim), or with a batch
  /// axis (B, n, heads, dim), in the type of `rows`, fp32 or fp64: rows of `shard`, in its order.
  /// The shards of all ranks hold every row once. Ranks without rows pass a view of none that still
  /// has heads, dim and type.
  void write_vectors(const std::string& name, RowsOf axis, const Shard& shard,
                     ConstTensorView rows);
  /// Collective. The same for (n, heads), such as /lse or /statistics/entropy: `rows` has dim = 1.
  void write_scalars(const std::string& name, RowsOf axis, const Shard& shard,
                     ConstTensorView rows);
  /// Collective. Writes an array of one number per head, such as /dgain, in `type`: rank 0's.
  void write_heads(const std::string& name, std::span<const double> values, DataType type);

  /// Collective. Adds the attributes, with complete = 1, and puts the file under its name once it
  /// is on disk.
  void commit();

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace annulus::results
