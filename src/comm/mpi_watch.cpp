#include "comm/mpi_watch.hpp"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"

namespace annulus::comm {

MpiWatch::MpiWatch(Watch watch, std::vector<std::string> hosts, int rank)
    : watch_(std::move(watch)), hosts_(std::move(hosts)), rank_(rank) {}

std::string MpiWatch::name_of(int rank) const {
  return fmt::format("rank {} on host {}", rank, hosts_[static_cast<std::size_t>(rank)]);
}

std::string MpiWatch::names_of(const std::set<int>& ranks) const {
  std::vector<std::string> names;
  for (const int rank : ranks) names.push_back(name_of(rank));
  return fmt::format("{}", fmt::join(names, " and "));
}

std::string MpiWatch::Wait::sentence(const std::string& whom) const {
  const auto waited = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - since_);
  return fmt::format("{} has waited {} s for {}", watch_.name_of(watch_.rank_), waited.count(),
                     whom);
}

void MpiWatch::Wait::fail(const std::string& sentence) {
  throw Error(sentence + ", which is the timeout");
}

}  // namespace annulus::comm
