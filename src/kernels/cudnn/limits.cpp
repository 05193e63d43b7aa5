#include "kernels/cudnn/limits.hpp"

#include <cmath>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::kernels::gpu {
namespace {

constexpr Index dim_step = 8;
constexpr Index largest_dim = 256;

}  // namespace

const StreamPointer& stream_for(ConstTensorView q, const PassOptions& options) {
  if (q.type != DataType::bfloat16 && q.type != DataType::float16) {
    throw InputError(fmt::format(
        "backend cudnn does not compute in precision {}; expected bf16, fp16, or --backend cuda",
        name_of(q.type)));
  }
  if (options.statistics) {
    throw InputError(
        "backend cudnn does not keep what --statistics are made of; expected --backend cuda");
  }
  for (const Index dim : {q.dim, options.value_dim}) {
    if (dim % dim_step == 0 && dim <= largest_dim) continue;
    throw InputError(
        fmt::format("head dimension {}: backend cudnn computes multiples of {} up to {}; expected "
                    "such, or --backend cuda",
                    dim, dim_step, largest_dim));
  }
  ensure(options.key_heads >= 1 && q.heads % options.key_heads == 0,
         "query heads are a multiple of key heads");
  ensure(options.stream->device().kind == DeviceKind::cuda,
         "the cudnn backend computes on a stream of a GPU");
  return options.stream;
}

// cuDNN may compare logits before they are scaled, which only a positive scale allows.
float scale_of(const Queries& queries) {
  ensure(queries.scale.has_shape(queries.q.rows, queries.q.heads),
         "one scale per query row and head");
  if (queries.q.rows == 0) return 1;
  const auto of_all = queries.scale.one();
  if (!of_all) {
    throw InputError(
        "backend cudnn has one logit scale for all queries and heads; expected a --logit-scale "
        "that "
        "is the same for all and equal gains, or --backend cuda");
  }
  const auto one = static_cast<float>(*of_all);
  if (!(one > 0) || std::isinf(one)) {
    throw InputError(fmt::format(
        "backend cudnn takes logit scales above 0, not {}; expected --backend cuda", one));
  }
  return one;
}

InputRows rows_from(InputRows rows, Index row, DataType type) {
  rows.data = static_cast<const std::byte*>(rows.data) +
              static_cast<std::size_t>(row * rows.row_stride) * size_of(type);
  return rows;
}

}  // namespace annulus::kernels::gpu
