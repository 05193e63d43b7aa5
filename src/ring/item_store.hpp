#pragma once
// The items that a rank holds during a pass, and those that its peers hold.

#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "annulus/device/buffer_pool.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "ring/key_values.hpp"
#include "ring/shared_node.hpp"

namespace annulus::ring {

using device::Buffer;
using device::BufferPool;

/// Items of keys. A rank always has its own keys and, in a backward pass, sums of their gradients.
/// What else it holds lies packed in buffers of the pool or, where peers read it, in the memory of
/// the node, where the step says at which place. What comes together lies in one piece. Memory is
/// what the program of the rank holds at once.
class ItemStore {
 public:
  /// For a forward program of `rank`: borrows all of these. Packs the rank's own keys where peers
  /// are to read them.
  ItemStore(const Plan& plan, int rank, const Program& program, const ConstKeyValues& own,
            const SharedNode& node, BufferPool& pool);
  /// For a backward one: `own_sums` get the gradients of the rank's own keys, whatever they hold.
  /// `pass` adds.
  ItemStore(const Plan& plan, int rank, const Program& program, const ConstKeyValues& own,
            const KeyValues& own_sums, const SharedNode& node, BufferPool& pool,
            const kernels::BackwardPass& pass);
  ItemStore(const ItemStore&) = delete;
  ItemStore& operator=(const ItemStore&) = delete;
  ~ItemStore();

  /// Takes up keys that come from elsewhere, for `step`.
  void take(HeldItem held, std::size_t step);
  /// Sums of gradients that start from zero in `step`.
  void begin(const Item& sums, std::size_t step);
  /// Room for keys that arrive for `step`.
  [[nodiscard]] std::span<std::byte> arrival(const Item& keys, std::size_t step);
  /// Lets go of an item.
  void release(const Item& item);
  /// Lets go of an item that is to be taken up later.
  [[nodiscard]] HeldItem keep(const Item& item);

  /// An item as bytes to send. Where these are not there, being rows of the rank's own or of more
  /// than the item, or sums among others, they are packed into `copy`, a buffer of the pool.
  [[nodiscard]] std::span<const std::byte> packed(const Item& item, Buffer& copy);
  [[nodiscard]] std::size_t bytes(const Item& item) const {
    return static_cast<std::size_t>(plan_.bytes(item));
  }
  /// A buffer for gradients that arrive, of at least their bytes.
  [[nodiscard]] Buffer room_for_gradients() { return pool_.take(arriving_); }
  /// Adds gradients that have arrived to the sums that the rank has of these rows. Takes their
  /// buffer back.
  void add(const Item& gradients, Buffer arrived);
  /// Brings the sums of the own gradients to where they go, when all have been added.
  void finish();

  /// What is computed with in `step`.
  [[nodiscard]] ConstKeyValues keys(const Compute& compute, std::size_t step) const;
  struct Sums {
    KeyValues there;
    bool first;  ///< nothing has been added yet: they are zero, whatever lies there
  };
  /// Where its gradients are added, which the caller does.
  [[nodiscard]] Sums sums(const Compute& compute, std::size_t step);

  /// Takes back a buffer that packed() or arrival() took.
  void give(Buffer buffer) { pool_.give(std::move(buffer)); }

 private:
  struct Held {
    ItemList items;    // in one piece
    std::size_t left;  // of them that have not been let go
    std::span<std::byte> bytes;
    Buffer buffer;           // empty where these are the node's
    bool unwritten = false;  // sums: they are zero, which nobody has written
  };

  /// Makes room for what is there from `step` on, where there is none.
  Held& hold(const Item& item, std::size_t step);
  [[nodiscard]] Held* find(const Item& item);
  [[nodiscard]] const Held& piece(const ItemList& items) const;
  /// One of the items of a piece.
  [[nodiscard]] KeyValues part(const Held& held, const Item& item) const;
  /// The bytes of keys, or of sums that are alone.
  [[nodiscard]] std::span<std::byte> bytes_of(const Held& held, const Item& item) const;
  /// What is held that has the rows of `item`, and the item that has them.
  [[nodiscard]] std::pair<Held*, Item> holder_of(const Item& item);
  /// Before sums are read or added to by others than who computes: writes zeros that are unwritten.
  void write_zeros(Held& held);
  void write_own_zeros();
  [[nodiscard]] Buffer take_room(What what) {
    return pool_.take(room_[static_cast<std::size_t>(what)]);
  }
  [[nodiscard]] KeyValues own_sums() const;
  /// Adds packed gradients to the own sums, or to those that are held of the same rows.
  void add(const Item& gradients, std::span<const std::byte> packed);

  const Plan& plan_;
  const Program& program_;
  int rank_;
  Item own_item_;
  Item own_sums_item_;
  ConstKeyValues own_;
  KeyValues own_sums_{};
  bool own_unwritten_ = false;  // as Held has it
  const SharedNode& node_;
  BufferPool& pool_;
  const kernels::BackwardPass* pass_ = nullptr;
  std::array<std::size_t, 2> room_;  // bytes of a buffer for what is held, by kind
  std::size_t arriving_;             // and for gradients that arrive
  std::vector<Held> held_;
};

}  // namespace annulus::ring
