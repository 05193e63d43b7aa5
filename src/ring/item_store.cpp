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
      rank_(rank),
      own_item_(plan.keys_of(rank)),
      own_sums_item_(own_item_.as(What::key_gradients)),
      own_(own),
      node_(node),
      pool_(pool),
      room_{static_cast<std::size_t>(room_for(plan, program, What::keys)),
            static_cast<std::size_t>(room_for(plan, program, What::key_gradients))} {
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
  const auto zero = this->own_sums();
  device::clear(*pool.stream(), zero.keys);
  device::clear(*pool.stream(), zero.values);
}

ItemStore::~ItemStore() {
  for (auto& held : held_) pool_.give(std::move(held.buffer));
}

const ItemStore::Held* ItemStore::find(const Item& item) const {
  const auto found = std::ranges::find(held_, item, &Held::item);
  return found == held_.end() ? nullptr : &*found;
}

const ItemStore::Held& ItemStore::holder_of(const Item& item) const {
  const auto whole = std::ranges::find_if(held_, [&](const Held& held) {
    return held.item.what == item.what && held.item.owner == item.owner &&
           held.item.heads == item.heads && held.item.rows.contains(item.rows);
  });
  ensure(whole != held_.end(), "a rank sends or receives rows of an item that it does not hold");
  return *whole;
}

Buffer ItemStore::take_room(What what) {
  return pool_.take(room_[static_cast<std::size_t>(what)]);
}

ItemStore::Held& ItemStore::hold(const Item& item, std::size_t step) {
  auto& held = held_.emplace_back(item);
  const Index size = plan_.bytes(item);
  if (node_.shares()) {
    held.bytes = item.what == What::keys ? node_.received(rank_, step, size)
                                         : node_.received_sums(rank_, step, size);
  } else {
    held.buffer = item.owner == rank_ ? pool_.take(bytes(item)) : take_room(item.what);
    held.bytes = held.buffer.bytes().first(bytes(item));
  }
  return held;
}

void ItemStore::take(HeldItem held, std::size_t step) {
  const auto size = bytes(held.item);
  ensure(held.packed.size() >= size, "an item that is held has the bytes of the item");
  if (node_.shares()) {
    const auto& there = hold(held.item, step);
    std::ranges::copy(held.packed.bytes().first(size), there.bytes.begin());
    pool_.give(std::move(held.packed));
  } else {
    auto& there = held_.emplace_back(held.item);
    there.buffer = std::move(held.packed);
    there.bytes = there.buffer.bytes().first(size);
  }
}

void ItemStore::begin(const Item& sums, std::size_t step) {
  const auto& held = hold(sums, step);
  pool_.stream()->clear(held.bytes.data(), held.bytes.size());
}

std::span<std::byte> ItemStore::arrival(const Item& keys, std::size_t step) {
  return hold(keys, step).bytes;
}

ItemStore::Held ItemStore::take_out(const Item& item) {
  const auto found = std::ranges::find(held_, item, &Held::item);
  ensure(found != held_.end(), "a rank lets go of an item that it does not hold");
  auto held = std::move(*found);
  held_.erase(found);
  return held;
}

void ItemStore::release(const Item& item) {
  give(take_out(item).buffer);
}

HeldItem ItemStore::keep(const Item& item) {
  auto held = take_out(item);
  if (!node_.shares()) return {item, std::move(held.buffer)};
  HeldItem kept{item, take_room(item.what)};
  std::ranges::copy(held.bytes, kept.packed.data());
  return kept;
}

std::span<const std::byte> ItemStore::packed(const Item& item, Buffer& copy) {
  if (const auto* held = item.owner == rank_ ? nullptr : find(item)) return held->bytes;
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
  const auto& whole = holder_of(item);
  pack(unpacked(plan_, whole.item, whole.bytes), whole.item.rows);
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
  const bool own = gradients.owner == rank_;
  const auto* whole = own ? nullptr : &holder_of(gradients);
  for_each_shared_row(
      own ? heads_of(own_sums(), gradients.heads) : unpacked(plan_, whole->item, whole->bytes),
      own ? own_sums_item_.rows : whole->item.rows, unpacked(plan_, gradients, packed),
      gradients.rows, [&](TensorView there, ConstTensorView more) { pass_->add(there, more); });
}

void ItemStore::finish() {
  for (const auto& held : held_) {
    if (held.item.owner == rank_) add(held.item, std::span<const std::byte>(held.bytes));
  }
  if (!node_.shares()) return;
  const auto from = own_sums();
  device::copy(*pool_.stream(), own_sums_.keys, from.keys);
  device::copy(*pool_.stream(), own_sums_.values, from.values);
}

ConstKeyValues ItemStore::keys(const Compute& compute, std::size_t step) const {
  const auto& item = compute.keys;
  const int holder = compute.holder;
  const Index size = plan_.bytes(item);
  if (item.owner == rank_) return heads_of(own_, item.heads);
  if (holder != rank_) {
    return unpacked(
        plan_, item,
        item.owner == holder ? node_.own(holder, size) : node_.received(holder, step, size));
  }
  const auto* held = find(item);
  ensure(held != nullptr, "a rank computes with an item that it does not hold");
  return unpacked(plan_, item, held->bytes);
}

KeyValues ItemStore::sums(const Compute& compute, std::size_t step) {
  const auto item = compute.keys.as(What::key_gradients);
  const int holder = compute.holder;
  const Index size = plan_.bytes(item);
  if (holder != rank_) {
    return unpacked(plan_, item,
                    item.owner == holder ? node_.own_sums(holder, size)
                                         : node_.received_sums(holder, step, size));
  }
  if (item == own_sums_item_) return own_sums();
  const auto* held = find(item);
  // Sums of some heads of the own keys lie without gaps, and are added to all of them at the end.
  if (held == nullptr && item.owner == rank_) {
    begin(item, step);
    held = find(item);
  }
  ensure(held != nullptr, "a rank sums gradients of an item that it does not hold");
  return unpacked(plan_, item, held->bytes);
}

}  // namespace annulus::ring
