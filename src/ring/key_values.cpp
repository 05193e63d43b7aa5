#include "ring/key_values.hpp"

#include "ring/packed_rows.hpp"

namespace annulus::ring {
namespace {

template <class Void, class Byte>
BasicKeyValues<Void> views_of(const Plan& plan, const Item& item, std::span<Byte> packed) {
  const auto& problem = plan.problem();
  const auto type = item.what == What::keys ? plan.data_type() : accumulator_of(plan.data_type());
  const Index rows = item.rows.count();
  const Index heads = item.heads.size();
  const auto view = [&](Byte* data, Index dim) {
    return packed_view<Void>(data, type, rows, heads, dim);
  };
  const auto key_bytes = row_bytes(type, rows, heads, problem.head_dim);
  return {view(packed.data(), problem.head_dim),
          view(packed.data() + key_bytes, problem.output_dim())};
}

}  // namespace

KeyValues unpacked(const Plan& plan, const Item& item, std::span<std::byte> packed) {
  return views_of<void>(plan, item, packed);
}

ConstKeyValues unpacked(const Plan& plan, const Item& item, std::span<const std::byte> packed) {
  return views_of<const void>(plan, item, packed);
}

}  // namespace annulus::ring
