#pragma once
// Queries that a rank computes with: its own, and those of others that travel.

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/buffer_pool.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/kernels/logit_scales.hpp"
#include "annulus/plan/plan.hpp"
#include "ring/joined_rows.hpp"
#include "ring/packed_queries.hpp"
#include "ring/row_numbers.hpp"

namespace annulus::ring {

using device::Buffer;
using device::BufferPool;

/// What a pass is given of the queries of the rank, and of the scales of all. Borrowed.
struct OwnQueries {
  ConstTensorView q;             ///< (rows, H, d), on the device
  RowBetas& betas;               ///< of the plan
  std::span<const double> gain;  ///< as in ForwardOptions, likewise `sink`
  std::span<const double> sink;
  RowNumbers table;  ///< ForwardOptions::logit_scale, or absent
};

/// Items of queries, and of what is made of them, as a program moves them. Borrows plan and pool.
class QueryStore {
 public:
  QueryStore(const Plan& plan, int rank, BufferPool& pool, const OwnQueries& own)
      : plan_(plan), rank_(rank), pool_(pool), own_(own), own_item_(plan.queries_of(rank)) {}
  QueryStore(const QueryStore&) = delete;
  QueryStore& operator=(const QueryStore&) = delete;
  virtual ~QueryStore() {
    for (auto& [item, packed] : arrived_) pool_.give(std::move(packed));
  }

  [[nodiscard]] std::size_t bytes(const Item& item) const {
    return static_cast<std::size_t>(plan_.bytes(item));
  }
  /// A buffer for an item that arrives.
  [[nodiscard]] Buffer room_for(const Item& item) { return pool_.take(bytes(item)); }
  /// Takes in an item that has arrived, packed: what others have made of own queries is merged or
  /// added, and the rest is held until release().
  void arrived(const Item& item, Buffer packed);
  /// An item to send, in a buffer of the pool.
  [[nodiscard]] Buffer packed(const Item& item);
  /// Lets go of an item of others.
  void release(const Item& item);

 protected:
  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] BufferPool& pool() const { return pool_; }
  [[nodiscard]] const std::shared_ptr<device::Stream>& stream() const { return pool_.stream(); }
  [[nodiscard]] const OwnQueries& own() const { return own_; }
  [[nodiscard]] const Item& own_item() const { return own_item_; }
  [[nodiscard]] std::span<std::byte> held(const Item& item) const;

  /// The numbers of the rows of queries that are here: (rows, 1, 1), or under the `table` policy
  /// (rows, heads, 1). On the host as well where these are all own queries.
  [[nodiscard]] RowNumbers row_numbers(const Item& queries) const;

  /// Writes to `packed` what is made of `item`, one of `queries`: `write` writes that of all of
  /// them, (rows, heads, ...), once, to `made` where they are several.
  template <class Write>
  void write_made(const ItemList& queries, const Item& item, std::span<std::byte> packed,
                  device::DeviceTensor& made, const Write& write) const {
    const auto to = packed_results(plan_, item, packed);
    if (queries.size() == 1) return write(to);
    if (!made.view().present()) {
      made = {stream(), to.type, queries.rows(), to.heads, to.dim};
      write(made.view());
    }
    Index first = 0;
    for (const auto* one = queries.begin(); !(one->as(item.what) == item); ++one) {
      first += one->rows.count();
    }
    device::copy(*stream(), to, rows_of(made.view(), first, to.rows));
  }
  /// Takes in what this rank has made of own queries apart from all of them, as if it had come from
  /// another one.
  void take_home(const Item& made) { arrived(made, packed(made)); }
  /// Takes in what others have made of own queries.
  virtual void take_in(const Item& item, std::span<const std::byte> packed) = 0;
  /// Writes an item to `packed`, which has its bytes.
  virtual void pack(const Item& item, std::span<std::byte> packed) = 0;
  /// Others' queries are not computed with any more.
  virtual void let_go(const Item& item) = 0;

 private:
  const Plan& plan_;
  int rank_;
  BufferPool& pool_;
  OwnQueries own_;
  Item own_item_;
  std::vector<std::pair<Item, Buffer>> arrived_;
};

}  // namespace annulus::ring
