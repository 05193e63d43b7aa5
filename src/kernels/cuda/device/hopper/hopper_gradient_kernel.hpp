#pragma once
// All gradients of a tile of keys on compute capability 9.0: what gradient_kernel.hpp computes, by
// asynchronous products of warpgroups and tiles that come by themselves.
//
// Owners add nothing to device memory. They hand their sums of queries of a step to one of two
// warps, which waits until it is their turn, starts one addition of all of them, and says that they
// have been added when they have. The warps take steps in turn, so that each has the time of two
// for what is one wait after another. Owners wait only where a warp is two steps behind.
//
// A block computes one tile after another. It takes a ticket for the next one when it has brought
// all steps of the last, so the first ones of both stand side by side. A tile waits for those of
// lower tickets alone. Among all that are not done the one of the lowest ticket waits for none, and
// it is under way: a block that runs has taken it, and has before it only tiles of lower tickets,
// which are done. So blocks never wait for good, however few run at once. Where tiles are dealt out
// in advance, as by WorkOrder, one may wait for that of a block which has not started, because
// another kernel holds its multiprocessor.
//
// An owner starts <k, q> and <v, dout> of a step at once; makes probabilities while the second is
// under way, starts the sums of dv, makes gradients of logits while these are under way, and starts
// the sums of dk; once the other owner has written its gradients of logits, too, those of 64
// columns of queries: at d = 128 half of every step's, at d = 64 all of every second one's.

#include "kernels/cuda/device/all_gradients.hpp"
#include "kernels/cuda/device/column_queries.hpp"
#include "kernels/cuda/device/gradients.hpp"
#include "kernels/cuda/device/hopper/hopper_gradient_block.hpp"
#include "kernels/cuda/device/hopper/step_note.hpp"
#include "kernels/cuda/device/step_sums.hpp"

