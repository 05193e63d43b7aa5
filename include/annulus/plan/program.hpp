#pragma once
// What one rank does in a pass, step by step.

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "annulus/base/index.hpp"
#include "annulus/plan/run.hpp"

namespace annulus {

/// Some rows of a shard, counted in its own order: at most two intervals, ascending, with a gap
/// between them.
class Rows {
 public:
  Rows() = default;
  explicit Rows(Interval interval) { add(interval); }

  /// The rows of `intervals`, which are ascending and disjoint, and those in between where these
  /// are more than two: the widest gap stays.
  [[nodiscard]] static Rows covering(std::span<const Interval> intervals);
  /// The same for what of `intervals` is in these rows, each of whose intervals stays one.
  [[nodiscard]] Rows narrowed_to(std::span<const Interval> intervals) const;

  [[nodiscard]] std::span<const Interval> intervals() const { return {intervals_.data(), count_}; }
  [[nodiscard]] Index count() const;
  /// Where `row`, one of these rows, comes among them.
  [[nodiscard]] Index place_of(Index row) const;
  [[nodiscard]] bool contains(const Rows& rows) const;
  [[nodiscard]] bool empty() const { return count_ == 0; }
  friend bool operator==(const Rows&, const Rows&) = default;

 private:
  void add(Interval interval) {
    if (!interval.empty()) intervals_[count_++] = interval;
  }

  std::array<Interval, 2> intervals_{};
  std::size_t count_ = 0;
};

/// The rows of `shard` that `rows` are.
[[nodiscard]] Shard select(const Shard& shard, const Rows& rows);

enum class What {
  keys,              ///< keys and values
  key_gradients,     ///< their gradients: what arrives is added to what is there
  queries,           ///< of a rank that computes with them for their owner
  states,            ///< what it has made of them, for the owner to merge
  output_gradients,  ///< of these queries, with what else a backward pass is given of their rows
  query_gradients,   ///< what it has made of them, for the owner to add
};

/// "keys", "key_gradients" and so on.
[[nodiscard]] std::string_view name_of(What what);
/// Whether it is of keys, and not of queries.
[[nodiscard]] constexpr bool is_of_keys(What what) {
  return what == What::keys || what == What::key_gradients;
}

/// What is sent, computed with, summed and let go as a whole: some rows and heads of what one rank
/// owns. Heads are those of the keys for keys and their gradients, else those of the queries.
struct Item {
  What what = What::keys;
  int owner = -1;
  Rows rows{};
  Interval heads{};

  /// Something else of the same rows and heads.
  [[nodiscard]] Item as(What other) const {
    auto item = *this;
    item.what = other;
    return item;
  }
  friend bool operator==(const Item&, const Item&) = default;
};

/// Items of one kind and the same heads, at least one, whose rows lie one after the other where
/// they are computed with: those of a team. Copies share what never changes.
class ItemList {
 public:
  ItemList(const Item& only) : ItemList(std::span(&only, 1)) {}
  explicit ItemList(std::span<const Item> items);

  [[nodiscard]] const Item* begin() const { return items_.get(); }
  [[nodiscard]] const Item* end() const { return items_.get() + size_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const Item& front() const { return items_[0]; }
  [[nodiscard]] const Interval& heads() const { return front().heads; }
  /// Of all items.
  [[nodiscard]] Index rows() const;
  [[nodiscard]] bool contains(const Item& item) const;
  /// Something else of the same rows and heads.
  [[nodiscard]] ItemList as(What other) const;
  friend bool operator==(const ItemList& one, const ItemList& other) {
    return std::ranges::equal(one, other);
  }

 private:
  std::shared_ptr<Item[]> items_;
  std::size_t size_;
};

/// An item on its way to or from a rank. Between two ranks, order is all the naming there is: what
/// one starts to send first, the other starts to receive first.
struct Transfer {
  Item item;
  int peer = -1;
  std::size_t due = 0;   ///< the step before which it is done, at most the number of steps
  bool returns = false;  ///< whether a backward pass brings the item back to its sender
  std::size_t last = 0;  ///< keys that are fetched again in a backward pass: the last step in which
                         ///< the receiver has a use for them, or still gets gradients of them
};

/// Queries that meet keys, and the rank that holds the keys: this one, or another one of its node,
/// in whose memory they are read. Queries of this rank are its own, all of them or of some heads,
/// or have come from their owners. Several items of keys have come together, and always meet
/// queries together. In a backward pass, the gradients of the keys are added to the sums that
/// `holder` has of them.
struct Compute {
  ItemList queries;
  ItemList keys;
  int holder = -1;
};

/// In this order: what is due is there, gradients that have arrived are added to the sums that
/// the rank has of these rows, and states merged; `takes` are taken up from the forward pass; ranks
/// of a node meet; `releases` are let go; sums of `begins` start from zero; transfers start;
/// `computes` follow each other. What is sent of queries, a state or a gradient, is what all
/// computes with them have made by then.
struct Step {
  std::vector<Item> takes;
  std::vector<Item> releases;
  std::vector<Item> begins;
  std::vector<Transfer> sends;
  std::vector<Transfer> receives;
  std::vector<Compute> computes;
};

/// Step s is the same moment on all ranks, and all have as many.
struct Program {
  std::vector<Step> steps;
  /// What is not let go where a backward pass follows, which takes it up: of the keys that are
  /// received, those that neither come back nor are fetched again, in the order in which they would
  /// be let go, and those that are there at the end.
  std::vector<Item> kept;

  /// What lies in one piece with keys, or sums of their gradients, that are there from `step` on:
  /// what a compute meets together with them before they are let go, or the item alone.
  [[nodiscard]] ItemList piece_of(const Item& item, std::size_t step) const;
};

}  // namespace annulus
