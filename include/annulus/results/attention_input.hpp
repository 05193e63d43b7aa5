#pragma once
// The input file of `annulus attend`: shapes first, then each rank's rows.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "annulus/attention/documents.hpp"
#include "annulus/base/tensor.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/plan/run.hpp"
#include "annulus/results/array_layout.hpp"

namespace annulus::results {

/// The arrays of an input file that have a row for each query or key, their axes in the order of
/// the file's ArrayLayout.
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
  ArrayLayout layout = ArrayLayout::nhd;  ///< of all arrays with rows; a batch has documents
  bool layout_is_guessed = false;         ///< from the number of axes: nobody has said it
  bool has_dout = false;
  bool has_logit_scale = false;
  bool logit_scale_per_head = false;  ///< /logit_scale is (n_q, H) rather than (n_q)
  std::vector<double> gain;           ///< (H), finite; empty where there is none
  std::vector<double> sink;           ///< (H), finite or -inf; empty where there is none
};

/// A file of attention inputs, which every rank opens and reads by itself; ranks that are threads
/// take turns. Documents, a batch and the sequence itself may be empty; heads and dimensions may
/// not.
class AttentionInput {
 public:
  struct Options {
    /// Of the arrays; else what the attribute `layout` of /q says, else nhd or, with four axes,
    /// bnhd.
    std::optional<ArrayLayout> layout{};
    Index largest_transfer = Index{1} << 26;  ///< bytes that one transfer reads at most
  };

  /// Collective. Opens the file and checks all that can be checked without reading the rows: throws
  /// InputError "FILE: DATASET ...; expected ..." on every rank, also where not all ranks see the
  /// same file. Borrows `communicator`, which joins processes by their hosts.
  AttentionInput(const std::string& path, comm::Communicator& communicator, Options options);
  AttentionInput(const std::string& path, comm::Communicator& communicator)
      : AttentionInput(path, communicator, Options()) {}
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
