// The register tiles: <q, k> of a few queries and keys, and weights times values.

#if defined(ANNULUS_KERNELS_CPU_PRODUCTS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNULUS_KERNELS_CPU_PRODUCTS_INL
#undef ANNULUS_KERNELS_CPU_PRODUCTS_INL
#else
#define ANNULUS_KERNELS_CPU_PRODUCTS_INL
#endif

#include <hwy/highway.h>

#include "kernels/cpu/operands-inl.hpp"
#include "kernels/cpu/tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace annulus::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sums that are in flight must fill the registers and leave room for what is loaded: 24 + 4 of 32
// registers, or 12 + 4 of 16.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
inline constexpr int score_rows = 8;
inline constexpr int value_vectors = 4;
#else
inline constexpr int score_rows = 4;
inline constexpr int value_vectors = 2;
#endif
inline constexpr int key_vectors = 3;
inline constexpr int value_rows = 6;
static_assert(query_tile % score_rows == 0 && query_tile % value_rows == 0);

/// Keys of one register tile of scores.
template <class D>
inline constexpr Index score_keys = key_vectors* lanes_of<D>;

/// What becomes of a sum before it is stored as a score: nothing, or it is multiplied with the
/// scale of its row.
struct Unscaled {
  [[nodiscard]] Unscaled from(Index) const { return {}; }
};
template <class T>
struct RowScales {
  const T* scale;
  [[nodiscard]] RowScales from(Index row) const { return {scale + row}; }
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE V scaled(D, V sum, Unscaled, Index) {
  return sum;
}
template <class T>
T scaled(T sum, Unscaled, Index) {
  return sum;
}
template <class T>
T scaled(T sum, RowScales<T> rows, Index r) {
  return sum * rows.scale[r];
}
template <class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE V scaled(D d, V sum, RowScales<T> rows, Index r) {
  return hn::Mul(sum, hn::Set(d, rows.scale[r]));
}

/// Packed operands that later products read, and of which every two steps of those at hand ask for
/// a line, so that they are in the second-level cache by then. All steps of a tile ask for as many
/// bytes as there are in a tile of keys or of values.
#if HWY_ARCH_X86_64 && HWY_TARGET <= HWY_AVX3
class Ahead {
 public:
  explicit Ahead(const void* operands) : at_(static_cast<const char*>(operands)) {}

  HWY_INLINE void fetch() {
    constexpr int read = 0;
    constexpr int second_level = 2;
    __builtin_prefetch(at_, read, second_level);
    at_ += line_;
  }
  /// What is left after so many steps.
  [[nodiscard]] HWY_INLINE Ahead after(Index steps) const {
    return Ahead(at_ + steps * (line_ / 2));
  }

 private:
  static constexpr Index line_ = 64;
  // A sixth of the rows that meet a tile and 3 vectors, an eighth and 4.
  static_assert(2 * score_rows * key_vectors == query_tile &&
                2 * value_rows * value_vectors == query_tile);

  const char* at_;
};
#else
struct Ahead {
  explicit Ahead(const void* /*operands*/) {}
  HWY_INLINE void fetch() {}
  [[nodiscard]] HWY_INLINE Ahead after(Index /*steps*/) const { return *this; }
};
#endif

/// Takes `count` steps of a product.
template <class Step>
HWY_INLINE void take_steps(Index count, Step step, Ahead ahead) {
  for (; count >= 2; count -= 2) {
    step();
    step();
    ahead.fetch();
  }
  if (count > 0) step();
}

/// scores(r, j) = scale(r) Sum_c q(c, r) k(c, j) for packed q (length, score_rows) and
/// k (length, score_keys).
template <class E, class D, class Scale, class T = hn::TFromD<D>>
HWY_INLINE void multiply_scores(D d, const Operand<E>* HWY_RESTRICT q,
                                const Operand<E>* HWY_RESTRICT k, Index length, Scale scale,
                                Ahead ahead, T* HWY_RESTRICT scores) {
  static_assert(key_tile<E> % score_keys<D> == 0);
  hn::Vec<D> sums[score_rows][key_vectors];
  for (int r = 0; r < score_rows; ++r) {
    for (int x = 0; x < key_vectors; ++x) sums[r][x] = hn::Zero(d);
  }
  const auto step = [&]() HWY_ATTR {
    OperandVec<D, Operand<E>> keys[key_vectors];
    for (int x = 0; x < key_vectors; ++x) keys[x] = load_operands(d, k + x * lanes_of<D>);
    for (int r = 0; r < score_rows; ++r) {
      const auto query = repeat_operand(d, q[r]);
      for (int x = 0; x < key_vectors; ++x) sums[r][x] = add_product(d, query, keys[x], sums[r][x]);
    }
    q += score_rows;
    k += score_keys<D>;
  };
  take_steps(length, step, ahead);
  for (int r = 0; r < score_rows; ++r) {
    for (int x = 0; x < key_vectors; ++x) {
      hn::Store(scaled(d, sums[r][x], scale, r), d, scores + r * key_tile<E> + x * lanes_of<D>);
    }
  }
}

/// How weights are read: (query_tile, operands of key_tile) for a row of sums for each query, over
/// keys; or (operands of query_tile, key_tile) for each key, over queries.
enum class Weights { by_query, by_key };

/// out(r, c) += Sum_j weights(r, j) v(j, c) over operands j of `inner`, for value_rows rows and
/// `vectors` vectors of columns; out and v have rows of that many elements. With
/// Weights::by_key, rows are keys and j are queries. Sums start at zero, so that their roundings
/// are those of a tile, not of all that `out` holds.
template <class E, int vectors, Weights order, class D, class T = hn::TFromD<D>>
HWY_INLINE void multiply_values(D d, const Operand<E>* HWY_RESTRICT weights,
                                const Operand<E>* HWY_RESTRICT v, Interval inner, Ahead ahead,
                                T* HWY_RESTRICT out) {
  constexpr Index row_stride = order == Weights::by_query ? operands<E>(key_tile<E>) : 1;
  constexpr Index inner_stride = order == Weights::by_query ? 1 : key_tile<E>;
  constexpr Index columns = vectors * lanes_of<D>;
  hn::Vec<D> sums[value_rows][vectors];
  for (int r = 0; r < value_rows; ++r) {
    for (int x = 0; x < vectors; ++x) sums[r][x] = hn::Zero(d);
  }
  v += inner.begin * columns;
  weights += inner.begin * inner_stride;
  const auto step = [&]() HWY_ATTR {
    OperandVec<D, Operand<E>> values[vectors];
    for (int x = 0; x < vectors; ++x) values[x] = load_operands(d, v + x * lanes_of<D>);
    for (int r = 0; r < value_rows; ++r) {
      const auto weight = repeat_operand(d, weights[r * row_stride]);
      for (int x = 0; x < vectors; ++x) sums[r][x] = add_product(d, weight, values[x], sums[r][x]);
    }
    v += columns;
    weights += inner_stride;
  };
  take_steps(inner.size(), step, ahead);
  for (int r = 0; r < value_rows; ++r) {
    for (int x = 0; x < vectors; ++x) {
      T* to = out + r * columns + x * lanes_of<D>;
      hn::Store(hn::Add(hn::Load(d, to), sums[r][x]), d, to);
    }
  }
}

}  // namespace annulus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
