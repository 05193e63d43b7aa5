#pragma once
// The states of the queries that a rank computes with in a forward pass.

#include <memory>
#include <vector>

#include "annulus/kernels/kernel.hpp"
#include "ring/query_store.hpp"

namespace annulus::ring {

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
    JoinedRows q{};
    JoinedRows row_numbers{};
    std::vector<double> head_factors{};
    std::unique_ptr<kernels::ForwardPass> pass{};
    device::DeviceTensor states{};
  };

  void take_in(const Item& item, std::span<const std::byte> packed) override;
  void pack(const Item& item, std::span<std::byte> packed) override;
  void let_go(const Item& item) override;
  [[nodiscard]] std::unique_ptr<kernels::ForwardPass> begin_home() const;
  [[nodiscard]] Part begin(const ItemList& queries) const;

  const kernels::Kernel& kernel_;
  kernels::PassOptions options_;
  std::vector<double> head_factors_;
  std::unique_ptr<kernels::ForwardPass> home_;  // all own queries
  std::vector<Part> parts_;                     // of others, or of some heads of the own
};

}  // namespace annulus::ring
