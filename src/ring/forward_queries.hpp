#pragma once
// The states of the queries that a rank computes with in a forward pass.

#include <memory>
#include <vector>

#include "annulus/kernels/kernel.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "ring/query_store.hpp"

namespace annulus::ring {

/// What a forward pass is given of the queries of the rank. Borrowed.
struct OwnQueries {
  ConstTensorView q;              ///< (rows, H, d), on the device
  std::span<const double> betas;  ///< of the rows
  std::span<const double> gain;   ///< as in ForwardOptions, likewise below
  std::span<const double> sink;
  std::span<const double> table;
};

class ForwardQueries final : public QueryStore {
 public:
  /// Borrows all of these. `options` are for all heads.
  ForwardQueries(const Plan& plan, int rank, const kernels::Kernel& kernel, BufferPool& pool,
                 const OwnQueries& own, kernels::PassOptions options);

  /// The pass over `queries`, which a program computes with.
  [[nodiscard]] kernels::ForwardPass& pass_of(const ItemList& queries);
  /// What follows from the states of the own queries, when all others have arrived.
  void finish(const ForwardOutputs& outputs);

 private:
  struct Part {
    ItemList queries;
    std::vector<double> scale{};
    JoinedRows q{};
    std::unique_ptr<kernels::ForwardPass> pass{};
    device::DeviceTensor states{};
  };

  void take_in(const Item& item, std::span<const std::byte> packed) override;
  void pack(const Item& item, std::span<std::byte> packed) override;
  void let_go(const Item& item) override;
  [[nodiscard]] Part begin(const ItemList& queries) const;

  const kernels::Kernel& kernel_;
  OwnQueries own_;
  kernels::PassOptions options_;
  std::vector<double> scale_;
  std::unique_ptr<kernels::ForwardPass> home_;  // all own queries
  std::vector<Part> parts_;                     // of others, or of some heads of the own
};

}  // namespace annulus::ring
