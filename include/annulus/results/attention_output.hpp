#pragma once
// The output file of `annulus attend`: rows in the input's order, whatever the sharding.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "annulus/attention/documents.hpp"
#include "annulus/base/tensor_view.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/plan/run.hpp"
#include "annulus/results/array_layout.hpp"
#include "annulus/results/provenance.hpp"
#include "annulus/results/study_file.hpp"

namespace annulus::results {

/// Which rows an array has; or none, but one number for each head.
enum class RowsOf { queries, keys, nothing };

/// An array of the file. Vectors, such as /out, are (n, heads, dim); scalars, such as /lse, are
/// (n, heads); with RowsOf::nothing, such as /dgain, it is (heads).
struct OutputArray {
  std::string name;
  RowsOf rows;
  DataType type;  ///< fp32 or fp64
  Index heads;
  Index dim = 0;  ///< 0: there is no such axis
};

/// A file of attention outputs in the making. It appears under its name, whole, with commit();
/// until then it is `.NAME.partial-<random>` beside it, which goes with this object, or stays
/// behind where the process is killed.
///
/// Rank 0 makes the file with HDF5, all arrays in one piece each, and gets the disk space for it;
/// after that every rank writes its rows where they belong, without HDF5 and without waiting for
/// another, and all agree afterwards whether that went well. So a rank that fails, on a full disk
/// say, leaves none waiting.
class AttentionOutput {
 public:
  /// What is known before computing.
  struct Options {
    Documents documents;
    ArrayLayout layout = ArrayLayout::nhd;  ///< of arrays with rows, as in the input
    std::vector<OutputArray> arrays{};      ///< in the order of the file
    Provenance provenance;
    Existing existing = Existing::refuse;     ///< or overwrite
    Index largest_transfer = Index{1} << 26;  ///< bytes that one transfer writes at most
  };

  /// Collective. Throws InputError naming --output, on every rank, where the file exists and may
  /// not be overwritten, where another run writes it, where it cannot be written or where a rank's
  /// host does not see it; Error with the cause where the disk has no room for it. Borrows
  /// `communicator`, which joins processes by their hosts.
  AttentionOutput(const std::string& path, comm::Communicator& communicator, Options options);
  AttentionOutput(AttentionOutput&&) noexcept;
  ~AttentionOutput();

  /// Collective. Writes the array `name`: rows of `shard`, in its order, of the array's heads, dim
  /// (1 for scalars) and type. The shards of all ranks hold every row once. Ranks without rows pass
  /// a view of none.
  void write_rows(const std::string& name, const Shard& shard, ConstTensorView rows);
  /// Collective. Writes an array of one number per head, such as /dgain: rank 0's.
  void write_heads(const std::string& name, std::span<const double> values);

  /// Collective. Puts the file under its name, with complete = 1, once it is on disk. All arrays
  /// have been written.
  void commit();

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace annulus::results
