#include "ring/item_store.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "annulus/plan/memory.hpp"

namespace annulus::ring {
ItemStore::ItemStore(const Plan& plan, int rank, const Program& program, const ConstKeyValues& own,
                     const SharedNode& node, BufferPool& pool)
    : plan_(plan),
      program_(program),
      rank_(rank),
      own_item_(plan.keys_of(rank)),
      own_sums_item_(own_item_.as(What::key_gradients)),
      own_(own),
      node_(node),
      pool_(pool),
      room_{static_cast<std::size_t>(room_for(plan, program, What::keys)),
            static_cast<std::size_t>(room_for(plan, program, What::key_gradients))},
      arriving_(static_cast<std::size_t>(room_for_arriving_gradients(plan, program))) {
  if (!node.shares()) return;
  const auto there = unpacked(plan, own_item_, node.own(rank, plan.bytes(own_item_)));
  device::copy(*pool.stream(), there.keys, own.keys);
  device::copy(*pool.stream(), there.values, own.values);
}

ItemStore::ItemStore(const Plan& plan, int rank, const Program& program, const ConstKeyValues& own,
                     const KeyValues& own_sums, const SharedNode& node, BufferPool& pool,
                     const kernels::BackwardPass& pass)
    : ItemStore(plan, rank, program, own, node, pool) {
  own_sums_ = own_sums;
  pass_ = &pass;
  own_unwritten_ = true;
  if (node.shares()) write_own_zeros();  // peers add to them
}

ItemStore::~ItemStore() {
  for (auto& held : held_) pool_.give(std::move(held.buffer));
}

ItemStore::Held* ItemStore::find(const Item& item) {
  const auto found =
      std::ranges::find_if(held_, [&](const Held& held) { return held.items.contains(item); });
  return found == held_.end() ? nullptr : &*found;
}

const ItemStore::Held& ItemStore::piece(const ItemList& items) const {
  const auto found = std::ranges::find(held_, items, &Held::items);
  ensure(found != held_.end(), "a rank computes with items that it does not hold in one piece");
  return *found;
}

KeyValues ItemStore::part(const Held& held, const Item& item) const {
  Index first = 0;
  for (const auto* one = held.items.begin(); *one != item; ++one) first += one->rows.count();
  const auto all = unpacked(plan_, held.items, held.bytes);
  return {rows_of(all.keys, first, item.rows.count()),
          rows_of(all.values, first, item.rows.count())};
}

std::span<std::byte> ItemStore::bytes_of(const Held& held, const Item& item) const {
  std::size_t first = 0;
  for (const auto* one = held.items.begin(); *one != item; ++one) first += bytes(*one);
  return held.bytes.subspan(first, bytes(item));
}

std::pair<ItemStore::Held*, Item> ItemStore::holder_of(const Item& item) {
  for (auto& held : held_) {
    for (const auto& one : held.items) {
      if (one.what == item.what && one.owner == item.owner && one.heads == item.heads &&
          one.rows.contains(item.rows)) {
        return {&held, one};
      }
    }
  }
  broken_invariant("a rank sends or receives rows of an item that it does not hold");
}

ItemStore::Held& ItemStore::hold(const Item& item, std::size_t step) {
  if (auto* held = find(item)) return *held;
  if (node_.shares()) {
    const Index size = plan_.bytes(item);
    const auto there = item.what == What::keys ? node_.received(rank_, step, size)
                                               : node_.received_sums(rank_, step, size);
    return held_.emplace_back(Held{item, 1, there, {}});
  }
  auto items = program_.piece_of(item, step);
  std::size_t size = 0;
  for (const auto& one : items) size += bytes(one);
  auto buffer = item.owner == rank_ ? pool_.take(size) : take_room(item.what);
  const auto there = buffer.bytes().first(size);
  return held_.emplace_back(Held{items, items.size(), there, std::move(buffer)});
}

void ItemStore::take(HeldItem held, std::size_t step) {
  const auto size = bytes(held.item);
  ensure(held.packed.size() >= size, "an item that is held has the bytes of the item");
  if (node_.shares()) {
    const auto& there = hold(held.item, step);
    std::ranges::copy(held.packed.bytes().first(size), there.bytes.begin());
    pool_.give(std::move(held.packed));
  } else {
    const auto there = held.packed.bytes().first(size);
    held_.push_back({held.item, 1, there, std::move(held.packed)});
  }
}

void ItemStore::begin(const Item& sums, std::size_t step) {
  if (find(sums) == nullptr) hold(sums, step).unwritten = true;  // all of the piece
  auto& held = *find(sums);
  if (held.unwritten) {
    if (node_.shares()) write_zeros(held);  // peers add to them
    return;
  }
  const auto zero = part(held, sums);
  device::clear(*pool_.stream(), zero.keys);
  device::clear(*pool_.stream(), zero.values);
}

void ItemStore::write_zeros(Held& held) {
  if (!held.unwritten) return;
  held.unwritten = false;
  const auto sums = unpacked(plan_, held.items, held.bytes);
  device::clear(*pool_.stream(), sums.keys);
  device::clear(*pool_.stream(), sums.values);
}

void ItemStore::write_own_zeros() {
  if (!own_unwritten_) return;
  own_unwritten_ = false;
  const auto sums = own_sums();
  device::clear(*pool_.stream(), sums.keys);
  device::clear(*pool_.stream(), sums.values);
}

std::span<std::byte> ItemStore::arrival(const Item& keys, std::size_t step) {
  return bytes_of(hold(keys, step), keys);
}

void ItemStore::release(const Item& item) {
  const auto held =
      std::ranges::find_if(held_, [&](const Held& one) { return one.items.contains(item); });
  ensure(held != held_.end(), "a rank lets go of an item that it does not hold");
  if (--held->left > 0) return;
  give(std::move(held->buffer));
  held_.erase(held);
}

HeldItem ItemStore::keep(const Item& item) {
  auto* held = find(item);
  ensure(held != nullptr && held->items.size() == 1, "a rank keeps an item that it holds alone");
  HeldItem kept{item, {}};
  if (node_.shares()) {
    kept.packed = take_room(item.what);
    std::ranges::copy(held->bytes, kept.packed.data());
  } else {
    kept.packed = std::move(held->buffer);
  }
  release(item);
  return kept;
}

std::span<const std::byte> ItemStore::packed(const Item& item, Buffer& copy) {
  if (auto* held = item.owner == rank_ ? nullptr : find(item)) {
    write_zeros(*held);
    const bool follow = item.what == What::keys || held->items.size() == 1;
    if (follow) return bytes_of(*held, item);
  }
  if (node_.shares() && item == own_item_) return node_.own(rank_, plan_.bytes(item));
  copy = pool_.take(bytes(item));
  const auto to = copy.bytes().first(bytes(item));
  const auto pack = [&](const ConstKeyValues& whole, const Rows& rows) {
    for_each_shared_row(whole, rows, unpacked(plan_, item, to), item.rows,
                        [&](ConstTensorView from, TensorView there) {
                          device::copy(*pool_.stream(), there, from);
                        });
  };
  if (item.owner == rank_) {
    pack(heads_of(own_, item.heads), own_item_.rows);
    return to;
  }
  const auto [held, whole] = holder_of(item);
  write_zeros(*held);
  pack(part(*held, whole), whole.rows);
  return to;
}

KeyValues ItemStore::own_sums() const {
  if (!node_.shares()) return own_sums_;
  return unpacked(plan_, own_sums_item_, node_.own_sums(rank_, plan_.bytes(own_sums_item_)));
}

void ItemStore::add(const Item& gradients, Buffer arrived) {
  add(gradients, std::span<const std::byte>(arrived.bytes()));
  give(std::move(arrived));
}

void ItemStore::add(const Item& gradients, std::span<const std::byte> packed) {
  auto there = own_sums_item_;
  KeyValues sums;
  if (gradients.owner == rank_) {
    write_own_zeros();
    sums = heads_of(own_sums(), gradients.heads);
  } else {
    const auto [held, whole] = holder_of(gradients);
    write_zeros(*held);
    there = whole;
    sums = part(*held, whole);
  }
  for_each_shared_row(sums, there.rows, unpacked(plan_, gradients, packed), gradients.rows,
                      [&](TensorView to, ConstTensorView more) { pass_->add(to, 1, more); });
}

void ItemStore::finish() {
  write_own_zeros();
  for (auto& held : held_) {
    const auto& item = held.items.front();
    if (item.owner != rank_) continue;
    write_zeros(held);
    add(item, std::span<const std::byte>(held.bytes));
  }
  if (!node_.shares()) return;
  const auto from = own_sums();
  device::copy(*pool_.stream(), own_sums_.keys, from.keys);
  device::copy(*pool_.stream(), own_sums_.values, from.values);
}

ConstKeyValues ItemStore::keys(const Compute& compute, std::size_t step) const {
  const auto& items = compute.keys;
  const auto& item = items.front();
  const int holder = compute.holder;
  if (item.owner == rank_) return heads_of(own_, item.heads);
  if (holder == rank_) return unpacked(plan_, items, piece(items).bytes);
  const Index size = plan_.bytes(item);
  return unpacked(
      plan_, items,
      item.owner == holder ? node_.own(holder, size) : node_.received(holder, step, size));
}

ItemStore::Sums ItemStore::sums(const Compute& compute, std::size_t step) {
  const auto items = compute.keys.as(What::key_gradients);
  const auto& item = items.front();
  const int holder = compute.holder;
  if (holder != rank_) {
    const Index size = plan_.bytes(item);
    return {unpacked(plan_, items,
                     item.owner == holder ? node_.own_sums(holder, size)
                                          : node_.received_sums(holder, step, size)),
            false};
  }
  if (item == own_sums_item_) return {own_sums(), std::exchange(own_unwritten_, false)};
  // Sums of some heads of the own keys lie without gaps, and are added to all of them at the end.
  if (item.owner == rank_ && find(item) == nullptr) begin(item, step);
  auto& held = *find(item);
  ensure(held.items == items, "a rank adds to sums that it does not hold in one piece");
  return {unpacked(plan_, items, held.bytes), std::exchange(held.unwritten, false)};
}

}  // namespace annulus::ring
