#include "kernels/cudnn/pieces.hpp"

#include <algorithm>

#include "annulus/base/error.hpp"

namespace annulus::kernels::gpu {

std::vector<Piece> pieces_of(const Block& block) {
  const Index queries = block.queries.count;
  const Index all_keys = block.keys.count;
  if (queries == 0 || all_keys == 0) return {};
  // Ends of what queries see never fall from one to the next, so the last says it of all.
  if (block.visible(queries - 1).begin > 0) {
    throw InputError(
        "backend cudnn: the mask hides keys on the left of a query; expected --mask full or "
        "causal, "
        "or --backend cuda");
  }
  const auto end_of = [&](Index i) { return std::max<Index>(block.visible(i).end, 0); };
  Index first = 0;
  Index past = queries;
  while (first < past) {  // the first query that sees a key
    const Index middle = first + (past - first) / 2;
    if (end_of(middle) > 0) {
      past = middle;
    } else {
      first = middle + 1;
    }
  }
  if (first == queries) return {};
  const Index rows = queries - first;
  const Index query = block.queries.row + first;
  const Index key = block.keys.row;
  const Index end = end_of(first);
  if (end == end_of(queries - 1)) {
    return {{.query = query, .queries = rows, .key = key, .keys = end}};
  }
  if (block.queries.stride != block.keys.stride) {
    throw InputError(
        "backend cudnn: a mask between queries and keys of different strides; expected the same "
        "--key-sharding as --sharding, or --backend cuda");
  }
  // From here on each query sees one key more than the one before it.
  std::vector<Piece> pieces;
  const Index common = end - 1;
  if (common > 0) pieces.push_back({.query = query, .queries = rows, .key = key, .keys = common});
  const Index left = all_keys - common;
  const Index side = std::min(rows, left);
  pieces.push_back({.query = query,
                    .queries = side,
                    .key = key + common,
                    .keys = side,
                    .mask = PairMask::causal});
  if (rows > side) {
    pieces.push_back(
        {.query = query + side, .queries = rows - side, .key = key + common, .keys = left});
  }
  return pieces;
}

std::vector<Piece> pieces_of(std::span<const Block> blocks) {
  std::vector<Piece> all;
  for (const auto& block : blocks) {
    const auto pieces = pieces_of(block);
    all.insert(all.end(), pieces.begin(), pieces.end());
  }
  return all;
}

}  // namespace annulus::kernels::gpu
