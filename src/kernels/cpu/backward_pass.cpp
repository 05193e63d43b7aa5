#include "kernels/cpu/backward_pass.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "annulus/base/error.hpp"
#include "kernels/backward_rows.hpp"
#include "kernels/cpu/for_each_item.hpp"
#include "kernels/cpu/tile_rows.hpp"

namespace annulus::kernels {
namespace {

/// Whether `queries` of `block` see some of its keys in `keys`: what they see between them is one
/// interval, as its ends never fall.
bool sees_some(const JoinedBlock& block, Interval queries, Interval keys) {
  return block.seen_by(queries.begin).begin < keys.end &&
         block.seen_by(queries.end - 1).end > keys.begin;
}

/// Rows of the panels of a block: at least two panels on the longer side, so that there is work to
/// share, as long as packing is worth its while. Tiles are whole but for the last of a block.
template <class E>
Index panel_length(const JoinedBlock& block) {
  constexpr Index step = std::max<Index>(96, key_tile<E>);
  constexpr Index least = 192;
  static_assert(gradient_panel % step == 0 && step % query_tile == 0 && step % key_tile<E> == 0);
  const auto rounded = [](Index rows) { return ceil_div(rows, step) * step; };
  const Index all = std::max(block.queries.size(), block.keys.size());
  return std::min(rounded(all), std::clamp(rounded(ceil_div(all, 2)), least, gradient_panel));
}

/// Bytes that a thread packs at once, at most, if they are more than a panel: six panels of d = 128
/// in fp32. Queries stay packed while keys pass by, and come from memory as fast as from a cache,
/// as few are read in the time of their products. Packed anew for every panel of keys, they take a
/// twentieth of a pass.
constexpr Index most_packed_bytes = Index{9} << 20;

/// Calls act(part) for consecutive parts of `rows` of at most `length`.
template <class Act>
void for_each_part(Interval rows, Index length, Act act) {
  for (Index begin = rows.begin; begin < rows.end; begin += length) {
    act(Interval{begin, std::min(begin + length, rows.end)});
  }
}

/// The pairs of panels of a block that see each other. Sums of a panel of queries, and of one of
/// keys, are made in the order of rounds, so that they do not depend on which thread makes them: in
/// round t keys i meet queries (i + t) mod C. This list keeps that order for each of them, while
/// keys stay for as many pairs as can be: from the last to the first, each with the queries from i
/// on, and then with those before. Both are done for `section` panels of queries after the other,
/// which stay packed meanwhile; all at once where it is 0.
std::vector<PanelPair> pairs_of(const JoinedBlock& block, Index length, Index section) {
  const auto panel_of = [&](Index i, Interval rows) {
    const Index begin = rows.begin + i * length;
    return Interval{begin, std::min(begin + length, rows.end)};
  };
  const Index query_panels = ceil_div(block.queries.size(), length);
  const Index key_panels = ceil_div(block.keys.size(), length);
  const Index rounds = std::max(query_panels, key_panels);
  std::vector<PanelPair> pairs;
  const auto add = [&](Index i, Interval queries) {
    for (Index j = queries.begin; j < queries.end; ++j) {
      const PanelPair pair{panel_of(j, block.queries), panel_of(i, block.keys),
                           (j - i + rounds) % rounds};
      if (sees_some(block, pair.queries, pair.keys)) pairs.push_back(pair);
    }
  };
  const auto for_each_section = [&](auto add_section) {
    const Index step = section > 0 ? section : query_panels;
    for (Index first = 0; first < query_panels; first += step) {
      const Index end = std::min(first + step, query_panels);
      for (Index i = key_panels; i-- > 0;) add_section(i, Interval{first, end});
    }
  };
  for_each_section([&](Index i, Interval queries) {
    add(i, {std::max(i, queries.begin), queries.end});
  });
  for_each_section([&](Index i, Interval queries) {
    add(i, {queries.begin, std::min(i, queries.end)});
  });
  return pairs;
}

}  // namespace

template <class E>
CpuBackward<E>::CpuBackward(const BackwardQueries& queries, const PassOptions& options,
                            const TileFunctions<E>& functions)
    : queries_(queries),
      options_(options),
      functions_(functions),
      pool_(pool_of(options)),
      means_(static_cast<std::size_t>(queries.dout.rows * queries.dout.heads)),
      sum_memory_(pool_, [this](ArrayPlaces& places) { place_sums(places); }) {
  const auto& q = queries.q;
  ensure(queries.scale.has_shape(q.rows, q.heads), "one scale per query row and head");
  check_means(queries);
  ensure(queries.dout.has_shape(q.rows, q.heads, options.value_dim) &&
             queries.lse.has_shape(q.rows, q.heads, 1) &&
             (!queries.lse_low.present() || queries.lse_low.has_shape(q.rows, q.heads, 1)),
         "the gradient of the output and lse have the shapes of the pass");
  ensure(options.threads >= 1, "at least one thread");
  ensure(options.key_heads >= 1 && q.heads % options.key_heads == 0,
         "query heads are a multiple of key heads");
  for_each_row(q.rows, options.threads, [&](Index i) {
    double* means = means_.data() + i * q.heads;
    row_means(queries_, i, means);
    for (Index h = 0; h < q.heads; ++h) {
      const T lse = *queries_.lse.row<T>(i, h);
      lse_[at(h, i)] = std::isinf(lse) ? T{0} : lse;
      lse_low_[at(h, i)] = queries_.lse_low.present() ? *queries_.lse_low.row<T>(i, h) : T{0};
      mean_[at(h, i)] = static_cast<T>(means[h]);
      std::fill_n(sums_ + at(h, i) * q.dim, q.dim, 0.0);
    }
  });
}

template <class E>
void CpuBackward<E>::place_sums(ArrayPlaces& places) {
  const Index rows = queries_.q.heads * queries_.q.rows;
  lse_ = places.take<T>(rows);
  lse_low_ = places.take<T>(rows);
  mean_ = places.take<T>(rows);
  sums_ = places.take<double>(rows * queries_.q.dim);
}

template <class E>
auto CpuBackward<E>::place_workspace(ArrayPlaces& places) const -> Workspace {
  constexpr bool in_place = operand_size<E> == 1;  // p and dz take the place of what they are of
  const Index d = queries_.q.dim;
  const Index d_v = options_.value_dim;
  const Index dim = functions_.padded(d);
  const Index value_dim = functions_.padded(d_v);
  const Index scores = query_tile * key_tile<E>;
  const auto take_operands = [&](Index count) { return places.take<Operand<E>>(count); };
  Workspace workspace{
      .scratch = {.dq = places.take<T>(panel_ * dim),
                  .dk = places.take<T>(key_tile<E> * dim),
                  .dv = places.take<T>(key_tile<E> * value_dim),
                  .logits = places.filled<T>(scores),
                  .products = places.filled<T>(scores),
                  .p = nullptr,
                  .dz_by_key = nullptr,
                  .dz_by_query = nullptr},
      .queries = {.count = 0,
                  .q = take_operands(packed_queries_ * operands<E>(d)),
                  .dout = take_operands(packed_queries_ * operands<E>(d_v)),
                  .q_factors = take_operands(functions_.query_factors(packed_queries_, d)),
                  .dout_factors = take_operands(functions_.query_factors(packed_queries_, d_v)),
                  .scale = places.take<T>(packed_queries_),
                  .scaled = places.take<T>(query_tile * d)},
      .keys = {.count = 0,
               .columns = take_operands(functions_.packed_keys(packed_keys_, d)),
               .value_columns = take_operands(functions_.packed_keys(packed_keys_, d_v)),
               .factors = take_operands(functions_.packed_values(packed_keys_, d))},
      .packed_queries = {},
      .packed_keys = {},
      .scale = places.take<double>(panel_),
      .visible = places.take<Interval>(panel_),
      .staging = places.take<E>(panel_ * d),
      .value_staging = places.take<E>(panel_ * d_v)};
  auto& scratch = workspace.scratch;
  if constexpr (in_place) {
    scratch.p = scratch.logits;
    scratch.dz_by_key = scratch.products;
    scratch.dz_by_query = scratch.products;
  } else {
    for (auto* weights : {&scratch.p, &scratch.dz_by_key}) {
      *weights = places.filled<Operand<E>>(operands<E>(functions_.summed_queries) * key_tile<E>);
    }
    scratch.dz_by_query = places.filled<Operand<E>>(operands<E>(scores));
  }
  return workspace;
}

template <class E>
auto CpuBackward<E>::cut_of(const JoinedBlock& block) const -> Cut {
  const Index d = queries_.q.dim;
  const Index d_v = options_.value_dim;
  const Index length = panel_length<E>(block);
  const Index query_panels = ceil_div(block.queries.size(), length);
  const Index key_panels = ceil_div(block.keys.size(), length);
  constexpr auto operand_bytes = Index{sizeof(Operand<E>)};
  const Index query_bytes =
      group() * operand_bytes *
      (length * (operands<E>(d) + operands<E>(d_v)) + functions_.query_factors(length, d) +
       functions_.query_factors(length, d_v));
  const Index key_bytes = operand_bytes * (functions_.packed_keys(length, d + d_v) +
                                           functions_.packed_values(length, d));
  const Index most_panels = most_packed_bytes / query_bytes;
  // As long as each other.
  const Index sections = most_panels > 0 ? ceil_div(query_panels, most_panels) : 0;
  return {.length = length,
          .section = sections > 0 ? ceil_div(query_panels, sections) : 0,
          .keys_at_once = query_panels * query_bytes + key_panels * key_bytes <= most_packed_bytes};
}

template <class E>
void CpuBackward<E>::make_room(std::span<const JoinedBlock> blocks) {
  Index panel = panel_;
  Index queries = packed_queries_;
  Index keys = packed_keys_;
  for (const auto& block : blocks) {
    const auto cut = cut_of(block);
    const auto whole_panels = [&](Interval rows) {
      return ceil_div(rows.size(), cut.length) * cut.length;
    };
    panel = std::max(panel, cut.length);
    queries = std::max(queries, std::max(group() * cut.section, Index{1}) * cut.length);
    keys = std::max(keys, cut.keys_at_once ? whole_panels(block.keys) : cut.length);
  }
  if (panel == panel_ && queries == packed_queries_ && keys == packed_keys_) return;
  panel_ = panel;
  packed_queries_ = queries;
  packed_keys_ = keys;
  workspaces_.resize(static_cast<std::size_t>(options_.threads));
  tile_memory_.give_back();
  tile_memory_ = PassMemory(pool_, [this](ArrayPlaces& places) {
    for (auto& workspace : workspaces_) workspace = place_workspace(places);
  });
}

template <class E>
void CpuBackward<E>::accumulate(ConstTensorView k, ConstTensorView v, std::span<const Block> blocks,
                                TensorView dk, TensorView dv, const Poll& poll) {
  ensure(k.heads == options_.key_heads && v.heads == options_.key_heads &&
             k.dim == queries_.q.dim && v.dim == options_.value_dim && k.rows == v.rows &&
             dk.has_shape(k.rows, k.heads, k.dim) && dv.has_shape(v.rows, v.heads, v.dim),
         "keys, values and their gradients have the shapes of the pass");
  const auto joined = join(blocks);
  make_room(joined);
  const PassMemory low_memory(pool_, [&](ArrayPlaces& places) {
    dk_low_ = places.take<T>(dk.rows * dk.heads * dk.dim);
    dv_low_ = places.take<T>(dv.rows * dv.heads * dv.dim);
  });
  for_each_row(dk.heads * dk.rows, options_.threads, [&](Index row) {
    std::fill_n(dk_low_ + row * dk.dim, dk.dim, T{0});
    std::fill_n(dv_low_ + row * dv.dim, dv.dim, T{0});
  });
  const Index heads = options_.key_heads;
  // As many heads as can be shared out evenly stay with a thread each, where keys stay packed and
  // gradients in the caches; the pairs of the others are shared round by round.
  const Index whole_heads = shared_evenly(heads, options_.threads);
  for (const auto& block : joined) {
    const auto cut = cut_of(block);
    const auto pairs = pairs_of(block, cut.length, cut.section);
    const auto of_worker = [&](int worker) -> Workspace& {
      return workspaces_[static_cast<std::size_t>(worker)];
    };
    for_each_step(whole_heads, std::ssize(pairs), options_.threads, poll,
                  [&](Index head, Index step, int worker) {
                    auto& workspace = of_worker(worker);
                    const auto& pair = pairs[static_cast<std::size_t>(step)];
                    const auto keys = cut.keys_at_once ? block.keys : pair.keys;
                    if (step == 0 || keys != workspace.packed_keys) {
                      pack_keys(k, v, keys, head, workspace);
                    }
                    if (cut.section > 0) {
                      const auto section = cut.section_of(block, pair);
                      if (step == 0 || section != workspace.packed_queries) {
                        pack_section(section, head, workspace);
                      }
                    }
                    accumulate_pair(block, pair, head, dk, dv, cut.section > 0, workspace);
                  });
    if (whole_heads == heads) continue;
    std::vector<std::vector<PanelPair>> rounds;
    for (const auto& pair : pairs) {
      const auto round = static_cast<std::size_t>(pair.round);
      rounds.resize(std::max(rounds.size(), round + 1));
      rounds[round].push_back(pair);
    }
    const Index others = heads - whole_heads;
    for (const auto& round : rounds) {
      for_each_item(std::ssize(round) * others, options_.threads, poll,
                    [&](Index item, int worker) {
                      const auto& pair = round[static_cast<std::size_t>(item / others)];
                      const Index head = whole_heads + item % others;
                      pack_keys(k, v, pair.keys, head, of_worker(worker));
                      accumulate_pair(block, pair, head, dk, dv, false, of_worker(worker));
                    });
    }
  }
}

template <class E>
void CpuBackward<E>::pack_keys(ConstTensorView k, ConstTensorView v, Interval rows, Index key_head,
                               Workspace& workspace) const {
  workspace.packed_keys = rows;
  for_each_part(rows, panel_, [&](Interval part) {
    const auto keys = tile_rows(k, part.begin, key_head, part.size(), workspace.staging);
    const auto values = tile_rows(v, part.begin, key_head, part.size(), workspace.value_staging);
    functions_.pack_gradient_keys(
        keys.data, keys.stride, values.data, values.stride, k.dim, v.dim,
        functions_.part_of(workspace.keys, part.begin - rows.begin, part.size(), k.dim, v.dim));
  });
}

template <class E>
void CpuBackward<E>::pack_queries(Interval rows, Index head, Index at, Workspace& workspace) const {
  const Index d = queries_.q.dim;
  for_each_part(rows, panel_, [&](Interval part) {
    const auto q = tile_rows(queries_.q, part.begin, head, part.size(), workspace.staging);
    const auto dout =
        tile_rows(queries_.dout, part.begin, head, part.size(), workspace.value_staging);
    for (Index i = 0; i < part.size(); ++i) {
      workspace.scale[i] = queries_.scale.at(part.begin + i, head);
    }
    functions_.pack_gradient_queries(
        {.q = q.data,
         .q_stride = q.stride,
         .scale = workspace.scale,
         .dout = dout.data,
         .dout_stride = dout.stride},
        d, options_.value_dim,
        functions_.part_of(workspace.queries, at + part.begin - rows.begin, part.size(), d,
                           options_.value_dim));
  });
}

template <class E>
void CpuBackward<E>::pack_section(Interval rows, Index key_head, Workspace& workspace) const {
  workspace.packed_queries = rows;
  for (Index i = 0; i < group(); ++i) {
    pack_queries(rows, key_head * group() + i, i * functions_.room_of(rows.size()), workspace);
  }
}

template <class E>
void CpuBackward<E>::accumulate_pair(const JoinedBlock& block, const PanelPair& pair,
                                     Index key_head, TensorView dk, TensorView dv,
                                     bool queries_are_packed, Workspace& workspace) {
  const auto& q = queries_.q;
  const Index key = pair.keys.begin;
  const Index row = pair.queries.begin;
  const Index count = pair.queries.size();
  for (Index i = 0; i < count; ++i) {
    const auto visible = block.seen_by(row + i);
    workspace.visible[i] = {visible.begin - key, visible.end - key};
  }
  const auto long_sums = [&](TensorView sums, T* low) {
    return LongSums<T>{sums.row<T>(key, key_head), sums.row_stride,
                       low + (key_head * sums.rows + key) * sums.dim, sums.dim};
  };
  const auto& packed = workspace.packed_queries;
  for (Index i = 0; i < group(); ++i) {
    const Index head = key_head * group() + i;
    const Index first =
        queries_are_packed ? i * functions_.room_of(packed.size()) + row - packed.begin : 0;
    if (!queries_are_packed) pack_queries(pair.queries, head, first, workspace);
    functions_.accumulate_gradients(
        {.rows = {count, workspace.visible},
         .dim = q.dim,
         .value_dim = options_.value_dim,
         .lse = &lse_[at(head, row)],
         .lse_low = &lse_low_[at(head, row)],
         .mean = &mean_[at(head, row)],
         .dq = sums_ + at(head, row) * q.dim,
         .queries = functions_.part_of(workspace.queries, first, count, q.dim, options_.value_dim),
         .keys = functions_.part_of(workspace.keys, key - workspace.packed_keys.begin,
                                    pair.keys.size(), q.dim, options_.value_dim),
         .dk = long_sums(dk, dk_low_),
         .dv = long_sums(dv, dv_low_),
         .scratch = workspace.scratch});
  }
}

template <class E>
void CpuBackward<E>::add(TensorView sums, double factor, ConstTensorView more) const {
  check_added(sums, more);
  for_each_row(sums.rows, options_.threads, [&](Index i) { add_row(sums, i, factor, more); });
}

template <class E>
void CpuBackward<E>::write_mean(TensorView mean) const {
  write_means(mean, means_);
}

template <class E>
void CpuBackward<E>::finish(TensorView dq, TensorView dscale) {
  const auto& q = queries_.q;
  ensure(dq.has_shape(q.rows, q.heads, q.dim) &&
             (!dscale.present() || dscale.has_shape(q.rows, q.heads, 1)),
         "the gradients have the shape of the pass");
  for_each_row(q.rows, options_.threads, [&](Index i) {
    std::vector<E> staging(static_cast<std::size_t>(dscale.present() ? q.dim : 0));
    for (Index h = 0; h < q.heads; ++h) {
      const double* sum = sums_ + at(h, i) * q.dim;
      functions_.scale_sums(sum, q.dim, queries_.scale.at(i, h), dq.row<T>(i, h));
      if (!dscale.present()) continue;
      const E* query = tile_rows(q, i, h, 1, staging.data()).data;
      double product = 0;
      for (Index c = 0; c < q.dim; ++c) product += static_cast<double>(query[c]) * sum[c];
      *dscale.row<T>(i, h) = static_cast<T>(product);
    }
  });
}

template class CpuBackward<float>;
template class CpuBackward<double>;
template class CpuBackward<BFloat16>;

}  // namespace annulus::kernels
