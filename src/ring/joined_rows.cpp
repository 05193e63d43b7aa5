#include "ring/joined_rows.hpp"

#include "annulus/device/tensor_copy.hpp"

namespace annulus::ring {

JoinedRows::JoinedRows(const std::shared_ptr<device::Stream>& stream,
                       std::span<const ConstTensorView> parts) {
  if (parts.empty()) return;
  view_ = parts.front();
  if (parts.size() == 1) return;
  Index rows = 0;
  for (const auto& part : parts) rows += part.rows;
  copy_ = {stream, view_.type, rows, view_.heads, view_.dim};
  Index first = 0;
  for (const auto& part : parts) {
    device::copy(*stream, rows_of(copy_.view(), first, part.rows), part);
    first += part.rows;
  }
  view_ = copy_.view();
}

}  // namespace annulus::ring
