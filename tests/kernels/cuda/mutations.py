"""Seeds faults into copies of the kernels for GPUs and checks that the tests catch each of them.

    python3 mutations.py --compiler CXX --source PROJECT_ROOT --library-path FOLDER \\
                              --object OBJECT ... [--only WORD]

The objects are those of test_cuda. For every fault the kernels are compiled again with the fault in
them, linked with the other objects, and the tests must fail. Prints a table; exit 1 where a fault
survives. `cmake --build build --target cuda_mutations` runs it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# (what goes wrong, file, text, what it becomes). The text must occur once.
FAULTS = [
    # Copies, buffers and barriers.
    ("no barrier before a step", "tile_walk.hpp",
     "      cp_async_wait<stages - 2>();\n      sync_threads();\n",
     "      cp_async_wait<stages - 2>();\n"),
    ("waits for one group too few", "tile_walk.hpp", "cp_async_wait<stages - 2>",
     "cp_async_wait<stages - 1>"),
    ("fills the buffer that is read", "tile_walk.hpp",
     "stage_of(steps + stages - 1)", "stage_of(steps)"),
    ("fills the next buffer before all have read it", "tile_walk.hpp",
     "    meet();\n    if (more) load(next, stage);\n",
     "    if (more) load(next, stage);\n    meet();\n"),
    ("always reads the first buffer", "tile_walk.hpp", "    compute(walk, stage_of(steps));",
     "    compute(walk, 0);"),
    ("commits no empty groups", "tile_walk.hpp",
     ("    if (more) load(next, stage);\n    // A group without copies keeps the count: step i is always "
      "the i-th group.\n    cp_async_commit();"),
     "    if (more) {\n      load(next, stage);\n      cp_async_commit();\n    }"),
    ("a tile is not waited for", "tile_walk.hpp", "    cp_async_wait<0>();\n", ""),
    ("no barrier before a tile", "tile_walk.hpp", "    cp_async_wait<0>();\n    sync_threads();\n",
     "    cp_async_wait<0>();\n"),
    ("the next tile comes over the one that is read", "tile_walk.hpp",
     "    multiply(walk);\n    Walk next = walk;\n    next.advance();\n    wait();\n",
     "    wait();\n    multiply(walk);\n    Walk next = walk;\n    next.advance();\n"),
    ("the second tile comes over the one that is read", "tile_walk.hpp",
     "    wait();\n    load(here, load_second);\n", "    load(here, load_second);\n    wait();\n"),
    ("a tile of the step before", "tile_walk.hpp", "    next.advance();\n", ""),
    ("whole steps of rows that are not there", "tile_copy.hpp", " || step.left < rows", ""),
    ("whole steps of columns that are not there", "tile_copy.hpp",
     "((inputs.dim != dim) || ...) || ", ""),
    ("tiles of a step in one place", "tile_copy.hpp", ", to += rows * Layout::row_bytes", ""),
    ("one row for all that a thread copies", "tile_copy.hpp", ", from += stride", ""),
    ("chunks of rows that turn lie still", "tile_copy.hpp", "rows_at_once % 8 == 0 ?", "rows > 0 ?"),
    ("copies rows past the end", "tile_copy.hpp", "i < count && bytes > 0", "bytes > 0"),
    ("copies columns that are not there", "tile_copy.hpp",
     "std::clamp(input.dim - column, 0, int{Layout::elements})", "int{Layout::elements}"),
    ("zeros instead of the last row", "tile_copy.hpp", "i < count && bytes > 0",
     "i + 1 < count && bytes > 0"),
    # Rows and numbers one by one.
    ("means of the row before", "state_kernels.hpp", "a.out[at * a.dout.dim + c]",
     "a.out[(at > 0 ? at - 1 : 0) * a.dout.dim + c]"),
    ("goes past the end", "state_kernels.hpp", "if (at < count) visit", "if (at <= count) visit"),
    ("leaves out the last number", "state_kernels.hpp", "if (at < count) visit",
     "if (at + 1 < count) visit"),
    ("scales of the first row's number", "state_kernels.hpp", "at / a.heads * a.row_stride", "0"),
    ("scales of the first head's number", "state_kernels.hpp", " + head * a.head_stride", ""),
    ("scales of the next head's factor", "state_kernels.hpp", "a.head_factors[head] *",
     "a.head_factors[(head + 1) % a.heads] *"),
    ("factors of scales are rounded", "state_kernels.hpp",
     "static_cast<float>(a.head_factors[head] * number)",
     "static_cast<float>(a.head_factors[head]) * static_cast<float>(number)"),
    # Masks.
    ("mask hides one key too few on the right", "logits.hpp", "column >= end", "column > end"),
    ("mask hides one key too many on the left", "logits.hpp", "column < begin",
     "column <= begin"),
    ("no mask where only the start of a step is seen", "tile_walk.hpp",
     "begin_ + columns <= visit().whole.end", "begin_ < visit().whole.end"),
    ("no mask where only the end of a step is seen", "tile_walk.hpp",
     "visit().whole.begin <= begin_ &&", "visit().whole.begin < begin_ + columns &&"),
    # Softmax.
    ("O is not rescaled", "forward_kernel.hpp", "scale_rows(values, factors);", ""),
    ("l is not rescaled", "dot_softmax.hpp", "    states.sum[r] *= factor;\n", ""),
    ("moment does not shift", "dot_softmax.hpp", "states.moment[r] + states.sum[r] * shift",
     "states.moment[r]"),
    ("squares are scaled once", "dot_softmax.hpp", "*= factor * factor", "*= factor"),
    ("the larger maximum is not kept", "dot_softmax.hpp",
     "    states.maximum[r] = largest[r];\n", ""),
    ("maximum of a quarter of the row", "softmax.hpp",
     "    largest[r] = largest_of_row(largest[r]);\n", ""),
    # Panels and what is kept of them.
    ("a panel never ends before the last step", "tile_walk.hpp", "++steps < panel && !walk.done()",
     "!walk.done()"),
    ("every step after a panel ends one", "tile_walk.hpp", "  steps = 0;\n", ""),
    ("sums of one lane are kept", "softmax.hpp", "sum_of_row(panel)", "panel"),
    ("kept sums are not rescaled", "softmax.hpp", "factor * before + more", "before + more"),
    ("kept moment does not shift", "softmax.hpp", "state.moment[own.state_at(r)] + before * shift",
     "state.moment[own.state_at(r)]"),
    ("kept squares are scaled once", "softmax.hpp", "state.squares[own.state_at(r)] * factor",
     "state.squares[own.state_at(r)]"),
    ("the maximum is not kept", "softmax.hpp",
     "      if (writes) state.maximum[own.state_at(r)] = maximum[r];\n", ""),
    ("numbers of a panel go on", "softmax.hpp", "        panel = 0;\n", ""),
    ("kept O is not rescaled", "own_rows.hpp", "element * static_cast<double>(kept[r])", "element"),
    ("O of a panel goes on", "own_rows.hpp", "      },\n      table);\n  sums = {};\n",
     "      },\n      table);\n"),
    ("dq of a panel goes on", "own_rows.hpp",
     "static_cast<double>(sum); },\n      table);\n  sums = {};\n",
     "static_cast<double>(sum); },\n      table);\n"),
    ("dk of a panel goes on", "own_rows.hpp", "tables.high, tables.low);\n  sums = {};\n",
     "tables.high, tables.low);\n"),
    ("dk without its low part is written over", "own_rows.hpp", "element += sum; }, tables.high",
     "element = sum; }, tables.high"),
    ("what rounding took of dk is lost", "own_rows.hpp",
     "(static_cast<double>(low) + static_cast<double>(sum))", "static_cast<double>(sum)"),
    ("natural logits raised to base 2", "instructions.hpp", "exp2_approximate(x * log2_e)",
     "exp2_approximate(x)"),
    ("lse in base 2", "state_kernels.hpp", "log(scale.sum)", "log2(scale.sum)"),
    ("a row that saw nothing divides by 0", "state_kernels.hpp", "empty ? 0.0 : 1 / ", "1 / "),
    ("the sink has no weight", "state_kernels.hpp", "logit == minus_infinity ? 0.0 : 1.0", "0"),
    # Heads that share a tile, and tiles in parts.
    ("queries of one head for all that share a tile", "tile_copy.hpp",
     "(i % shared) * input.head_stride", "0"),
    ("queries of the next row for a head that shares a tile", "tile_copy.hpp",
     "(i / shared) * input.row_stride", "i * input.row_stride"),
    ("one head for all that share a tile", "own_rows.hpp", "head + line(r) % shared", "head"),
    ("masks count heads that share a tile as rows", "own_rows.hpp", "return line(r) / shared;",
     "return line(r);"),
    ("lines of the next tile", "own_rows.hpp", "line(r) < work.rows * shared",
     "line(r) <= work.rows * shared"),
    ("all parts keep their states in one place", "own_rows.hpp", "place(work.state_row, r)",
     "place(work.row, r)"),
    ("states of the first part alone", "state_kernels.hpp", "tile.state_row + part * tile.rows + row",
     "tile.state_row + row"),
    ("the last part is forgotten", "state_kernels.hpp", "part < tile.parts", "part + 1 < tile.parts"),
    ("a row of a tile in parts is forgotten", "state_kernels.hpp",
     "int row = warp_index(); row < tile.rows;", "int row = warp_index(); row + 1 < tile.rows;"),
    # Partial results.
    ("the state is not rescaled when parts merge", "state_kernels.hpp",
     "values[c] * kept +", "values[c] +"),
    ("the sum is not rescaled when parts merge", "state_kernels.hpp",
     "state.sum[own] * kept +", "state.sum[own] +"),
    ("a part is not weighted", "state_kernels.hpp", "widened(values[c]) * added", "widened(values[c])"),
    ("empty parts merge to NaN", "softmax.hpp", "old == minus_infinity ? 0.0F : ", ""),
    ("lanes read a maximum that is written", "state_kernels.hpp",
     "shuffle(lane_index() == 0 ? state.maximum[own] : 0.0F, 0)", "state.maximum[own]"),
    ("states merge into the first heads", "state_kernels.hpp", "a.first_head + block_y()",
     "block_y()"),
    ("stored states are read without gaps", "state_kernels.hpp", "row * a.from.row_stride",
     "row * a.heads * a.from.head_stride"),
    ("own moment does not shift when states merge", "state_kernels.hpp", "moment + sum * own_shift",
     "moment"),
    ("stored moment does not shift when states merge", "state_kernels.hpp", " + more.sum * shift", ""),
    ("own squares are scaled once when states merge", "state_kernels.hpp", "squares * kept * kept",
     "squares * kept"),
    ("stored squares are scaled once when states merge", "state_kernels.hpp",
     "more.squares * added * added", "more.squares * added"),
    ("self logits of stored states are lost", "state_kernels.hpp", "fmaxf(self_logit, more.self_logit)",
     "self_logit"),
    ("stored sums are those of the row before", "state_kernels.hpp",
     "to[1] = static_cast<float>(a.state.sum[at])",
     "to[1] = static_cast<float>(a.state.sum[at > 0 ? at - 1 : 0])"),
    # Pieces that a library computes.
    ("rows before a piece are not rescaled", "piece_kernels.hpp", "before_[c] * kept_", "before_[c]"),
    ("a piece is not weighted", "piece_kernels.hpp", "widened(piece_[c]) * added_",
     "widened(piece_[c])"),
    ("the sum before a piece is not rescaled", "piece_kernels.hpp", "before.sum * kept_ + added_",
     "before.sum + added_"),
    ("a piece has no weight", "piece_kernels.hpp", "before.sum * kept_ + added_",
     "before.sum * kept_"),
    ("a piece has the first rows", "piece_kernels.hpp", "in_piece = row - a.piece.first",
     "in_piece = row"),
    ("rows past a piece are merged", "piece_kernels.hpp", "in_piece < a.piece.rows", "true"),
    ("lse of a piece by rows", "piece_kernels.hpp",
     "static_cast<Index>(block_y()) * a.piece.rows + in_piece", "in_piece * a.heads + block_y()"),
    ("a piece merges into the first rows", "piece_kernels.hpp", "a.first * a.heads + visited",
     "visited"),
    ("lanes read a maximum of a piece that is written", "piece_kernels.hpp",
     "shuffle(reads ? a.before.maximum[at] : 0.0F, 0)", "a.before.maximum[at]"),
    ("states begin without sinks", "piece_kernels.hpp",
     "      auto before = beginning(a.sink);\n      if (a.before.maximum != nullptr) {\n        //",
     "      auto before = beginning(nullptr);\n      if (a.before.maximum != nullptr) {\n        //"),
    ("outputs have no sinks", "piece_kernels.hpp",
     ("      auto before = beginning(a.sink);\n      if (a.before.maximum != nullptr) {\n"
      "        before ="),
     ("      auto before = beginning(nullptr);\n      if (a.before.maximum != nullptr) {\n"
      "        before =")),
    ("outputs are those of the last piece alone", "piece_kernels.hpp",
     "        before = {.maximum = a.before.maximum[at], .sum = a.before.sum[at]};\n", ""),
    ("sums start over", "piece_kernels.hpp", "a.before == nullptr ? 0.0F : a.before[at]", "0.0F"),
    ("a piece of sums has the first numbers", "piece_kernels.hpp", "in_piece = at - a.first",
     "in_piece = at"),
    ("sums past a piece change", "piece_kernels.hpp", "in_piece < a.piece_count", "true"),
    ("squares of large numbers overflow", "piece_kernels.hpp",
     "return largest == 0 ? 0.0F : static_cast<float>(dout[c]) / largest;",
     "return static_cast<float>(dout[c]);"),
    ("the largest number of one lane", "piece_kernels.hpp",
     "        largest = fmaxf(largest, shuffle_xor(largest, mask));\n", ""),
    ("a row of zeros is divided by", "piece_kernels.hpp",
     "largest == 0 ? 0.0F : a.mean[at] / largest / square", "a.mean[at] / largest / square"),
    ("along is not divided by the square", "piece_kernels.hpp", "a.mean[at] / largest / square",
     "a.mean[at] / largest"),
    ("along the next elements", "piece_kernels.hpp", "length * share(c), length * share(c + 1)",
     "length * share(c + 1), length * share(c)"),
    ("not transposed", "piece_kernels.hpp", "a.from[at % a.rows * a.heads + at / a.rows]",
     "a.from[at]"),
    # Heads, scales, state.
    ("products go on from the step before", "forward_kernel.hpp", "      dots = {};\n", ""),
    ("self logits are not scaled", "logits.hpp", "rounded_product(dots.at(r, n, side), scale.at[r])",
     "dots.at(r, n, side)"),
    ("negative scales are not turned", "forward_kernel.hpp",
     "      if (scale.turns) scale.turn_dots(dots, a.scale, own_rows());\n", ""),
    ("wrong key head", "forward_kernel.hpp", "own.head / a.group", "own.head % (a.heads / a.group)"),
    ("no scale", "dot_softmax.hpp", "return scale[r] * log2_e;", "return log2_e;"),
    ("O of earlier steps is lost", "own_rows.hpp", "element * static_cast<double>(kept[r]) +", ""),
    ("scales of the wrong rows", "own_rows.hpp", "table[own.at(r)]", "table[own.at(r ^ 1)]"),
    # Fragments.
    ("weights in the wrong registers", "tensor_products.hpp", "a[m][1] = word(2 * m + 1, j)",
     "a[m][1] = word(2 * m, j + 1)"),
    ("halves of a weight swapped", "fragments.hpp", "pack<T>(sums.at(r, n, 0), sums.at(r, n, 1))",
     "pack<T>(sums.at(r, n, 1), sums.at(r, n, 0))"),
    ("values not transposed", "tensor_products.hpp", "ldmatrix_x4_trans(b, rows.at", "ldmatrix_x4(b, rows.at"),
    ("weights of a tile not transposed", "tensor_products.hpp", "ldmatrix_x4_trans(a, columns.at",
     "ldmatrix_x4(a, columns.at"),
    ("rows of a tile not transposed", "tensor_products.hpp", "ldmatrix_x4_trans(b, rows_of.at",
     "ldmatrix_x4(b, rows_of.at"),
    ("halves of weights of a tile swapped", "tensor_products.hpp", "first_column / 8 + lane / 8 % 2",
     "first_column / 8 + (1 - lane / 8 % 2)"),
    ("keys of the wrong rows", "tensor_products.hpp", "lane / 16 * 8 + lane % 8, lane / 8 % 2",
     "lane / 8 % 2 * 8 + lane % 8, lane / 16"),
    ("no swizzle", "swizzle.hpp", "return span == 8 ? row % 8 : row / 2 % 4;", "return row * 0;"),
    ("swizzle of other rows", "swizzle.hpp", "row / 2 % 4", "row % 4"),
    ("fp32 weights from the wrong lane", "fma_products.hpp", "lane / 4 * 4 + j % 8 / 2",
     "lane / 4 * 4 + j % 4"),
    ("fp32 columns not turned", "fma_products.hpp", "2 * n ^ Layout::turn_of(j) / 2 * 2",
     "2 * n"),
    # Gradients.
    ("NaN where a row sees nothing", "state_kernels.hpp",
     "lse == minus_infinity ? std::numeric_limits<float>::lowest() : lse", "lse"),
    ("lse_low in base e", "state_kernels.hpp", "a.lse_low[at] * log2_e", "a.lse_low[at]"),
    ("means with their sign", "state_kernels.hpp", "to[3] = -a.mean[at]", "to[3] = a.mean[at]"),
    ("differences in base e", "gradients.hpp", "fmaf(z - lse, log2_e, -lse_low)",
     "z - lse - lse_low"),
    ("lse in one term in dq", "gradients.hpp", "return numbers_[r][2];", "return 0 * numbers_[r][2];"),
    ("lse in one term in dk and dv", "column_queries.hpp", "return at(2, n, side);",
     "return 0 * at(2, n, side);"),
    ("no mean in dq", "query_gradient_kernel.hpp", " + queries.minus_mean(r, n, side)", ""),
    ("no mean in dk", "key_gradient_kernel.hpp", " + from.numbers.minus_mean(r, n, side)", ""),
    ("no scale in dk", "key_gradient_kernel.hpp", "*= from.numbers.scale(r, n, side) * dz", "*= dz"),
    ("numbers of one query for all", "column_queries.hpp",
     "      from += Index{rows_at_once * query_numbers} * a.heads;\n", ""),
    ("steps of one query too many", "tile_walk.hpp", "return {row(), seen_end() - begin_};",
     "return {row(), seen_end() - begin_ + 1};"),
    ("queries of the first head of a group", "tile_walk.hpp", "    place.head = head_;\n", ""),
    ("numbers of the next query", "column_queries.hpp", "column_of_lane(n, 0)", "column_of_lane(n, 0) ^ 2"),
    ("dk of one head of a group", "key_gradient_kernel.hpp",
     "own.head * a.group, a.group)", "own.head * a.group, 1)"),
    ("numbers of all stages in one buffer", "key_gradient_kernel.hpp",
     "before * ColumnQueries<shape.columns>::bytes", "0 * before"),
    ("dq of earlier steps is lost", "own_rows.hpp", "element += static_cast<double>(sum)",
     "element = static_cast<double>(sum)"),
    ("dk of earlier steps is lost", "own_rows.hpp", "static_cast<double>(high) + (", "("),
    ("dq with the values for keys", "query_gradient_kernel.hpp", "add_weighted_rows<dim>(sums, dz, keys)",
     "add_weighted_rows<dim>(sums, dz, keys + column_tile)"),
    ("dscale and means of one lane", "state_kernels.hpp",
     "for (int mask = 1; mask < warp_lanes; mask *= 2) sum += shuffle_xor(sum, mask);", ""),
    # All gradients in one kernel.
    ("no barrier before all read gradients of logits", "gradient_kernel.hpp",
     "      sync_threads();\n", ""),
    ("warps share gradients of logits in one place", "gradient_kernel.hpp",
     "(logits, own.first + lane / 4)", "(logits, lane / 4)"),
    ("gradients of logits are shared before they are", "gradient_kernel.hpp",
     "      to_gradients(dz, v, from);\n      leave_out_what_is_not_there(dz, own);\n      auto rounded = pack_sums<T>(dz);\n",
     "      auto rounded = pack_sums<T>(dz);\n      to_gradients(dz, v, from);\n      leave_out_what_is_not_there(dz, own);\n"),
    ("keys past the end of a tile in dq", "gradient_kernel.hpp",
     "      leave_out_what_is_not_there(dz, own);\n", ""),
    ("all gradients: scale in dq", "gradient_kernel.hpp",
     "      share(rounded, own);\n      if (a.one_scale == 0) rounded = scaled_gradients(dz, from.numbers);\n",
     "      if (a.one_scale == 0) rounded = scaled_gradients(dz, from.numbers);\n      share(rounded, own);\n"),
    ("all gradients: no scale in dk", "gradient_kernel.hpp",
     "      if (a.one_scale == 0) rounded = scaled_gradients(dz, from.numbers);\n", ""),
    ("all gradients: one scale twice in dk", "gradient_kernel.hpp", "if (a.one_scale == 0) rounded",
     "rounded"),
    ("all gradients: one scale is left out of dk", "gradient_kernel.hpp",
     "      if (a.one_scale != 0) scale_sums(dk, a.one_scale);\n", ""),
    ("all gradients: no mean", "gradient_kernel.hpp", "= from.numbers.minus_mean(r, n, side)", "= 0"),
    ("all gradients: dv with the queries", "gradient_kernel.hpp", "(dv, dz, from.dout)",
     "(dv, dz, from.q)"),
    ("all gradients: dk with dout", "gradient_kernel.hpp", "(dk, rounded, from.q)",
     "(dk, rounded, from.dout)"),
    ("all gradients: dq with the values", "gradient_kernel.hpp", "first_row(warp_index()), 0,",
     "first_row(warp_index()), own_tile,"),
    ("dq of the first queries of a step", "gradient_kernel.hpp", "OwnSums::first_row(warp_index())", "0"),
    ("dq of the first columns", "gradient_kernel.hpp", "OwnSums::first_column(warp_index())", "0"),
    ("all gradients: one head of a group", "gradient_kernel.hpp", "own.head * a.group, a.group)",
     "own.head * a.group, 1)"),
    ("all gradients: numbers of all stages in one buffer", "gradient_kernel.hpp",
     "before * Numbers::bytes", "0 * before"),
    ("a panel goes where the first ticket's does", "gradient_kernel.hpp",
     "static_cast<int>(load_shared<std::uint32_t>(ticket))", "0"),
    ("a ticket for the first key head", "all_gradients.hpp", "number % key_heads", "0 * number"),
    ("tickets for the last tiles first", "all_gradients.hpp", "number / key_heads]",
     "a.tiles.count - 1 - number / key_heads]"),
    ("sums of steps of the first head", "all_gradients.hpp", "step * a.heads + walk.head()",
     "step * a.heads"),
    ("one count for all warps", "gradient_kernel.hpp", "step * shape.warps + warp_index()",
     "step * shape.warps"),
    ("looks at another count", "gradient_kernel.hpp", "look(a.turns.counts, count_of(step))",
     "look(a.turns.counts, 0)"),
    ("looks where there are no counts", "step_turns.hpp", "if (counts != nullptr) seen_ =", "seen_ ="),
    ("ends turns where any order will do", "step_turns.hpp",
     "    if (counts == nullptr) return;\n", ""),
    ("the last turn of a panel does not end", "gradient_kernel.hpp",
     "      turns.end_last(a.turns.counts, 0);\n", ""),
    # Turns.
    ("blocks are what the hardware starts", "step_turns.hpp", "take_ticket(tickets)",
     "static_cast<std::uint32_t>(block_x())"),
    ("no barrier before the ticket is read", "step_turns.hpp", "  sync_threads();\n", ""),
    ("lanes end a turn before others have added", "step_turns.hpp", "    sync_warp();\n", ""),
    ("no fence before a turn ends", "step_turns.hpp", "    sync_warp();\n    fence_device();\n",
     "    sync_warp();\n"),
    ("a turn ends before the fence", "step_turns.hpp",
     "    fence_device();\n    if (last_ >= 0 && lane_index() == 0) raise(counts + last_);\n",
     "    if (last_ >= 0 && lane_index() == 0) raise(counts + last_);\n    fence_device();\n"),
    ("no fence after waiting for a turn", "step_turns.hpp", "      fence_device();\n", ""),
    ("does not wait for its turn", "step_turns.hpp", "if (waits_) {", "if (false) {"),
    ("a turn too early", "step_turns.hpp", "any(seen_ < static_cast<std::uint32_t>(turns))",
     "any(seen_ + 1 < static_cast<std::uint32_t>(turns))"),
    ("waits for one turn too few", "step_turns.hpp",
     "wait_for(counts + count, static_cast<std::uint32_t>(turns));",
     "wait_for(counts + count, static_cast<std::uint32_t>(turns - 1));"),
    ("a turn ends before it has begun", "step_turns.hpp", "    last_ = count;\n",
     "    if (lane_index() == 0) raise(counts + count);\n"),
    ("a turn ends twice", "step_turns.hpp", "    last_ = -1;\n", ""),
    ("every lane ends a turn", "step_turns.hpp", "if (last_ >= 0 && lane_index() == 0)", "if (last_ >= 0)"),
    # What steps have summed.
    ("sums of steps are read in another order", "step_sums.hpp", "i / 2 % 2 * 8 + lane / 4",
     "i % 2 * 8 + lane / 4"),
    ("sums of the steps of all warps in one place", "step_sums.hpp", "return warp * lane_numbers * warp_lanes + lane * together;",
     "return lane * together;"),
    ("the last row of a step is left out", "step_sums.hpp", "row >= step.rows", "row + 1 >= step.rows"),
    ("the last column of a step is left out", "step_sums.hpp", "column >= a.query_dim",
     "column + 1 >= a.query_dim"),
    ("sums of steps take the place of what was there", "step_sums.hpp", "+= static_cast<double>(sums[i])",
     "= static_cast<double>(sums[i])"),
]


# The same for the kernels of compute capability 9.0.
HOPPER_FAULTS = [
    # Barriers: phases, arrivals and bytes.
    ("barriers are not fenced", "hopper_forward_kernel.hpp", "      barrier_init_fence();\n", ""),
    ("barriers are used before they are made", "hopper_forward_kernel.hpp",
     "    sync_threads();\n", ""),
    ("queries are not waited for", "hopper_forward_kernel.hpp",
     "    queries_ring().wait_until_full(round);\n", ""),
    ("queries come before their buffer is empty", "hopper_forward_kernel.hpp",
     "        queries_ring().wait_until_empty(round);\n", ""),
    ("queries stay when the last scores are there", "hopper_forward_kernel.hpp",
     "      if (walk.done()) queries_ring().release(round);\n", ""),
    ("queries go after every panel", "hopper_forward_kernel.hpp",
     "if (walk.done()) queries_ring()", "queries_ring()"),
    ("queries go when they have come", "hopper_forward_kernel.hpp",
     "    queries_ring().wait_until_full(round);\n",
     ("    queries_ring().wait_until_full(round);\n    queries_ring().release(round);\n"
      "    struct Nothing { void release(const Round&) const {} };\n"
      "    const auto queries_ring = [] { return Nothing{}; };\n")),
    ("one warp empties the buffer of queries", "hopper_forward_kernel.hpp",
     "queries_ring().init(HopperShape::owner_warps)", "queries_ring().init(1)"),
    ("queries of every tile are those of the first phase", "hopper_forward_kernel.hpp",
     "queries_ring().wait_until_full(round)", "queries_ring().wait_until_full(Round{})"),
    ("the buffer of queries is always that of the first phase", "hopper_forward_kernel.hpp",
     "queries_ring().wait_until_empty(round)", "queries_ring().wait_until_empty(Round{})"),
    ("owners begin at the first buffer in every tile", "hopper_forward_kernel.hpp",
     "{ compute_tile(a, round, place); }", "{\n      place = {};\n      compute_tile(a, round, place);\n    }"),
    ("tiles come to the first buffer in every tile", "hopper_forward_kernel.hpp",
     "{ bring_tile(a, round, place); }", "{\n      place = {};\n      bring_tile(a, round, place);\n    }"),
    ("panels count from the start of the block", "hopper_forward_kernel.hpp", "step < panel &&",
     "place.steps % panel != 0 &&"),
    ("keys are not waited for", "hopper_forward_kernel.hpp",
     "        keys_ring().wait_until_full(place);\n", ""),
    ("the first keys of a panel are not waited for", "hopper_forward_kernel.hpp",
     "values to add yet.\n      keys_ring().wait_until_full(place);\n", "values to add yet.\n"),
    ("values are not waited for", "hopper_forward_kernel.hpp",
     "        values_ring().wait_until_full(place.before());\n", ""),
    ("keys come before their buffer is empty", "hopper_forward_kernel.hpp",
     "      keys_ring().wait_until_empty(place);\n", ""),
    ("values come before their buffer is empty", "hopper_forward_kernel.hpp",
     "      values_ring().wait_until_empty(place);\n", ""),
    ("full buffers are waited for in the other phase", "tile_ring.hpp",
     "barrier_wait(full(place.stage()), place.parity())",
     "barrier_wait(full(place.stage()), place.parity() ^ 1)"),
    ("empty buffers are waited for in the other phase", "tile_ring.hpp",
     "place.parity() ^ 1)", "place.parity())"),
    ("the phase stays that of the first round", "tile_ring.hpp", "steps / stages % 2",
     "0 * steps"),
    ("one warp empties a buffer", "tile_ring.hpp", "barrier_init(empty(stage), readers)",
     "barrier_init(empty(stage), 1)"),
    ("one warpgroup empties a buffer", "tile_ring.hpp", "barrier_init(empty(stage), readers)",
     "barrier_init(empty(stage), readers / 2)"),
    ("all lanes empty a buffer", "tile_ring.hpp", "if (lane_index() == 0) barrier_arrive(empty",
     "barrier_arrive(empty"),
    ("all lanes fill a buffer", "tile_ring.hpp", "if (lane_index() == 0) barrier_arrive(full",
     "barrier_arrive(full"),
    ("a buffer is full before all lanes have filled it", "tile_ring.hpp",
     "    sync_warp();\n    if (lane_index() == 0) barrier_arrive(full",
     "    if (lane_index() == 0) barrier_arrive(full"),
    ("bytes of one slab of keys", "hopper_forward_kernel.hpp",
     "arguments.k, key_head, walk.row(), tile_bytes,",
     "arguments.k, key_head, walk.row(), columns * slab_row_bytes / 2,"),
    ("bytes of lines that no box has", "hopper_forward_kernel.hpp", "box_rows * row_bytes",
     "HopperShape::rows * row_bytes"),
    # The order of tiles.
    ("work is dealt out and not back", "work_order.hpp",
     "(round % 2 == 0 ? block : blocks - 1 - block)", "block"),
    ("the longest tiles come last", "work_order.hpp", "static_cast<unsigned>(item) /",
     "static_cast<unsigned>(count - 1 - item) /"),
    ("a round leaves out an item", "work_order.hpp", "return round * blocks +",
     "return round * (blocks + 1) +"),
    ("a round does an item again", "work_order.hpp", "blocks - 1 - block", "blocks - 2 - block"),
    ("the last item is left out", "work_order.hpp", "item(round, block) < count",
     "item(round, block) + 1 < count"),
    ("an item past the last one", "work_order.hpp", "item(round, block) < count",
     "item(round, block) <= count"),
    ("every item is of the first head", "work_order.hpp", "return item - tile(item) * heads;",
     "return 0 * item;"),
    ("heads that share a tile come one by one", "tile_rounds.hpp", "order.head(item) * shared",
     "order.head(item)"),
    ("all blocks do the work of the first", "tile_rounds.hpp",
     "order.item(static_cast<int>(round.steps), block_x())", "order.item(static_cast<int>(round.steps), 0)"),
    ("a block has one round", "tile_rounds.hpp", "++round.steps) {\n    visit(round);\n",
     "++round.steps) {\n    if (round.steps == 0) visit(round);\n"),
    ("one block fewer than work is dealt to", "hopper_dispatch.hpp",
     "HopperForwardKernel<T, dim, statistics>>(with_maps.order.blocks,",
     "HopperForwardKernel<T, dim, statistics>>(with_maps.order.blocks - 1,"),
    # Tiles.
    ("slabs over one another", "tile_slabs.hpp", "slab * rows * slab_row_bytes), map",
     "0 * slab), map"),
    ("the first slab for all", "tile_slabs.hpp", ".element = slab * slab_columns",
     ".element = 0"),
    ("tiles of the first head", "tile_slabs.hpp", ".head = head,", ".head = 0,"),
    ("keys of the query's head", "hopper_forward_kernel.hpp", "own.head / a.group", "own.head"),
    ("values for keys", "hopper_forward_kernel.hpp", "bring<columns>(keys_at(place), arguments.k",
     "bring<columns>(keys_at(place), arguments.v"),
    # Products and their registers.
    ("no fence before scores", "hopper_forward_kernel.hpp",
     "        wgmma_fence(dots.blocks[0]);\n", ""),
    ("no fence before the first scores of a panel", "hopper_forward_kernel.hpp",
     "\n      wgmma_fence(dots.blocks[0]);\n", "\n"),
    ("no fence before the last values", "hopper_forward_kernel.hpp",
     "\n      wgmma_fence(sums.blocks[0], weights);\n", "\n"),
    ("scores are in no group of their own", "warpgroup_products.hpp",
     "element), element > 0);\n  }\n  wgmma_commit();\n", "element), element > 0);\n  }\n"),
    ("values are in no group", "warpgroup_products.hpp", "product_terms), true);\n  }\n  wgmma_commit();\n",
     "product_terms), true);\n  }\n"),
    ("scores are not waited for", "hopper_forward_kernel.hpp", "wgmma_wait<1>(", "wgmma_wait<2>("),
    ("values are not waited for before they are rescaled", "hopper_forward_kernel.hpp",
     "        wgmma_wait<0>(sums.blocks[0], weights);\n",
     "        wgmma_wait<1>(sums.blocks[0], weights);\n"),
    ("values go before they are read", "hopper_forward_kernel.hpp",
     "        wgmma_wait<0>(sums.blocks[0], weights);\n        values_ring().release(place.before());\n",
     "        values_ring().release(place.before());\n        wgmma_wait<0>(sums.blocks[0], weights);\n"),
    ("weights are packed while they are read", "hopper_forward_kernel.hpp",
     "        const bool rises = softmax(factors);\n",
     "        const bool rises = softmax(factors);\n        pack_factors<T>(weights, dots);\n"),
    ("scores add up", "warpgroup_products.hpp", "element > 0);", "true);"),
    ("both warpgroups have the first queries", "warpgroup_products.hpp",
     "warpgroup * product_rows", "0 * warpgroup"),
    ("halves of a weight swapped here", "warpgroup_products.hpp",
     "from[i % 2 * 2], from[i % 2 * 2 + 1]", "from[i % 2 * 2 + 1], from[i % 2 * 2]"),
    # Descriptors.
    ("start in units of 32 bytes", "matrix_descriptor.hpp", "(shared_address(tile) >> 4)", "(shared_address(tile) >> 5)"),
    ("the swizzle of 64 bytes", "matrix_descriptor.hpp", "| 1U << 30", "| 2U << 30"),
    ("leading and stride swapped", "matrix_descriptor.hpp",
     "tile_rows * slab_row_bytes, 8 * slab_row_bytes", "8 * slab_row_bytes, tile_rows * slab_row_bytes"),
    ("stride of 4 rows", "matrix_descriptor.hpp", "16, 8 * slab_row_bytes", "16, 4 * slab_row_bytes"),
    ("elements of one byte", "matrix_descriptor.hpp", "element % slab_columns * 2",
     "element % slab_columns"),
    ("all terms of the first slab", "matrix_descriptor.hpp",
     "element / slab_columns * tile_rows * slab_row_bytes", "0 * tile_rows * slab_row_bytes"),
    # Registers and rows past the end.
    ("nobody gives registers", "hopper_forward_kernel.hpp",
     "      give_registers<HopperShape::bringing_registers>();\n", ""),
    ("values past the end are what they are", "tile_slabs.hpp",
     "  if (count == rows) return;\n", "  if (count >= 0) return;\n"),
    ("zeros are not fenced", "tile_slabs.hpp", "  async_proxy_fence();\n", ""),
    ("zeros of others are not waited for", "tile_slabs.hpp",
     "  named_barrier_sync(named_barrier_of_owners, owner_threads);\n", ""),
    ("the bringer is waited for, too", "tile_slabs.hpp",
     "named_barrier_sync(named_barrier_of_owners, owner_threads)",
     "named_barrier_sync(named_barrier_of_owners, HopperShape::threads)"),
    # Softmax.
    ("values are not rescaled", "hopper_forward_kernel.hpp",
     "        if (rises) scale_rows(sums, factors);\n", ""),
    ("a rise is not scaled", "dot_softmax.hpp", "(old - largest[r]) * scale.factor(r)",
     "(old - largest[r])"),
    ("moments stay in base 2", "dot_softmax.hpp", "ln_2 * states.moment[r]", "states.moment[r]"),
    ("what a division left is lost", "dot_softmax.hpp", "exp_approximate(rest)",
     "exp_approximate(0 * rest)"),
    ("negative scales are positive", "dot_softmax.hpp", "number < 0 ? -1.0F : 0.0F",
     "number < 0 ? 1.0F : 0.0F"),
    ("products of a scale of 0 count", "dot_softmax.hpp", "number < 0 ? -1.0F : 0.0F", "-1.0F"),
    ("a panel starts from the last one's logits", "dot_softmax.hpp",
     "  for (int r = 0; r < rows; ++r) states.maximum[r] = dots[r];\n", ""),
    # Gradients: barriers, bytes and buffers.
    ("barriers of gradients are not fenced", "hopper_gradient_block.hpp", "      barrier_init_fence();\n", ""),
    ("barriers of gradients are used before they are made", "hopper_gradient_block.hpp",
     "    sync_threads();\n", ""),
    ("nobody gives registers to gradients", "hopper_gradient_block.hpp",
     "      give_registers<HopperShape::bringing_registers>();\n", ""),
    ("a step is full without its numbers", "hopper_gradient_block.hpp", "numbers > 0 ? 1 + warp_lanes : 1", "1"),
    ("bytes of one owned tile", "hopper_gradient_block.hpp", "barrier_arrive(owned_here, 2 * owned_bytes)",
     "barrier_arrive(owned_here, owned_bytes)"),
    ("bytes of one tile of a step", "hopper_gradient_block.hpp", "barrier_arrive(full, 2 * tile_bytes)",
     "barrier_arrive(full, tile_bytes)"),
    ("owned tiles over one another", "hopper_gradient_block.hpp",
     "static constexpr SharedOffset second_owned = owned_bytes;",
     "static constexpr SharedOffset second_owned = 0;"),
    ("steps over one another", "hopper_gradient_block.hpp",
     "static_cast<SharedOffset>(place.stage()) * 2 * tile_bytes", "0 * tile_bytes"),
    ("numbers of steps over one another", "hopper_gradient_block.hpp",
     "static_cast<SharedOffset>(place.stage()) * number_bytes", "0 * number_bytes"),
    ("queries of gradients are not waited for", "hopper_query_gradient_kernel.hpp",
     "    Block::owned_ring().wait_until_full(round);\n", ""),
    ("dq: queries come before their buffer is empty", "hopper_query_gradient_kernel.hpp",
     "        Block::owned_ring().wait_until_empty(round);\n", ""),
    ("dq: queries stay when the last logits are there", "hopper_query_gradient_kernel.hpp",
     "      if (walk.done()) Block::owned_ring().release(round);\n", ""),
    ("dq: queries go after every panel", "hopper_query_gradient_kernel.hpp",
     "if (walk.done()) Block::owned_ring()", "Block::owned_ring()"),
    ("dq: queries go when they have come", "hopper_query_gradient_kernel.hpp",
     "    Block::owned_ring().wait_until_full(round);\n    while (!walk.done()) {\n",
     ("    Block::owned_ring().wait_until_full(round);\n    Block::owned_ring().release(round);\n"
      "    while (!walk.done()) {\n      struct Nothing { void release(const Round&) const {} };\n"
      "      struct Block : HopperQueryGradientKernel::Block {\n"
      "        static Nothing owned_ring() { return {}; }\n      };\n")),
    ("dq: one warp empties the buffer of queries", "hopper_gradient_block.hpp",
     "owned_ring().init(HopperShape::owner_warps)", "owned_ring().init(1)"),
    ("dq: queries of every tile are those of the first phase", "hopper_query_gradient_kernel.hpp",
     "owned_ring().wait_until_full(round)", "owned_ring().wait_until_full(Round{})"),
    ("dq: owners begin at the first buffer in every tile", "hopper_query_gradient_kernel.hpp",
     "{ compute_tile(a, round, place); }", "{\n      place = {};\n      compute_tile(a, round, place);\n    }"),
    ("dq: tiles come to the first buffer in every tile", "hopper_query_gradient_kernel.hpp",
     "{ bring_tile(a, round, place); }", "{\n      place = {};\n      bring_tile(a, round, place);\n    }"),
    ("dq: panels count from the start of the block", "hopper_query_gradient_kernel.hpp",
     "int step = 0;  // of a panel", "int step = static_cast<int>(place.steps) % Block::panel;"),
    ("dq: one block fewer than work is dealt to", "hopper_dispatch.hpp",
     "HopperQueryGradientKernel<T, dim>>(with_maps.order.blocks,",
     "HopperQueryGradientKernel<T, dim>>(with_maps.order.blocks - 1,"),
    ("keys of gradients are not waited for", "hopper_key_gradient_kernel.hpp",
     "    barrier_wait(Block::owned_here, 0);\n", ""),
    ("dq: a step is not waited for", "hopper_query_gradient_kernel.hpp",
     "        Block::ring().wait_until_full(place);\n", ""),
    ("dk: a step is not waited for", "hopper_key_gradient_kernel.hpp",
     "        Block::ring().wait_until_full(place);\n", ""),
    ("dq: tiles come before their buffers are empty", "hopper_query_gradient_kernel.hpp",
     "      Block::ring().wait_until_empty(place);\n", ""),
    ("dk: tiles come before their buffers are empty", "hopper_gradient_block.hpp",
     "      ring().wait_until_empty(place);\n      if (brings) {\n", "      if (brings) {\n"),
    ("dk: numbers come before their buffers are empty", "hopper_gradient_block.hpp",
     "      ring().wait_until_empty(place);\n      const ColumnQueries", "      const ColumnQueries"),
    ("dq: the last step of a panel stays full", "hopper_query_gradient_kernel.hpp",
     "      Block::ring().release(place.before());\n      move", "      move"),
    ("dk: the last step of a panel stays full", "hopper_key_gradient_kernel.hpp",
     "      Block::ring().release(place.before());\n      if", "      if"),
    ("nothing says that numbers are there", "hopper_gradient_block.hpp",
     "      barrier_arrive_after_copies(ring().full(place.stage()));\n", ""),
    ("one lane says that numbers are there", "hopper_gradient_block.hpp",
     "      barrier_arrive_after_copies(",
     "      if (lane_index() == 0) for (int i = 0; i < 32; ++i) barrier_arrive_after_copies("),
    ("numbers of the first head", "column_queries.hpp", "* a.heads + step.head", "* a.heads"),
    # Gradients: products and their registers.
    ("dq: no fence before products", "hopper_query_gradient_kernel.hpp",
     "        wgmma_fence(p.blocks[0], dp.blocks[0]);\n", ""),
    ("dq: no fence before sums", "hopper_query_gradient_kernel.hpp",
     "        wgmma_fence(sums.blocks[0], dz);\n", ""),
    ("dk: no fence before products", "hopper_key_gradient_kernel.hpp",
     "        wgmma_fence(p.blocks[0], dp.blocks[0]);\n", ""),
    ("dv: no fence before sums", "hopper_key_gradient_kernel.hpp",
     "          wgmma_fence(dv.blocks[0], weights);\n", ""),
    ("dk: no fence before sums", "hopper_key_gradient_kernel.hpp",
     "          wgmma_fence(dk.blocks[0], dz);\n", ""),
    ("dq: logits are not waited for", "hopper_query_gradient_kernel.hpp", "wgmma_wait<1>(", "wgmma_wait<2>("),
    ("dq: <dout, v> is not waited for", "hopper_query_gradient_kernel.hpp", "wgmma_wait<0>(dp",
     "wgmma_wait<1>(dp"),
    ("dq: sums move while they are summed", "hopper_query_gradient_kernel.hpp",
     "      wgmma_wait<0>(sums.blocks[0], dz);\n", ""),
    ("dk: logits are not waited for", "hopper_key_gradient_kernel.hpp",
     "wgmma_wait<1>(p.blocks[0], dk", "wgmma_wait<2>(p.blocks[0], dk"),
    ("dv alone: logits are not waited for", "hopper_key_gradient_kernel.hpp",
     "wgmma_wait<0>(p.blocks[0], dv", "wgmma_wait<1>(p.blocks[0], dv"),
    ("dk: <v, dout> is not waited for", "hopper_key_gradient_kernel.hpp",
     "wgmma_wait<of_values ? 1 : 0>", "wgmma_wait<of_values ? 2 : 1>"),
    ("dv: weights are packed while they are read", "hopper_key_gradient_kernel.hpp",
     "wgmma_wait<1>(dv", "wgmma_wait<2>(dv"),
    ("dk: sums move while they are summed", "hopper_key_gradient_kernel.hpp",
     "      wgmma_wait<0>(dk.blocks[0], dz, dv.blocks[0], weights);\n", ""),
    ("dq: a buffer goes while it is read", "hopper_query_gradient_kernel.hpp",
     "Block::ring().release(place.before());\n        to", "Block::ring().release(place);\n        to"),
    ("dk: a buffer goes while it is read", "hopper_key_gradient_kernel.hpp",
     "Block::ring().release(place.before());\n        to", "Block::ring().release(place);\n        to"),
    # Gradients: what is multiplied.
    ("dq: values for keys", "hopper_query_gradient_kernel.hpp", "(sums, dz, keys)", "(sums, dz, values)"),
    ("dq: queries for dout", "hopper_query_gradient_kernel.hpp", "(dp, Block::second_owned + owned, values)",
     "(dp, owned, values)"),
    ("dq: no mean", "hopper_query_gradient_kernel.hpp", " + queries.minus_mean(r, n, side)", ""),
    ("dq: values past the end are what they are", "hopper_query_gradient_kernel.hpp",
     "(walk.count(), keys, values)", "(walk.count(), keys)"),
    ("dq: keys past the end are what they are", "hopper_query_gradient_kernel.hpp",
     "(walk.count(), keys, values)", "(walk.count(), values)"),
    ("dk: keys for values", "hopper_key_gradient_kernel.hpp", "(dp, Block::second_owned + owned, dout)",
     "(dp, owned, dout)"),
    ("dk: dout for queries", "hopper_key_gradient_kernel.hpp", "(dk, dz, q)", "(dk, dz, dout)"),
    ("dk: no mean", "hopper_key_gradient_kernel.hpp", " + queries.minus_mean(r, n, side)", ""),
    ("dk: no scale", "hopper_key_gradient_kernel.hpp", "queries.scale(r, n, side) * gradient", "gradient"),
    ("dk: one head of a group", "hopper_key_gradient_kernel.hpp", "own.head * a.group, a.group}",
     "own.head * a.group, 1}"),
    ("dk: dout past the end is what it is", "hopper_key_gradient_kernel.hpp",
     "(walk.count(), q, dout)", "(walk.count(), q)"),
    ("dk: queries past the end are what they are", "hopper_key_gradient_kernel.hpp",
     "(walk.count(), q, dout)", "(walk.count(), dout)"),
    # All gradients in one kernel: what owners write for one another and for those that add.
    ("all: keys are not waited for", "hopper_gradient_kernel.hpp", "    barrier_wait(Block::owned_here, 0);\n", ""),
    ("all: a step is not waited for", "hopper_gradient_kernel.hpp", "        Block::ring().wait_until_full(place);\n", ""),
    ("all: gradients of logits are not fenced", "hopper_gradient_kernel.hpp",
     "        async_proxy_fence();\n", ""),
    ("all: gradients of logits of the other owner are not waited for", "hopper_gradient_kernel.hpp",
     "        named_barrier_sync(named_barrier_of_owners, HopperShape::owner_warps * warp_lanes);\n", ""),
    ("all: gradients of logits of all steps in one place", "hopper_gradient_kernel.hpp", "place.steps % 2 * logit_bytes", "0 * logit_bytes"),
    ("all: gradients of logits of the wrong rows", "hopper_gradient_kernel.hpp", "store_shared(at + 8 * slab_row_bytes, dz[n / 2][n % 2 * 2 + 1])",
     "store_shared(at + 8 * slab_row_bytes, dz[n / 2][n % 2 * 2])"),
    ("all: chunks of gradients of logits lie still", "hopper_gradient_kernel.hpp", "first ^ static_cast", "first + static_cast"),
    ("all: gradients of logits of the wrong columns", "hopper_gradient_kernel.hpp", "(lane % 4 * 4);", "(lane % 4 * 4 ^ 4);"),
    ("all: sums are not fenced", "hopper_gradient_kernel.hpp",
     "    async_proxy_fence();\n    sums_ring().hand_over(place);\n", "    sums_ring().hand_over(place);\n"),
    ("all: sums are written over those that are added", "hopper_gradient_kernel.hpp",
     "    sums_ring().wait_until_empty(place);\n    ANNULUS_UNROLL\n", "    ANNULUS_UNROLL\n"),
    ("all: sums are not handed over", "hopper_gradient_kernel.hpp",
     "    async_proxy_fence();\n    sums_ring().hand_over(place);\n", "    async_proxy_fence();\n"),
    ("all: nobody says whose turn it is", "hopper_gradient_kernel.hpp",
     "    store_turn(turn, place);\n", ""),
    ("all: sums of all steps in one place", "hopper_gradient_kernel.hpp", "(place.stage() * sum_bytes)", "(0 * place.stage() * sum_bytes)"),
    ("all: turns of all steps in one place", "hopper_gradient_kernel.hpp", "(16 * place.stage())", "(0 * place.stage())"),
    ("all: one warp hands over the sums of all", "hopper_gradient_kernel.hpp", "init(1, sum_warps)", "init(1, 1)"),
    ("all: both owners have sums of every step", "hopper_gradient_kernel.hpp", "    return sum_warps == HopperShape::owner_warps ||\n",
     "    return true ||\n"),
    ("all: nobody says that steps are over", "hopper_gradient_kernel.hpp", "if (has_sums(owner, place)) hand_over_nothing({place.steps});", ""),
    ("all: one warp that adds is told that steps are over", "hopper_gradient_kernel.hpp", "i < adders; ++i, ++place.steps", "i < 1; ++i, ++place.steps"),
    ("all: the last turn is written over", "hopper_gradient_kernel.hpp",
     "    sums_ring().wait_until_empty(place);\n    store_turn({.step", "    store_turn({.step"),
    ("all: all say that steps are over", "hopper_gradient_kernel.hpp", "if (has_sums(owner, place)) hand_over_nothing", "hand_over_nothing"),
    ("all: that steps are over is said of the last step", "hopper_gradient_kernel.hpp", "hand_over_nothing({place.steps})", "hand_over_nothing({place.steps - 1})"),
    ("all: always the first buffer is empty", "hopper_gradient_kernel.hpp", "barrier_arrive(ring.empty(place.stage()))", "barrier_arrive(ring.empty(0))"),
    # Turns.
    ("all: sums are added before they are there", "hopper_gradient_kernel.hpp", "      ring.wait_until_full(place);\n", ""),
    ("all: does not wait for its turn", "hopper_gradient_kernel.hpp",
     "      if (in_order) wait_for(count, static_cast<std::uint32_t>(turn.turns));\n", ""),
    ("all: waits for its turn where any order will do", "hopper_gradient_kernel.hpp",
     "if (in_order) wait_for(", "wait_for("),
    ("all: counts where any order will do", "hopper_gradient_kernel.hpp",
     "const bool in_order = a.turns.counts != nullptr;", "const bool in_order = true;"),
    ("all: waits for one turn too few", "hopper_gradient_kernel.hpp", "static_cast<std::uint32_t>(turn.turns))",
     "static_cast<std::uint32_t>(std::max(1, turn.turns) - 1))"),
    ("all: no fence after waiting for a turn", "hopper_gradient_kernel.hpp",
     "before the count.\n        if (in_order) fence_device();\n", "before the count.\n"),
    ("all: no fence before what is added by itself", "hopper_gradient_kernel.hpp", "        if (in_order) async_proxy_fence_device();\n", ""),
    ("all: what is added is in no group", "hopper_gradient_kernel.hpp", "        add_commit();\n", ""),
    ("all: sums go before they have been read", "hopper_gradient_kernel.hpp",
     "        add_wait_read<0>();\n        barrier_arrive(ring.empty(place.stage()));\n",
     "        barrier_arrive(ring.empty(place.stage()));\n        add_wait_read<0>();\n"),
    ("all: sums stay", "hopper_gradient_kernel.hpp", "        barrier_arrive(ring.empty(place.stage()));\n", ""),
    ("all: a turn ends when sums have been read", "hopper_gradient_kernel.hpp",
     "          add_wait<0>();\n          fence_device();\n          raise(count);\n",
     "          fence_device();\n          raise(count);\n          add_wait<0>();\n"),
    ("all: the last that is added in any order is not waited for", "hopper_gradient_kernel.hpp",
     "    if (lane_index() == 0) add_wait<0>();\n", ""),
    ("all: what is added is not waited for", "hopper_gradient_kernel.hpp", "        add_wait<0>();\n", ""),
    ("all: no fence before a turn ends", "hopper_gradient_kernel.hpp",
     "          add_wait<0>();\n          fence_device();\n", "          add_wait<0>();\n"),
    ("all: a turn does not end", "hopper_gradient_kernel.hpp", "        raise(count);\n", ""),
    ("all: one count for all steps", "hopper_gradient_kernel.hpp", "? a.turns.counts + turn.step :", "? a.turns.counts :"),
    ("all: sums of one owner are added", "hopper_gradient_kernel.hpp", "                    sum_bytes);", "                    sum_bytes / 2);"),
    ("all: both warps begin at the first step", "hopper_gradient_kernel.hpp", "SumsPlace place{first}", "SumsPlace place{0 * first}"),
    ("all: both warps take every step", "hopper_gradient_kernel.hpp", "place.steps += adders", "++place.steps"),
    # Products and their registers.
    ("all: no fence before products", "hopper_gradient_kernel.hpp", "        wgmma_fence(p.blocks[0], dp.blocks[0]);\n", ""),
    ("all: no fence before sums of values", "hopper_gradient_kernel.hpp", "        wgmma_fence(dv.blocks[0], weights);\n", ""),
    ("all: no fence before sums of keys", "hopper_gradient_kernel.hpp", "        wgmma_fence(dk.blocks[0], dz);\n", ""),
    ("all: no fence before sums of queries", "hopper_gradient_kernel.hpp", "        wgmma_fence(dq.blocks[0]);\n", ""),
    ("all: logits are not waited for", "hopper_gradient_kernel.hpp", "wgmma_wait<1>(p.blocks[0])", "wgmma_wait<2>(p.blocks[0])"),
    ("all: <v, dout> is not waited for", "hopper_gradient_kernel.hpp", "wgmma_wait<1>(dp.blocks[0])", "wgmma_wait<2>(dp.blocks[0])"),
    ("all: sums of queries are not waited for", "hopper_gradient_kernel.hpp", "wgmma_wait<0>(dq", "wgmma_wait<1>(dq"),
    ("all: a buffer goes while it is read", "hopper_gradient_kernel.hpp",
     "          wgmma_wait<0>(dq.blocks[0], dk.blocks[0], dz);\n          const auto turn",
     "          Block::ring().release(place);\n          wgmma_wait<0>(dq.blocks[0], dk.blocks[0], dz);\n          const auto turn"),
    ("all: a buffer goes while keys are summed from it", "hopper_gradient_kernel.hpp",
     "          wgmma_wait<0>(dk.blocks[0], dz);\n          Block::ring().release(place);\n",
     "          Block::ring().release(place);\n          wgmma_wait<0>(dk.blocks[0], dz);\n"),
    # What is multiplied.
    ("all: queries past the end are what they are", "hopper_gradient_kernel.hpp", "(step.count(), q, dout)", "(step.count(), dout)"),
    ("all: dout past the end is what it is", "hopper_gradient_kernel.hpp", "(step.count(), q, dout)", "(step.count(), q)"),
    ("all: keys past the end are what they are", "hopper_gradient_kernel.hpp", "0, Block::second_owned);\n    while",
     "Block::second_owned);\n    while"),
    ("all: values past the end are what they are", "hopper_gradient_kernel.hpp", "0, Block::second_owned);\n    while", "0);\n    while"),
    ("all: keys for values", "hopper_gradient_kernel.hpp", "(dp, Block::second_owned + owned, dout)", "(dp, owned, dout)"),
    ("all: dout for queries", "hopper_gradient_kernel.hpp", "(dk, dz, q)", "(dk, dz, dout)"),
    ("all: queries for dout", "hopper_gradient_kernel.hpp", "(dv, weights, dout)", "(dv, weights, q)"),
    ("all: dq with the values", "hopper_gradient_kernel.hpp", "logits_of(place), summed);", "logits_of(place), Block::second_owned + summed);"),
    ("all: dq of the first columns", "hopper_gradient_kernel.hpp", "logits_of(place), summed);", "logits_of(place), 0 * summed);"),
    ("all: no mean", "hopper_gradient_kernel.hpp", " + queries.minus_mean(r, n, side)", ""),
    ("all: no scale in dk", "hopper_gradient_kernel.hpp", "        if constexpr (!one_scale) scale_factors(dz, p, queries);\n", ""),
    ("all: scale in dq", "hopper_gradient_kernel.hpp",
     "        share(dz, logits_of(place));\n        if constexpr (!one_scale) scale_factors(dz, p, queries);\n",
     "        if constexpr (!one_scale) scale_factors(dz, p, queries);\n        share(dz, logits_of(place));\n"),
    ("all: one scale is left out of dk", "hopper_gradient_kernel.hpp", "      if constexpr (one_scale) scale_sums(dk, a.one_scale);\n", ""),
    ("all: scales that differ are one", "hopper_dispatch.hpp", "if (arguments.one_scale != 0) {", "if (true) {"),
    ("all: one head of a group", "hopper_gradient_kernel.hpp", "own.head * a.group, a.group}", "own.head * a.group, 1}"),
    # Notes.
    ("notes of all stages in one place", "hopper_gradient_kernel.hpp", "32 * place.stage()", "0 * place.stage()"),
    ("whole steps of tiles that are not", "step_note.hpp", "walk.whole() && work.rows == tile_rows", "walk.whole()"),
    ("rows past the end of a tile see queries", "step_note.hpp",
     "row < tile_rows ? visit.visible(row) : RowRange{}", "visit.visible(row)"),
    ("the step after the last one", "tile_walk.hpp", "return head_ + 1 == end_ && TileWalk",
     "return head_ == end_ && TileWalk"),
    ("every last step of a head is the last", "tile_walk.hpp", "return head_ + 1 == end_ && TileWalk", "return TileWalk"),
    ("every last step of a visit is the last", "tile_walk.hpp", "return index_ + 1 == end_ && begin_ + columns",
     "return begin_ + columns"),
    ("turns of the first step of a visit", "step_note.hpp", ".step = step_of(a, walk)",
     ".step = walk.visit().step * a.heads + walk.head()"),
]

def run(command, timeout):
    """Exit code and output; None where it took too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                              check=False)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr


