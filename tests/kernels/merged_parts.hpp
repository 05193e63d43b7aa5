#pragma once
// Keys whose states are computed by passes of their own, and merged.

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "annulus/attention/partial_state.hpp"
#include "annulus/kernels/kernel.hpp"
#include "kernels/placed_tensors.hpp"

namespace annulus::test {

/// Some heads of a tensor, where they are.
template <class Void>
[[nodiscard]] BasicTensorView<Void> take_heads(BasicTensorView<Void> tensor, Interval heads) {
  with_element(tensor.type,
               [&]<class T>() { tensor.data = tensor.template row<T>(0, heads.begin); });
  tensor.heads = heads.size();
  return tensor;
}

/// States of rows that see nothing are empty, and no others are.
template <class Sum>
void expect_states(const Tensor<Sum>& states) {
  for (Index i = 0; i < states.rows; ++i) {
    for (Index h = 0; h < states.heads; ++h) {
      const Sum maximum = states.at(i, h, 0);
      if (std::isnan(maximum)) continue;
      EXPECT_EQ(maximum == -std::numeric_limits<Sum>::infinity(), states.at(i, h, 1) == 0) << i;
    }
  }
}

/// Merges into `pass`, of these queries and options, what they see of keys that it has not seen.
/// Passes of so many key heads each compute that; their states have gaps where these are not all.
template <class Sum>
void merge_part(const kernels::Kernel& kernel, kernels::ForwardPass& pass,
                const kernels::Queries& queries, kernels::PassOptions options, ConstTensorView k,
                ConstTensorView v, std::span<const Block> blocks, Index key_heads) {
  const auto& q = queries.q;
  const Index group = q.heads / options.key_heads;
  Tensor<Sum> nothing(q.rows, q.heads, state_width(v.dim));
  std::ranges::fill(nothing.values, std::numeric_limits<Sum>::quiet_NaN());
  const PlacedNumbers<Sum> states(options.stream, nothing);
  options.key_heads = key_heads;
  for (Index first = 0; first < k.heads; first += key_heads) {
    const Interval keys{first, first + key_heads};
    const Interval heads{keys.begin * group, keys.end * group};
    const auto& all = queries.scale;
    const kernels::LogitScales scale{
        .rows = all.rows.heads == 1 ? all.rows : take_heads(all.rows, heads),
        .heads = all.heads.subspan(static_cast<std::size_t>(heads.begin),
                                   static_cast<std::size_t>(heads.size()))};
    const auto part =
        kernel.forward({.q = take_heads(q, heads), .scale = scale, .sink = {}}, options);
    part->accumulate(take_heads(k, keys), take_heads(v, keys), blocks, {});
    const auto state = take_heads(states.view(), heads);
    part->write_state(state);
    pass.merge(state, heads.begin);
  }
  Tensor<Sum> written(q.rows, q.heads, state_width(v.dim));
  states.fetch(written);
  expect_states(written);
}

}  // namespace annulus::test
