#include "ring/query_store.hpp"

#include <algorithm>

#include "annulus/base/error.hpp"
#include "ring/heads_of.hpp"

namespace annulus::ring {

void QueryStore::arrived(const Item& item, Buffer packed) {
  if (item.owner != rank_) {
    arrived_.emplace_back(item, std::move(packed));
    return;
  }
  take_in(item, packed.bytes().first(bytes(item)));
  pool_.give(std::move(packed));
}

Buffer QueryStore::packed(const Item& item) {
  auto buffer = pool_.take(bytes(item));
  pack(item, buffer.bytes().first(bytes(item)));
  return buffer;
}

void QueryStore::release(const Item& item) {
  const auto found = std::ranges::find(arrived_, item, &std::pair<Item, Buffer>::first);
  ensure(found != arrived_.end(), "a rank lets go of queries that it does not hold");
  let_go(item);
  pool_.give(std::move(found->second));
  arrived_.erase(found);
}

std::span<std::byte> QueryStore::held(const Item& item) const {
  const auto found = std::ranges::find(arrived_, item, &std::pair<Item, Buffer>::first);
  ensure(found != arrived_.end(), "a rank computes with queries that it does not hold");
  return found->second.bytes().first(bytes(item));
}

RowNumbers QueryStore::row_numbers(const Item& queries) const {
  if (!plan_.problem().logit_scale.is_table()) return own_.betas.of(queries.owner);
  if (queries.owner != rank_) return {packed_queries(plan_, queries, held(queries)).table};
  if (queries == own_item_) return own_.table;
  return {heads_of(own_.table.there, queries.heads)};
}

}  // namespace annulus::ring