class Builder:
    """Compiles what includes kernels, and links it with the rest of the tests."""

    WITH_KERNELS = ("cuda/model_launcher.cpp", "cuda/pipeline.cpp", "cuda/turns.cpp")
    WITH_HOPPER_KERNELS = ("cuda/hopper_model_launcher.cpp", "cuda/hopper.cpp")

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder

    def build(self, includes, sources):
        """The tests with the kernels that `includes` leads to, or None and what the compiler says."""
        others = [o for o in self.options.object if not any(name in o for name in sources)]
        source = self.options.source
        flags = [f"-I{path}"
                 for path in (includes, source / "src", source / "tests", source / "include")]
        made = []
        for name in sources:
            made.append(str(self.folder / f"{Path(name).stem}.o"))
            code, text = run([self.options.compiler, "-std=c++20", "-O1", *flags, "-c",
                              str(source / "tests/kernels" / name), "-o", made[-1]], 600)
            if code != 0:
                return None, text
        libraries = [f"-L{self.options.library_path}", f"-Wl,-rpath,{self.options.library_path}",
                     *[f"-lannulus_{floor}" for floor in ("kernels", "device", "plan", "attention", "base")],
                     "-lgmock", "-lgtest", "-lgtest_main", "-pthread"]
        tests = str(self.folder / "tests")
        code, text = run([self.options.compiler, *made, *others, "-o", tests, *libraries], 600)
        return (tests, text) if code == 0 else (None, text)


