#include "ring/key_values.hpp"

namespace annulus::ring {
namespace {

template <class Void, class Byte>
BasicKeyValues<Void> views_of(const Plan& plan, const ItemList& items, std::span<Byte> packed) {
  const auto& problem = plan.problem();
  const bool are_keys = items.front().what == What::keys;
  const auto type = are_keys ? plan.data_type() : accumulator_of(plan.data_type());
  const Index rows = items.rows();
  const Index heads = items.heads().size();
  const Index d = problem.head_dim;
  const Index d_v = problem.output_dim();
  const auto view = [&](Index first, Index dim) {
    return BasicTensorView<Void>{packed.data() + first * static_cast<Index>(size_of(type)),
                                 type,
                                 rows,
                                 heads,
                                 dim,
                                 heads * (are_keys ? d + d_v : dim),
                                 dim};
  };
  return {view(0, d), view(are_keys ? heads * d : rows * heads * d, d_v)};
}

}  // namespace

KeyValues unpacked(const Plan& plan, const ItemList& items, std::span<std::byte> packed) {
  return views_of<void>(plan, items, packed);
}

ConstKeyValues unpacked(const Plan& plan, const ItemList& items,
                        std::span<const std::byte> packed) {
  return views_of<const void>(plan, items, packed);
}

}  // namespace annulus::ring
