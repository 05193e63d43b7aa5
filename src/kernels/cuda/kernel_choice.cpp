#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "kernels/cuda/hopper_shape.hpp"
#include "kernels/cuda/launcher.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {
namespace {

/// Whether the environment variable has the first of two values, which it has where it is not set.
bool is_wished(const char* variable, std::string_view first, std::string_view second) {
  const char* value = std::getenv(variable);
  const std::string_view wish = value == nullptr ? first : value;
  if (wish != first && wish != second) {
    throw InputError(fmt::format("{}={}: expected {} or {}", variable, wish, first, second));
  }
  return wish == first;
}

int element_bytes(const KernelChoice& choice) {
  return static_cast<int>(size_of(choice.type));
}

TileShape shape_of(const KernelChoice& choice) {
  return choice.few_rows ? few_rows_shape(element_bytes(choice), choice.dim)
                         : forward_shape(element_bytes(choice), choice.dim);
}

void check_rows(const KernelChoice& choice, const InputRows& rows, int dim) {
  const auto bytes = [&](Index elements) { return elements * element_bytes(choice); };
  ensure(reinterpret_cast<std::uintptr_t>(rows.data) % 16 == 0 &&
             bytes(rows.row_stride) % 16 == 0 && bytes(rows.head_stride) % 16 == 0,
         "rows on a device start at multiples of 16 bytes");
  ensure(rows.dim == dim && dim >= 1 && dim <= choice.dim,
         "rows have the elements that their kernel is compiled for");
}

void check_heads(int heads, int group) {
  ensure(group >= 1 && heads >= group && heads % group == 0,
         "query heads are a multiple of key heads");
}

/// Warps of kernels of gradients on a multiprocessor, whose registers 8 of them have for
/// themselves.
int warps_at_once(const TileShape& shape, int shared_bytes, const Multiprocessors& device) {
  constexpr int of_system = 1024;  // of each block
  const int blocks = device.bytes / (shared_bytes + of_system);
  return std::min(8, blocks * shape.warps);
}

}  // namespace

void check_arguments(const KernelChoice& choice, const ForwardArguments& arguments) {
  check_rows(choice, arguments.q, arguments.q.dim);
  check_rows(choice, arguments.k, arguments.q.dim);
  check_rows(choice, arguments.v, arguments.v.dim);
  check_heads(arguments.heads, arguments.group);
  ensure(arguments.shared == 1 || arguments.shared == arguments.group,
         "the query heads of one key head share a tile, or none do");
  ensure(!choice.statistics || arguments.state.moment != nullptr,
         "statistics are kept from the start of a pass");
}

void check_arguments(const KernelChoice& choice, const GradientArguments& arguments) {
  check_rows(choice, arguments.q, arguments.q.dim);
  check_rows(choice, arguments.k, arguments.q.dim);
  check_rows(choice, arguments.v, arguments.v.dim);
  check_rows(choice, arguments.dout, arguments.v.dim);
  check_heads(arguments.heads, arguments.group);
}

KernelWish wished_kernels() {
  return {.path = is_wished("ANNULUS_CUDA", "mma", "hopper") ? KernelPath::mma : KernelPath::hopper,
          .in_order = is_wished("ANNULUS_CUDA_SUMS", "ordered", "unordered")};
}

KernelChoice choose_kernel(DataType type, Index head_dim, Index value_dim, KernelPath path) {
  if (type == DataType::float64) {
    throw InputError("the cuda backend computes in bf16, fp16 and fp32, not in fp64");
  }
  const Index needed = std::max(head_dim, value_dim);
  if (type == DataType::float32) path = KernelPath::mma;
  const std::span<const int> dims =
      path == KernelPath::hopper ? std::span<const int>(hopper_dims) : head_dims;
  const auto dim = std::ranges::find_if(dims, [&](int has) { return has >= needed; });
  if (dim == dims.end()) {
    throw InputError(fmt::format("head dimension {}: the cuda backend computes up to {}", needed,
                                 std::ranges::max(dims)));
  }
  return {.type = type, .dim = *dim, .path = path};
}

KernelChoice of_few_rows(const KernelChoice& choice) {
  auto few = choose_kernel(choice.type, choice.dim, choice.dim);
  few.statistics = choice.statistics;
  few.few_rows = true;
  return few;
}

int forward_tile_rows(const KernelChoice& choice) {
  if (choice.path == KernelPath::hopper) return HopperShape::rows;
  return shape_of(choice).rows();
}

int forward_step_rows(const KernelChoice& choice) {
  if (choice.path == KernelPath::hopper) return hopper_forward_shape(choice.dim).columns;
  return shape_of(choice).columns;
}

int query_gradient_tile_rows(const KernelChoice& choice) {
  if (choice.path == KernelPath::hopper) return HopperShape::rows;
  return query_gradient_shape(element_bytes(choice), choice.dim).rows();
}

int key_gradient_tile_rows(const KernelChoice& choice) {
  if (choice.path == KernelPath::hopper) return HopperShape::rows;
  return key_gradient_shape(element_bytes(choice), choice.dim).rows();
}

bool sums_all_gradients(const KernelChoice& choice, const Multiprocessors& device) {
  if (choice.path == KernelPath::hopper) {
    return hopper_sums_all_gradients(choice.dim) &&
           hopper_gradient_shared_bytes(choice.dim) <= device.block_bytes;
  }
  if (!sums_all_gradients(element_bytes(choice), choice.dim)) return false;
  const int bytes = gradient_shared_bytes(choice.dim);
  const auto over_keys = key_gradient_shape(element_bytes(choice), choice.dim);
  const int bytes_over_keys = key_gradient_shared_bytes(element_bytes(choice), choice.dim);
  return bytes <= device.block_bytes && warps_at_once(gradient_shape(choice.dim), bytes, device) >=
                                            warps_at_once(over_keys, bytes_over_keys, device);
}

int all_gradients_blocks_at_once(const KernelChoice& choice, const Multiprocessors& device) {
  if (choice.path == KernelPath::hopper) return device.count;
  const auto shape = gradient_shape(choice.dim);
  return device.count * warps_at_once(shape, gradient_shared_bytes(choice.dim), device) /
         shape.warps;
}

int all_gradients_tile_rows(const KernelChoice& choice) {
  if (choice.path == KernelPath::hopper) return HopperShape::rows;
  return gradient_shape(choice.dim).rows();
}

int all_gradients_step_rows(const KernelChoice& choice) {
  if (choice.path == KernelPath::hopper) return hopper_gradient_shape(choice.dim).columns;
  return gradient_shape(choice.dim).columns;
}

int all_gradients_counts(const KernelChoice& choice) {
  if (choice.path == KernelPath::hopper) return 1;
  return gradient_shape(choice.dim).warps;
}

int all_gradients_most_turns(const KernelChoice& choice) {
  return panel_rows(element_bytes(choice)) - all_gradients_tile_rows(choice);
}

int key_gradient_step_rows(const KernelChoice& choice) {
  if (choice.path == KernelPath::hopper) return hopper_key_gradient_shape(choice.dim).columns;
  return key_gradient_shape(element_bytes(choice), choice.dim).columns;
}

}  // namespace annulus::kernels::gpu