def first_failure(output):
    """The name of the first test that failed, or what else ended the run."""
    for line in output.splitlines():
        if line.startswith("[  FAILED  ]"):
            return line.split("]")[1].split("(")[0].strip()
    return "crash"


def mutate(source, folder, fault):
    """A folder to include from, with the fault in a copy of the kernels."""
    _, name, text, instead = fault
    kernels = folder / "kernels" / "cuda"
    shutil.rmtree(folder / "kernels", ignore_errors=True)
    shutil.copytree(source / "src/kernels/cuda", kernels)
    mutant = next(kernels.rglob(name))
    content = mutant.read_text()
    if content.count(text) != 1:
        sys.exit(f"{name} has {content.count(text)} times what one fault replaces: {text!r}")
    mutant.write_text(content.replace(text, instead))
    return folder


def check(builder, source, folder, fault):
    """What the tests say of a fault, and whether they pass."""
    name, file, _, _ = fault
    includes = source / "src" if file is None else mutate(source, folder, fault)
    hopper = fault in HOPPER_FAULTS
    sources = (builder.WITH_HOPPER_KERNELS if hopper else builder.WITH_KERNELS) if file else (
        *builder.WITH_KERNELS, *builder.WITH_HOPPER_KERNELS)
    tests, text = builder.build(includes, sources)
    if tests is None:
        sys.exit(f"'{name}' does not compile:\n{text}")
    # What only the backward pass has is looked for there.
    wanted = "Hopper*:CudaTurns.Keys*" if hopper else "CudaTurns.*:BackwardKernel.*:*_backward:CudaOrder.*" if file and "gradient" in file else (
        "CudaTurns.*:CudaPipeline.*:CudaRows.*:CudaMerge.*:CudaLongSums.*:CudaOrder.*:EitherPass.*:ForwardKernel.*:BackwardKernel.*")
    code, output = run([tests, f"--gtest_filter={wanted}", "--gtest_fail_fast"], 300)
    if code is None:
        return "caught: does not end", False
    if code == 0:
        return "passes", True
    return f"caught by {first_failure(output)}", False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--source", required=True, type=Path)
    parser.add_argument("--library-path", required=True)
    parser.add_argument("--object", required=True, nargs="+")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    options = parser.parse_args()
    faults = [fault for fault in FAULTS + HOPPER_FAULTS if options.only in fault[0]]
    width = max(len(fault[0]) for fault in faults)
    survivors = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builder = Builder(options, folder)
        # Without a fault the tests pass, or nothing that follows means anything.
        for fault in [("none", None, None, None), *faults]:
            start = time.monotonic()
            verdict, passes = check(builder, options.source, folder, fault)
            print(f"{fault[0]:{width}}  {verdict}  ({time.monotonic() - start:.0f} s)", flush=True)
            if fault[1] is None and not passes:
                return 1
            survivors += fault[1] is not None and passes
    print(f"{len(faults)} faults, {survivors} not caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
