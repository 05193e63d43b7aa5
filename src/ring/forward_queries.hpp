#pragma once
// The states of the queries that a rank computes with in a forward pass.

#include <memory>
#include <vector>

#include "annulus/kernels/kernel.hpp"
#include "ring/query_store.hpp"

namespace annulus::ring {

class ForwardQueries final : public QueryStore {
 public:
  /// Borrows all of these. `options` are for all heads; `program` is that of the pass, and the
  /// outputs are those of the own queries.
  ForwardQueries(const Plan& plan, int rank, const kernels::Kernel& kernel, BufferPool& pool,
                 const OwnQueries& own, kernels::PassOptions options, const Program& program,
                 ForwardOutputs outputs);

  /// A compute of the program, with its keys.
  void accumulate(const Compute& compute, ConstTensorView k, ConstTensorView v,
                  const kernels::Poll& poll);
  /// The outputs are written, when all states have arrived.
  void finish();

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
  [[nodiscard]] kernels::ForwardPass& pass_of(const ItemList& queries);
  [[nodiscard]] const Compute* last_compute(const Program& program) const;

  const kernels::Kernel& kernel_;
  kernels::PassOptions options_;
  std::vector<double> head_factors_;
  std::unique_ptr<kernels::ForwardPass> home_;  // all own queries
  std::vector<Part> parts_;                     // of others, or of some heads of the own
  ForwardOutputs outputs_;
  const Compute* last_;  // that adds to the own states; null where states are merged
  bool finished_ = false;
};

}  // namespace annulus::ring
