#include "ring/packed_queries.hpp"

#include "annulus/attention/partial_state.hpp"
#include "annulus/base/error.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "ring/heads_of.hpp"
#include "ring/packed_rows.hpp"

namespace annulus::ring {
namespace {

/// Tensors of the rows and heads of an item, one after the other.
class Cutter {
 public:
  Cutter(const Item& item, std::span<std::byte> packed)
      : rows_(item.rows.count()), heads_(item.heads.size()), rest_(packed) {}

  [[nodiscard]] TensorView tensor(DataType type, Index dim) {
    const auto bytes = row_bytes(type, rows_, heads_, dim);
    const auto part = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return packed_view<void>(part.data(), type, rows_, heads_, dim);
  }

 private:
  Index rows_;
  Index heads_;
  std::span<std::byte> rest_;
};

Index result_width(const Plan& plan, What what) {
  ensure(what == What::states || what == What::query_gradients, "an item is made of queries");
  return what == What::states ? state_width(plan.problem().output_dim()) : plan.problem().head_dim;
}

}  // namespace

PackedQueries packed_queries(const Plan& plan, const Item& item, std::span<std::byte> packed) {
  Cutter cutter(item, packed);
  PackedQueries queries;
  if (plan.problem().logit_scale.is_table()) queries.table = cutter.tensor(DataType::float64, 1);
  queries.q = cutter.tensor(plan.data_type(), plan.problem().head_dim);
  return queries;
}

void pack_queries(const Plan& plan, const Item& item, ConstTensorView q, ConstTensorView table,
                  device::Stream& stream, std::span<std::byte> packed) {
  const auto to = packed_queries(plan, item, packed);
  if (to.table.present()) device::copy(stream, to.table, heads_of(table, item.heads));
  device::copy(stream, to.q, heads_of(q, item.heads));
}

PackedOutputGradients packed_output_gradients(const Plan& plan, const Item& item,
                                              std::span<std::byte> packed) {
  Cutter cutter(item, packed);
  const auto sum = accumulator_of(plan.data_type());
  PackedOutputGradients gradients;
  gradients.lse = cutter.tensor(sum, 1);
  gradients.lse_low = cutter.tensor(sum, 1);
  gradients.mean = cutter.tensor(sum, 1);
  gradients.dout = cutter.tensor(plan.data_type(), plan.problem().output_dim());
  return gradients;
}

ConstTensorView packed_results(const Plan& plan, const Item& item,
                               std::span<const std::byte> packed) {
  return packed_view<const void>(packed.data(), accumulator_of(plan.data_type()), item.rows.count(),
                                 item.heads.size(), result_width(plan, item.what));
}

TensorView packed_results(const Plan& plan, const Item& item, std::span<std::byte> packed) {
  return packed_view<void>(packed.data(), accumulator_of(plan.data_type()), item.rows.count(),
                           item.heads.size(), result_width(plan, item.what));
}

}  // namespace annulus::ring
