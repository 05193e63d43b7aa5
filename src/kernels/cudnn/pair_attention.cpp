#include "kernels/cudnn/pair_attention.hpp"

#include <cstddef>

namespace annulus::kernels::gpu {
namespace {

/// All types of a pair have 16 bits.
constexpr Index element_bytes = 2;

void skip_heads(InputRows& rows, Index heads) {
  rows.data = static_cast<const std::byte*>(rows.data) + heads * rows.head_stride * element_bytes;
}

void skip_heads(OutputRows& rows, Index heads) {
  rows.data = static_cast<std::byte*>(rows.data) + heads * rows.dim * element_bytes;
}

}  // namespace

Pair heads_of(Pair pair, int first, int count) {
  const int group = pair.heads / pair.key_heads;
  skip_heads(pair.q, Index{first} * group);
  for (auto* rows : {&pair.k, &pair.v}) skip_heads(*rows, first);
  pair.heads = count * group;
  pair.key_heads = count;
  return pair;
}

PairGradients heads_of(PairGradients gradients, const Pair& pair, int first) {
  const Index first_query_head = Index{first} * (pair.heads / pair.key_heads);
  for (auto* rows : {&gradients.out, &gradients.dout}) skip_heads(*rows, first_query_head);
  gradients.lse += first_query_head * pair.queries;
  skip_heads(gradients.dq, first_query_head);
  for (auto* rows : {&gradients.dk, &gradients.dv}) skip_heads(*rows, first);
  return gradients;
}

}  // namespace annulus::kernels::gpu
