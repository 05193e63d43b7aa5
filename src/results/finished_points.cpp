#include "annulus/results/finished_points.hpp"

#include <cstddef>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "comm/broadcast.hpp"

namespace annulus::results {

std::vector<bool> finished_points(const StudyFile* file, Index points,
                                  comm::Communicator& communicator) {
  std::vector<char> finished(static_cast<std::size_t>(points));
  comm::on_root(communicator, [&] {
    ensure(file != nullptr, "rank 0 gives the results file of a study");
    for (std::size_t i = 0; i < finished.size(); ++i) {
      finished[i] = file->finished(static_cast<Index>(i)) ? 1 : 0;
    }
  });
  comm::broadcast(communicator, finished);
  return {finished.begin(), finished.end()};
}

}  // namespace annulus::results
