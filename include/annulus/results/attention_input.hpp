#pragma once
// The input file of `annulus attend`: shapes first, then each rank's rows.

#include <memory>
#include <string>
#include <vector>

#include "annulus/attention/documents.hpp"
#include "annulus/base/tensor.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/plan/run.hpp"

namespace annulus::results {

/// The arrays of an input file that have a row for each query or key.
enum class InputRows {
  q,     ///< /q (n_q, H, d)
  k,     ///< /k (n_k, G, d)
  v,     ///< /v (n_k, G, d_v)
  dout,  ///< /dout (n_q, H, d_v)
};

/// What an input file holds besides its rows.
struct InputShape {
  Index query_heads = 0;  ///< H, a multiple of G
  Index key_heads = 0;    ///< G
  Index head_dim = 0;     ///< d
  Index value_dim = 0;    ///< d_v
  Documents documents = Documents::single(0);
  bool has_batch_axis = false;  ///< arrays have a leading axis, one entry per document
  bool has_dout = false;
  bool has_logit_scale = false;
  bool logit_scale_per_head = false;  ///< /logit_scale is (n_q, H) rather than (n_q)
  std::vector<double> gain;           ///< (H), finite; empty where there is none
  std::vector<double> sink;           ///< (H), finite or -inf; empty where there is none
};

/// A file of attention inputs, opened by all ranks. With MPI and more than one rank, the transfers
/// are collective MPI-IO; ranks that are threads take turns. Documents, a batch and the sequence
/// itself may be empty; heads and dimensions may not.
class AttentionInput {
 public:
  /// Collective. Opens the file and checks all that can be checked without reading the rows: throws
  /// InputError "FILE: DATASET ...; expected ..." on every rank. Borrows `communicator`, which is
  /// of self, threads or MPI. One transfer reads at most `largest_transfer` bytes.
  AttentionInput(const std::string& path, comm::Communicator& communicator,
                 Index largest_transfer = Index{1} << 28);
  AttentionInput(AttentionInput&&) noexcept;
  ~AttentionInput();

  [[nodiscard]] const InputShape& shape() const;

  /// Collective. The rows of `shard` in its order, rounded once from the type of the file to
  /// `type`. Throws InputError, on every rank, that names the dataset and the full index of
  /// an element that is not finite in `type`, the first one of the lowest rank that has any.
  [[nodiscard]] Tensor read_rows(InputRows array, const Shard& shard, DataType type) const;

  /// Collective. The rows of /logit_scale for the query rows of `shard`: (rows, H), row-major,
  /// finite. The file must have one.
  [[nodiscard]] std::vector<double> read_logit_scale(const Shard& shard) const;

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace annulus::results
