#include "plan/circle.hpp"

#include <utility>

#include "plan/intervals.hpp"

namespace annulus {

Circle::Circle(std::vector<std::vector<int>> nodes)
    : ranks_(0), columns_(static_cast<int>(nodes.front().size())) {
  for (const auto& ranks : nodes) {
    for (const int rank : ranks) {
      in_order_ = in_order_ && rank == ranks_;
      ++ranks_;
      rank_at_.push_back(rank);
    }
  }
  if (in_order_) {
    rank_at_.clear();
    return;
  }
  place_of_.resize(rank_at_.size());
  for (std::size_t place = 0; place < rank_at_.size(); ++place) {
    place_of_[static_cast<std::size_t>(rank_at_[place])] = static_cast<int>(place);
  }
}

int Circle::place_of(int rank) const {
  return in_order_ ? rank : place_of_[static_cast<std::size_t>(rank)];
}

int Circle::rank_at_place(int place) const {
  return in_order_ ? place : rank_at_[static_cast<std::size_t>(place)];
}

int Circle::node_of(int rank) const {
  return place_of(rank) / columns_;
}

int Circle::column_of(int rank) const {
  return place_of(rank) % columns_;
}

int Circle::rank_at(int node, int column) const {
  return rank_at_place(node * columns_ + column);
}

int Circle::behind(int rank, int distance) const {
  const int place = place_of(rank) - distance * columns_;
  if (place < 0) return rank_at_place(place + ranks_);
  return rank_at_place(place < ranks_ ? place : place - ranks_);
}

std::vector<int> Circle::peers(int rank) const {
  std::vector<int> peers;
  for (int column = 0; column < columns_; ++column) {
    peers.push_back(rank_at(node_of(rank), column));
  }
  return peers;
}

std::vector<int> Circle::peers_in_turn(int rank) const {
  std::vector<int> peers;
  for (int i = 0; i < columns_; ++i) {
    peers.push_back(rank_at(node_of(rank), (column_of(rank) + columns_ - i) % columns_));
  }
  return peers;
}

void Circle::add_nodes_of(std::span<const Interval> ranks, std::vector<Interval>& nodes) const {
  for (const auto& [begin, end] : ranks) {
    if (in_order_) {
      nodes.push_back({begin / columns_, (end - 1) / columns_ + 1});
      continue;
    }
    for (Index rank = begin; rank < end; ++rank) {
      const Index node = node_of(static_cast<int>(rank));
      nodes.push_back({node, node + 1});
    }
  }
  if (!in_order_) unite(nodes);
}

void Circle::add_ranks_at(Interval places, std::vector<Interval>& ranks) const {
  if (in_order_) {
    ranks.push_back(places);
    return;
  }
  for (Index place = places.begin; place < places.end; ++place) {
    const Index rank = rank_at_[static_cast<std::size_t>(place)];
    ranks.push_back({rank, rank + 1});
  }
  unite(ranks);
}

}  // namespace annulus