namespace annulus::kernels::gpu {

/// Adds Sum_i scale_i dz_ij q_i to dk_j, Sum_i p_ij dout_i to dv_j, and Sum_j dz_ij k_j to the sums
/// of query i. Logits are transposed, as in HopperKeyGradientKernel; their gradients go through
/// shared memory, rounded to T, a row for each key. There they are a factor whose terms lie across
/// its rows, as those of the keys do, so that an owner multiplies all of them with its part of the
/// columns. T, dim: as in HopperGradientBlock. one_scale: whether the arguments have it; a
/// branch in every step would take registers that there are not.
template <class T, int dim, bool one_scale>
struct HopperGradientKernel : HopperGradientBlock<T, dim, hopper_gradient_shape(dim), query_numbers,
                                                  hopper_gradient_more_bytes(dim)> {
  using Block = HopperGradientBlock<T, dim, hopper_gradient_shape(dim), query_numbers,
                                    hopper_gradient_more_bytes(dim)>;
  static constexpr int columns = Block::columns;
  static constexpr int adders = hopper_gradient_adders;
  static constexpr bool takes_turns = true;  ///< blocks wait for one another
  using Arguments = HopperGradientArguments;
  using typename Block::Dots;
  using typename Block::Place;
  using Walk = GroupWalk<columns>;
  using Queries = ColumnQueries<columns>;
  using OwnSums = OwnerStepSums<dim>;
  static constexpr int sum_warps = OwnSums::warp_count;  ///< that have sums of a step
  using QuerySums = Sums<1, slab_columns>;
  using SumsRing = TileRing<adders>;
  using SumsPlace = RingPlace<adders>;
  static constexpr int tickets = 2;  ///< that a block has at once: of a tile, and of the next one
  using TicketRing = TileRing<tickets>;
  using TicketPlace = RingPlace<tickets>;
  static_assert(hopper_sums_all_gradients(dim) && columns == slab_columns);
  // Both owners have sums of every step, or one has, which then has the same buffer every time.
  static_assert(sum_warps == HopperShape::owner_warps ||
                (sum_warps == 4 && adders == HopperShape::owners));

  // Behind the tiles: gradients of logits, sums of queries. Behind the barriers of tiles: those of
  // sums and of tickets, these, the notes of all stages, and those of the sums.
  static constexpr SharedOffset logit_bytes = hopper_gradient_logit_bytes(dim);
  static constexpr int sum_bytes = hopper_gradient_sum_bytes(dim);
  static constexpr SharedOffset first_sums = Block::more_at + 2 * logit_bytes;
  static constexpr SharedOffset ticket_barriers = Block::end + 16 * adders;
  static constexpr SharedOffset first_ticket = ticket_barriers + 16 * tickets;
  static constexpr SharedOffset first_note = first_ticket + 16 * tickets;
  static constexpr SharedOffset first_turn_of_sums = first_note + 32 * Block::stages;
  static constexpr int shared_bytes = hopper_gradient_shared_bytes(dim);
  static_assert(first_turn_of_sums + 16 * adders == shared_bytes);
  static_assert(shared_bytes <= most_hopper_shared_bytes);

  ANNULUS_DEVICE static void run(const Arguments& a) {
    const auto init = [&] {
      sums_ring().init(1, sum_warps);
      ticket_ring().init(HopperShape::owner_warps + 1);
    };
    const auto help = [&](int warp) {
      if (warp < adders) {
        add(a.gradient, static_cast<unsigned>(warp));
      } else if (warp == adders) {
        bring_rows(a);
      } else {
        bring_numbers(a);
      }
    };
    Block::run(init, help, [&] { compute(a); });
  }

 private:
  /// Of two steps, for the other owner may still multiply those of the step before.
  ANNULUS_DEVICE static SharedOffset logits_of(const Place& place) {
    return Block::more_at + place.steps % 2 * logit_bytes;
  }
  ANNULUS_DEVICE static SharedOffset note_of_step(const Place& place) {
    return first_note + static_cast<SharedOffset>(32 * place.stage());
  }
  ANNULUS_DEVICE static SharedOffset turn_of_step(const Place& place) {
    return note_of_step(place) + 16;
  }

  /// What owners hand over: sums, and whose turn it is to add them.
  ANNULUS_DEVICE static SharedOffset sums_of(const SumsPlace& place) {
    return first_sums + static_cast<SharedOffset>(place.stage() * sum_bytes);
  }
  ANNULUS_DEVICE static SharedOffset turn_of_sums(const SumsPlace& place) {
    return first_turn_of_sums + static_cast<SharedOffset>(16 * place.stage());
  }
  ANNULUS_DEVICE static SumsRing sums_ring() { return {Block::end}; }

  /// Whether an owner has sums of queries of a step.
  ANNULUS_DEVICE static bool has_sums(int owner, const Place& place) {
    return sum_warps == HopperShape::owner_warps ||
           owner == static_cast<int>(place.steps % HopperShape::owners);
  }
  ANNULUS_DEVICE static int sum_warp() { return warp_index() % sum_warps; }

  ANNULUS_DEVICE static TicketRing ticket_ring() { return {ticket_barriers}; }
  ANNULUS_DEVICE static TicketPlace ticket_place(const Round& round) { return {round.steps}; }
  ANNULUS_DEVICE static SharedOffset ticket_of(const Round& round) {
    return first_ticket + static_cast<SharedOffset>(16 * ticket_place(round).stage());
  }

  /// By the warp that brings tiles: those of the next item.
  ANNULUS_DEVICE static void take(const Arguments& a, const Round& round) {
    ticket_ring().wait_until_empty(ticket_place(round));
    if (lane_index() == 0) store_shared(ticket_of(round), take_ticket(a.gradient.turns.tickets));
    ticket_ring().hand_over(ticket_place(round));
  }

  /// The item of a round, once its ticket is there.
  ANNULUS_DEVICE static int item_of(const Round& round) {
    return static_cast<int>(load_shared<std::uint32_t>(ticket_of(round)));
  }
  ANNULUS_DEVICE static bool has(const Arguments& a, const Round& round) {
    ticket_ring().wait_until_full(ticket_place(round));
    return item_of(round) < a.order.count;
  }
  ANNULUS_DEVICE static OwnRows rows_of(const Arguments& a, const Round& round) {
    const GradientArguments& of_all = a.gradient;
    return rows_of_item(a.order, item_of(round), of_all.tiles, 16, a.order.heads);
  }
  ANNULUS_DEVICE static Walk walk_of(const GradientArguments& a, const OwnRows& own) {
    return {a.tiles, own.work, own.head * a.group, a.group};
  }

  ANNULUS_DEVICE static void bring_rows(const Arguments& a) {
    Place place;
    for (Round round;; ++round.steps) {
      take(a, round);
      if (!has(a, round)) break;
      bring_tile(a, round, place);
    }
  }
  ANNULUS_DEVICE static void bring_tile(const Arguments& a, const Round& round, Place& place) {
    const OwnRows own = rows_of(a, round);
    struct Notes {
      StepNote step;
      TurnNote turn;
    };
    const auto notes_of = [&](const Walk& walk) {
      return Notes{note_of(walk, own.work, Block::rows), turn_of(a.gradient, walk)};
    };
    const auto note = [](const Notes& notes, const Place& of_step) {
      store_shared(note_of_step(of_step), notes.step);
      store_shared(turn_of_step(of_step), notes.turn);
    };
    Block::bring_keys_and_steps(a, round, own, walk_of(a.gradient, own), place, notes_of, note);
  }
  ANNULUS_DEVICE static void bring_numbers(const Arguments& a) {
    Place place;
    for (Round round; has(a, round); ++round.steps) {
      Block::bring_numbers(a.gradient, walk_of(a.gradient, rows_of(a, round)), place);
      ticket_ring().release(ticket_place(round));
    }
  }

  /// Sums of step `first` and of every `adders`-th from there on, by one warp.
  ANNULUS_DEVICE static void add(const GradientArguments& a, unsigned first) {
    const SumsRing ring = sums_ring();
    const bool in_order = a.turns.counts != nullptr;
    SumsPlace place{first};
    for (;; place.steps += adders) {
      ring.wait_until_full(place);
      const auto turn = load_shared<TurnNote>(turn_of_sums(place));
      if (turn.step < 0) break;
      std::uint32_t* const count = in_order ? a.turns.counts + turn.step : nullptr;
      if (in_order) wait_for(count, static_cast<std::uint32_t>(turn.turns));
      sync_warp();  // all lanes have read the turn
      if (lane_index() == 0) {
        // What others had added comes before what is added by itself, and that before the count.
        if (in_order) fence_device();
        if (in_order) async_proxy_fence_device();
        add_numbers(a.turns.sums + static_cast<Index>(turn.step) * OwnSums::numbers, sums_of(place),
                    sum_bytes);
        add_commit();
        add_wait_read<0>();
        barrier_arrive(ring.empty(place.stage()));
        if (in_order) {
          add_wait<0>();
          fence_device();
          raise(count);
        }
      }
      sync_warp();
    }
    if (lane_index() == 0) add_wait<0>();
  }

  ANNULUS_DEVICE static void compute(const Arguments& a) {
    const int owner = warpgroup_index();
    Place place;
    for (Round round; has(a, round); ++round.steps) {
      compute_tile(a, round, place, owner);
      ticket_ring().release(ticket_place(round));
    }
    for (int i = 0; i < adders; ++i, ++place.steps) {
      if (has_sums(owner, place)) hand_over_nothing({place.steps});
    }
  }

  ANNULUS_DEVICE static void compute_tile(const Arguments& arguments, const Round& round,
                                          Place& place, int owner) {
    const GradientArguments& a = arguments.gradient;
    // Made again wherever it is needed, for registers are few.
    const auto own_rows = [&] { return rows_of(arguments, round); };
    const SharedOffset owned = rows_of_warpgroup(owner);
    // Columns of keys that this owner sums for queries.
    const SharedOffset summed = slab_at<Block::rows>(owner % (dim / slab_columns));
    const unsigned first = place.steps;
    Dots p;
    Dots dp;
    Factors<columns> weights;
    Factors<columns> dz;
    typename Block::Rows dk;
    typename Block::Rows dv;

    Block::owned_ring().wait_until_full(round);
    // Keys past the end of the tile see nothing: their gradients of logits are 0, times what must
    // not be NaN.
    clear_rows_past<dim, Block::rows>(own_rows().work.rows, 0, Block::second_owned);
    while (true) {
      bool ends = false;
      do {
        const NotedStep step(a.tiles, note_of_step(place));
        Block::ring().wait_until_full(place);
        const SharedOffset q = Block::first_tile(place);
        const SharedOffset dout = Block::second_tile(place);
        const Queries queries{Block::numbers_of(place)};
        clear_rows_past<dim, columns>(step.count(), q, dout);
        wgmma_fence(p.blocks[0], dp.blocks[0]);
        start_dots<T, dim, Block::rows>(p, owned, q);
        start_dots<T, dim, Block::rows>(dp, Block::second_owned + owned, dout);
        wgmma_wait<1>(p.blocks[0]);
        to_probabilities(p, queries, step, own_rows());
        pack_factors<T>(weights, p);
        wgmma_fence(dv.blocks[0], weights);
        start_weighted_rows<T, dim>(dv, weights, dout);
        wgmma_wait<1>(dp.blocks[0]);
        for_each_number<2, columns / 8>([&](int r, int n, int side) {
          p.at(r, n, side) *= dp.at(r, n, side) + queries.minus_mean(r, n, side);
        });
        pack_factors<T>(dz, p);
        share(dz, logits_of(place));
        if constexpr (!one_scale) scale_factors(dz, p, queries);
        wgmma_fence(dk.blocks[0], dz);
        start_weighted_rows<T, dim>(dk, dz, q);
        async_proxy_fence();
        wgmma_wait<1>(dv.blocks[0], weights);
        named_barrier_sync(named_barrier_of_owners, HopperShape::owner_warps * warp_lanes);
        ends = step.is_last();
        if (has_sums(owner, place)) {
          QuerySums dq;
          wgmma_fence(dq.blocks[0]);
          start_transposed<T, Block::rows>(dq, logits_of(place), summed);
          wgmma_wait<0>(dq.blocks[0], dk.blocks[0], dz);
          const auto turn = load_shared<TurnNote>(turn_of_step(place));
          Block::ring().release(place);
          if (ends) Block::owned_ring().release(round);
          hand_over(dq, turn, {place.steps});
        } else {
          wgmma_wait<0>(dk.blocks[0], dz);
          Block::ring().release(place);
          if (ends) Block::owned_ring().release(round);
        }
        ++place.steps;
      } while ((place.steps - first) % Block::panel != 0 && !ends);
      if constexpr (one_scale) scale_sums(dk, a.one_scale);
      move_sums(dk, a.dk, own_rows(), a.k.dim);
      move_sums(dv, a.dv, own_rows(), a.v.dim);
      if (ends) break;
    }
  }

  /// Gradients of logits of the warp's keys to shared memory, a row for each key.
  ANNULUS_DEVICE static void share(const Factors<columns>& dz, SharedOffset logits) {
    const int lane = lane_index();
    const SharedOffset first = logits + slab_chunk(warp_index() * 16 + lane / 4, 0) +
                               static_cast<SharedOffset>(lane % 4 * 4);
    ANNULUS_UNROLL
    for (int n = 0; n < columns / 8; ++n) {
      // As slab_chunk(row, n), of rows whose chunks are turned alike.
      const SharedOffset at = first ^ static_cast<SharedOffset>(16 * n);
      store_shared(at, dz[n / 2][n % 2 * 2]);
      store_shared(at + 8 * slab_row_bytes, dz[n / 2][n % 2 * 2 + 1]);
    }
  }

  ANNULUS_DEVICE static void scale_factors(Factors<columns>& factors, Dots& dz,
                                           const Queries& queries) {
    for_each_number<2, columns / 8>(
        [&](int r, int n, int side) { dz.at(r, n, side) *= queries.scale(r, n, side); });
    pack_factors<T>(factors, dz);
  }

  /// Sums of queries of a step to the warp that adds them.
  ANNULUS_DEVICE static void hand_over(const QuerySums& sums, const TurnNote& turn,
                                       const SumsPlace& place) {
    const SharedOffset to =
        sums_of(place) + static_cast<SharedOffset>(4 * OwnSums::first(sum_warp(), lane_index()));
    sums_ring().wait_until_empty(place);
    ANNULUS_UNROLL
    for (int n = 0; n < OwnSums::columns / 8; ++n) {
      const auto& from = sums.blocks[0][n];
      store_shared(to + static_cast<SharedOffset>(16 * n * warp_lanes),
                   Vector<4>{from[0], from[1], from[2], from[3]});
    }
    store_turn(turn, place);
    async_proxy_fence();
    sums_ring().hand_over(place);
  }

  /// Says to that warp that all steps are over.
  ANNULUS_DEVICE static void hand_over_nothing(const SumsPlace& place) {
    sums_ring().wait_until_empty(place);
    store_turn({.step = -1}, place);
    sums_ring().hand_over(place);
  }

  ANNULUS_DEVICE static void store_turn(const TurnNote& turn, const SumsPlace& place) {
    if (sum_warp() == 0 && lane_index() == 0) store_shared(turn_of_sums(place), turn);
  }
};

}  // namespace annulus::kernels::gpu
